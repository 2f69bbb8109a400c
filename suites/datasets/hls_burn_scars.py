"""HLS Burn Scars: burned areas of the contiguous United States in harmonised Landsat and Sentinel-2 scenes.

The `HLS Burn Scar Scenes <https://huggingface.co/datasets/ibm-nasa-geospatial/hls_burn_scars>`__: 804 scenes of 2018 to
2021, each centred on a burn scar mapped by Monitoring Trends in Burn Severity (MTBS).

Dataset format:

* ``{training,validation}/subsetted_512x512_HLS.S30.<tile>.<year><day of year>.v1.4_merged.tif``: blue, green, red, NIR
  (B8A), SWIR 1, SWIR 2; surface reflectance 0..1, float32, 512 x 512 at 30 m. 9999 and -9999 are no data (NaN here)
* the same name with ``.mask.tif`` for ``_merged.tif``: 1 burn scar, 0 not burned, -1 missing

Dataset classes: not burned, burned. -1 is neither trained on nor scored.

The publisher has two folders, split at random 2 : 1, and no test split. Here, as in much of the literature, the folder
``validation`` is the test split (264 scenes). The validation split consists of the scenes of about a tenth of the HLS
tiles in the folder ``training`` (540 scenes), by the hash of the tile's name, so that no tile is in both train and val.

If you use this dataset, please cite https://doi.org/10.57967/hf/0956. Licence: CC BY 4.0.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import hls_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    locate,
    place_of,
    read_image,
    read_mask,
    require,
    require_all,
    require_distinct,
    share_of,
    unpack_tar,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = hls_bands("reflectance")
SHAPE = (512, 512)
NO_DATA = (9999.0, -9999.0)
VALIDATION = 0.1
ARCHIVE = "hls_burn_scars.tar.gz"
NAME = re.compile(r"subsetted_512x512_HLS\.S30\.(T\d\d[A-Z]{3})\.(\d{4})(\d{3})\.v1\.4")


def _named(name: str, path: Path) -> tuple[str, tuple[int, int, int]]:
    """Return tile and date of a scene, from its name."""
    match = NAME.match(name)
    if not match or not 1 <= int(match[3]) <= 366 or int(match[2]) < 1970:
        raise MissingData(f"{path}: {name} is not named <...>.<tile>.<year><day of year>.v1.4<...>; replace it")
    day = date(int(match[2]), 1, 1) + timedelta(days=int(match[3]) - 1)
    return match[1], (day.year, day.month, day.day)


def _scenes(folder: Path) -> list[str]:
    """Return the names of a folder's scenes, after checking that every scene has a mask and every mask a scene."""
    require(folder, "hls_burn_scars", "one of the publisher's two folders")
    names: set[str] = set()
    for ending in ("_merged.tif", ".mask.tif"):
        names |= {path.name.removesuffix(ending) for path in folder.glob(f"*{ending}")}
    if not names:
        raise MissingData(f"{folder} holds no *_merged.tif; download it again")
    files = [folder / f"{name}{ending}" for name in sorted(names) for ending in ("_merged.tif", ".mask.tif")]
    require_all(files, "hls_burn_scars", f"{folder} (a scene and its mask)")
    return sorted(names)


def _image(path: Path, columns: list[int]) -> np.ndarray:
    import numpy as np

    image = read_image(path, (len(BANDS), *SHAPE), "float32")[columns]
    image[np.isin(image, NO_DATA)] = np.nan
    return image[None]


def _label(path: Path) -> np.ndarray:
    return read_mask(path, (-1, 0, 1), (1, *SHAPE))


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    folder = locate(SUITE.name, root, SUITE.folder, ("training", "validation"), "get it with download=true")
    scenes = {name: _scenes(folder / name) for name in ("training", "validation")}
    require_distinct(SUITE.name, scenes)
    source = folder / ("validation" if split == "test" else "training")
    facts = {name: _named(name, source) for name in scenes[source.name]}
    ids = [
        name
        for name, (tile, _) in facts.items()
        if split == "test" or (share_of(tile) < VALIDATION) == (split == "val")
    ]
    columns = by_sensor(bands, [band.name for band in BANDS])["hls"]

    def read(index: int) -> Sample:
        image, label = source / f"{ids[index]}_merged.tif", source / f"{ids[index]}.mask.tif"
        return Sample(
            images={"hls": _image(image, columns)},
            target=_label(label),
            when=np.array([facts[ids[index]][1]], np.int32),
            where=place_of(image, label),
        )

    def read_targets() -> np.ndarray:
        masks = (_label(source / f"{name}.mask.tif") for name in ids)
        return np.array([[(mask == code).any() for code in (0, 1)] for mask in masks], np.int64).reshape(-1, 2)

    return Samples(ids=ids, blocks=[facts[name][0] for name in ids], read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive (2.65 GB), unpacked, below ``root/hls_burn_scars``."""
    folder = root / SUITE.folder
    if not all((folder / name).exists() for name in ("training", "validation")):
        unpack_tar(fetch(f"{SUITE.url}{ARCHIVE}", folder / ARCHIVE), folder)


SUITE = Suite(
    name="hls_burn_scars",
    version=1,
    title="HLS Burn Scars: burned areas in harmonised Landsat and Sentinel-2 scenes",
    bands=BANDS,
    image_size=SHAPE,
    gsd_m=30.0,
    levels=("hls:SR",),
    tasks=(Task(name="burned", kind="segmentation", classes=("not burned", "burned"), metric="miou", ignore=-1),),
    splits={"train": 486, "val": 54, "test": 264},
    dataset="hls_burn_scars",
    licence="CC BY 4.0",
    citation="Phillips et al., HLS Foundation Burnscars Dataset, 2023, doi:10.57967/hf/0956",
    url="https://huggingface.co/datasets/ibm-nasa-geospatial/hls_burn_scars/resolve/"
    "24aa452b2ac15bd1c255c16c8530a977d2bd5da2/",
    folder="hls_burn_scars",
    notes="Test is the publisher's validation folder, split from training at random, so tiles are in both; val is our "
    "own: about a tenth of the training folder's tiles by the hash of their name, so the counts of train and val are "
    "approximate. -1 is ignored; intervals resample HLS tiles.",
    open=open_split,
    download=download,
)
