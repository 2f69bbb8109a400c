"""Tiny copies of the published layouts, whose pixels say which band, sample and class they belong to."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

EUROSAT_CLASSES = [
    "AnnualCrop",
    "Forest",
    "HerbaceousVegetation",
    "Highway",
    "Industrial",
    "Pasture",
    "PermanentCrop",
    "Residential",
    "River",
    "SeaLake",
]
EUROSAT_TIF = Path("ds", "images", "remote_sensing", "otherDatasets", "sentinel_2", "tif")
# Band names in the order of the published files: band 8A is last in EuroSAT, ninth in Sen1Floods11.
EUROSAT_STORED = ["b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b09", "b10", "b11", "b12", "b8a"]
FLOODS_STORED = ["b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09", "b10", "b11", "b12"]
FLOODS = {
    "train": ("India_1", "Mekong_2", "Ghana_3"),
    "valid": ("Somalia_4",),
    "test": ("Spain_5", "Paraguay_6"),
    "bolivia": ("Bolivia_7",),
}
FLOODS_CENTRE = (-0.75, 38.1)


def write_tif(path: Path, values: np.ndarray, *, crs: str | None = None, centre: tuple[float, float] = (0, 0)) -> None:
    """Write (bands, H, W) as a small GeoTIFF, its middle at `centre`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    step = 1e-4
    transform = from_origin(centre[0] - width / 2 * step, centre[1] + height / 2 * step, step, step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, compress="deflate",
            crs=crs, transform=transform if crs else None,
        ) as file:  # fmt: skip
            file.write(values)


def write_lists(folder: Path, ending: str) -> None:
    """Write torchgeo's split lists: of each class images 1 and 2 in train, 3 in val, 4 in test."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, numbers in (("train", (1, 2)), ("val", (3,)), ("test", (4,))):
        lines = [f"{name}_{number}{ending}" for number in numbers for name in EUROSAT_CLASSES]
        (folder / f"eurosat-{split}.txt").write_text("\n".join(lines) + "\n")


def write_eurosat(root: Path) -> Path:
    """Write all bands of 40 images: pixels are 100 * band number + class code; torchgeo's lists end in .jpg."""
    folder = root / "eurosat"
    write_lists(folder, ".jpg")
    for code, name in enumerate(EUROSAT_CLASSES):
        for number in range(1, 5):
            values = np.stack([np.full((64, 64), 100 * int(b[1:].replace("8a", "20")) + code) for b in EUROSAT_STORED])
            write_tif(folder / EUROSAT_TIF / name / f"{name}_{number}.tif", values.astype(np.uint16))
    return folder


def write_eurosat_rgb(root: Path, *, own_split: bool) -> Path:
    """Write 40 pictures: red 200, green 100, blue 20 + class code."""
    folder = root / "eurosat_rgb"
    write_lists(folder, ".jpg")
    rows = ["class,file,split"]
    for code, name in enumerate(EUROSAT_CLASSES):
        (folder / "EuroSAT_RGB" / name).mkdir(parents=True)
        picture = Image.new("RGB", (64, 64), (200, 100, 20 + code))
        for number, split in ((1, "train"), (2, "val"), (3, "test"), (4, "test")):
            picture.save(folder / "EuroSAT_RGB" / name / f"{name}_{number}.jpg", quality=100, subsampling=0)
            rows.append(f"{name},{name}_{number}.jpg,{split}")
    if own_split:
        for path in folder.glob("eurosat-*.txt"):
            path.unlink()
        (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_sen1floods11(root: Path) -> Path:
    """Write 7 chips: VV -10, VH -17, S2 band i 1000 + i, the lower quarter water, one row without label."""
    folder = root / "sen1floods11"
    chips = folder / "v1.1" / "data" / "flood_events" / "HandLabeled"
    lists = folder / "v1.1" / "splits" / "flood_handlabeled"
    lists.mkdir(parents=True)
    for split, names in FLOODS.items():
        rows = [f"{name}_S1Hand.tif,{name}_LabelHand.tif\n" for name in names]
        (lists / f"flood_{split}_data.csv").write_text("".join(rows))
        for name in names:
            radar = np.stack([np.full((512, 512), level, np.float32) for level in (-10, -17)])
            radar[:, :, :3] = np.nan
            optical = np.stack([np.full((512, 512), 1000 + i, np.int16) for i in range(len(FLOODS_STORED))])
            optical[:, :, :5] = 0  # outside the swath
            optical[10] = 0  # the cirrus band sees nothing on a clear day, which is no lack of data
            label = np.zeros((1, 512, 512), np.int16)
            label[:, 384:], label[:, :1] = 1, -1
            for kind, values in (("S1Hand", radar), ("S2Hand", optical), ("LabelHand", label)):
                write_tif(chips / kind / f"{name}_{kind}.tif", values, crs="EPSG:4326", centre=FLOODS_CENTRE)
    events = [("India", "2016/08/12", "2016/08/13"), ("Cambodia", "2018/08/05", "2018/08/04")]
    features = [{"properties": {"location": e, "s1_date": s1, "s2_date": s2}} for e, s1, s2 in events]
    (folder / "v1.1" / "Sen1Floods11_Metadata.geojson").write_text(json.dumps({"features": features}))
    return folder


def write_fuel_moisture(root: Path) -> Path:
    """Write 60 series of 20 sites; column c of row r at date t is within its unit and tells c, r and t."""
    folder = root / "fuel_moisture" / "npy"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    level = np.array([-12, -18, *np.arange(1000, 2100, 100), 290, 0.01, 500, 5, 0.4])
    spread = np.array([1, 1, *np.full(11, 50.0), 5, 0.002, 50, 1, 0.1])
    np.save(folder / "s1_s2_era5_srtm.npy", level + spread * rng.uniform(-1, 1, (60, 3, 18)))
    np.save(folder / "month.npy", np.stack([np.arange(60) % 12, (np.arange(60) + 1) % 12, (np.arange(60) + 2) % 12], 1))
    np.save(folder / "latlon.npy", np.stack([np.linspace(30, 45, 60), np.linspace(-120, -100, 60)], 1))
    cover = np.tile(np.arange(60)[:, None] % 9, (1, 3)).astype(np.uint8)
    cover[7, 1] = 9
    np.save(folder / "dynamic_world.npy", cover)
    sites = np.array([f"Site {number // 3}" for number in range(60)])
    np.save(folder / "site.npy", sites)
    np.save(folder / "target.npy", np.linspace(40, 300, 60))
    np.save(folder / "is_test.npy", (np.arange(60) >= 42).astype(np.int64))
    return folder.parent
