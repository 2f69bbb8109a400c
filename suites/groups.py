"""Named groups of suites, for ``suite=NAME``."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    # One suite per kind of task.
    "core": ("eurosat", "bigearthnet_v2", "fuel_moisture", "sen1floods11", "biomassters", "tree_crowns"),
    # The datasets of the transfer study (arXiv 2606.13896) and of GeoSANE (arXiv 2603.23408) that have a suite here.
    "transfer": ("eurosat", "neuco_bench", "hls_burn_scars", "sen1floods11", "mados", "ai4smallfarms", "pastis"),
    "geosane": (
        *("eurosat", "resisc45", "fmow", "bigearthnet_v2", "so2sat", "dfc2020", "sen12flood", "cabuar"),
        *("spacenet1", "dior", "vhr10"),
    ),
    "instageo": ("sen1floods11", "crop_us", "locust_breeding"),
    # GEO-Bench (arXiv 2306.03831).
    "geobench1": (
        *("m_bigearthnet", "m_brick_kiln", "m_eurosat", "m_forestnet", "m_pv4ger", "m_so2sat", "m_cashew_plant"),
        *("m_chesapeake", "m_neontree", "m_nz_cattle", "m_pv4ger_seg", "m_sa_crop_type"),
    ),
    # Copernicus-Bench (arXiv 2503.11849).
    "copernicus": (
        *("cb_cloud_s2", "cb_cloud_s3", "cb_eurosat_s1", "cb_eurosat_s2", "cb_bigearthnet_s1", "cb_bigearthnet_s2"),
        *("cb_lc100cls_s3", "cb_lc100seg_s3", "cb_dfc2020_s1", "cb_dfc2020_s2", "cb_flood_s1", "cb_lcz_s2"),
        *("cb_biomass_s3", "cb_aq_no2_s5p", "cb_aq_o3_s5p"),
    ),
    # GEO-Bench-2, and its capabilities as the constants of its leaderboard list them.
    "geobench2": (
        *("gb2_benv2", "gb2_biomassters", "gb2_burn_scars", "gb2_caffe", "gb2_cloudsen12", "gb2_dynamic_earthnet"),
        *("gb2_everwatch", "gb2_flair2", "gb2_forestnet", "gb2_fotw", "gb2_kuro_siwo", "gb2_nzcattle", "gb2_pastis"),
        *("gb2_pastis_r", "gb2_so2sat", "gb2_spacenet2", "gb2_spacenet7", "gb2_substation", "gb2_treesatai"),
    ),
    "gb2_core": (
        *("gb2_kuro_siwo", "gb2_pastis", "gb2_burn_scars", "gb2_cloudsen12", "gb2_flair2", "gb2_spacenet7"),
        *("gb2_benv2", "gb2_treesatai", "gb2_biomassters", "gb2_fotw", "gb2_substation", "gb2_everwatch"),
    ),
    "gb2_classification": ("gb2_so2sat", "gb2_forestnet", "gb2_benv2", "gb2_treesatai"),
    "gb2_pixelwise": (
        *("gb2_kuro_siwo", "gb2_pastis", "gb2_burn_scars", "gb2_spacenet2", "gb2_cloudsen12", "gb2_caffe"),
        *("gb2_flair2", "gb2_dynamic_earthnet", "gb2_biomassters", "gb2_spacenet7", "gb2_fotw"),
    ),
    "gb2_detection": ("gb2_substation", "gb2_everwatch", "gb2_nzcattle", "gb2_pastis_r"),
    "gb2_multitemporal": ("gb2_kuro_siwo", "gb2_pastis", "gb2_biomassters", "gb2_dynamic_earthnet"),
    "gb2_multispectral": (
        *("gb2_benv2", "gb2_biomassters", "gb2_pastis", "gb2_so2sat", "gb2_cloudsen12", "gb2_spacenet2"),
        *("gb2_burn_scars", "gb2_fotw"),
    ),
    "gb2_rgb_nir": ("gb2_flair2", "gb2_treesatai", "gb2_dynamic_earthnet", "gb2_spacenet7", "gb2_fotw"),
    "gb2_under_10m": ("gb2_spacenet2", "gb2_treesatai", "gb2_flair2", "gb2_dynamic_earthnet", "gb2_spacenet7"),
    "gb2_10m_and_above": (
        *("gb2_biomassters", "gb2_so2sat", "gb2_kuro_siwo", "gb2_cloudsen12", "gb2_pastis", "gb2_benv2"),
        *("gb2_forestnet", "gb2_burn_scars", "gb2_caffe", "gb2_fotw"),
    ),
}
