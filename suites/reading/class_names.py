"""Class names of the datasets that several suites share, in the order of their codes."""

from __future__ import annotations

EUROSAT = (
    *("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop"),
    *("Residential", "River", "SeaLake"),
)
# BigEarthNet with 19 classes, in torchgeo's order.
BIGEARTHNET = (
    *("Urban fabric", "Industrial or commercial units", "Arable land", "Permanent crops", "Pastures"),
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    *("Agro-forestry areas", "Broad-leaved forest", "Coniferous forest", "Mixed forest"),
    *("Natural grassland and sparsely vegetated areas", "Moors, heathland and sclerophyllous vegetation"),
    *("Transitional woodland, shrub", "Beaches, dunes, sands", "Inland wetlands", "Coastal wetlands"),
    *("Inland waters", "Marine waters"),
)
# So2Sat LCZ42: local climate zones 1 to 10, then A to G.
CLIMATE_ZONES = (
    *("Compact high rise", "Compact mid rise", "Compact low rise", "Open high rise", "Open mid rise", "Open low rise"),
    *("Lightweight low rise", "Large low rise", "Sparsely built", "Heavy industry", "Dense trees", "Scattered trees"),
    *("Bush, scrub", "Low plants", "Bare rock or paved", "Bare soil or sand", "Water"),
)
# 2020 Data Fusion Contest: stored code (simplified IGBP) -> class.
DFC2020 = {
    **{1: "forest", 2: "shrubland", 4: "grassland", 5: "wetland"},
    **{6: "cropland", 7: "urban", 9: "barren", 10: "water"},
}
# PASTIS: codes 1 to 18, between background (0) and void (19).
CROPS = (
    *("meadow", "soft winter wheat", "corn", "winter barley", "winter rapeseed", "spring barley"),
    *("sunflower", "grapevine", "beet", "winter triticale", "winter durum wheat", "fruits, vegetables, flowers"),
    *("potatoes", "leguminous fodder", "soybeans", "orchard", "mixed cereal", "sorghum"),
)
# CloudSEN12.
CLOUDS = ("clear", "thick cloud", "thin cloud", "cloud shadow")
