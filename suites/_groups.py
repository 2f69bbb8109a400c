"""Named groups of suites, for ``suite=NAME``."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    # One suite of each kind of task.
    "core": ("eurosat", "bigearthnet_v2", "fuel_moisture", "sen1floods11", "biomassters", "tree_crowns"),
    # The datasets of the transfer study (arXiv 2606.13896) and of GeoSANE (arXiv 2603.23408) that there are.
    "transfer": ("eurosat", "neuco_bench", "hls_burn_scars", "sen1floods11", "mados", "ai4smallfarms", "pastis"),
    "geosane": (
        *("eurosat", "resisc45", "fmow", "bigearthnet_v2", "so2sat", "dfc2020", "sen12flood", "cabuar"),
        *("spacenet1", "dior", "vhr10"),
    ),
    "instageo": ("sen1floods11", "crop_us", "locust_breeding"),
}
