"""Sen1Floods11: surface water in Sentinel-1 and Sentinel-2 chips of flood events, hand-labelled.

The hand-labelled part of `Sen1Floods11 <https://github.com/cloudtostreet/Sen1Floods11>`__: 446 chips of eleven flood
events.

Dataset format, below ``v1.1/``:

* ``data/flood_events/HandLabeled/S1Hand/<Event>_<n>_S1Hand.tif``: VV, VH backscatter in dB, float32, 512 x 512 at
  10 m, NaN outside the swath
* ``data/flood_events/HandLabeled/S2Hand/<Event>_<n>_S2Hand.tif``: 13 bands, top-of-atmosphere reflectance x 10000,
  int16, 0 in every band outside the swath (NaN here)
* ``data/flood_events/HandLabeled/LabelHand/<Event>_<n>_LabelHand.tif``: int16; 1 water, 0 land, -1 no data or cloud
* ``splits/flood_handlabeled/flood_{train,valid,test,bolivia}_data.csv``: per row the S1 file and the label file

Dataset classes: land, water. -1 is neither trained on nor scored.

The publisher's splits: 252 / 89 / 90 chips, and 15 of Bolivia, an event that no other split contains, reported
separately. Results in the literature differ in bands (S1, S2 or both): select them with ``bands=``. The default is S1,
which the publisher's lists name.

If you use this dataset, please cite https://doi.org/10.1109/CVPRW50498.2020.00113. Licence: stated as CC BY 4.0 by
secondary sources.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.sensors import sentinel1_bands, sentinel2_bands
from suites.reading import (
    Samples,
    check_request,
    columns_of,
    is_there,
    listed_path,
    locate,
    place_of,
    read_image,
    read_json,
    read_lines,
    read_mask,
    reading,
    require_all,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

SENTINEL1, SENTINEL2 = sentinel1_bands(), sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b10 b11 b12")
STORED = {"s1": SENTINEL1, "s2": SENTINEL2}
TYPES = {"s1": "float32", "s2": "int16"}
CHIPS = Path("v1.1", "data", "flood_events", "HandLabeled")
SPLITS = Path("v1.1", "splits", "flood_handlabeled")
EVENTS = Path("v1.1", "Sen1Floods11_Metadata.geojson")
LISTS = {name: f"flood_{word}_data.csv" for name, word in (
    ("train", "train"), ("val", "valid"), ("test", "test"), ("bolivia", "bolivia"))}  # fmt: skip
SHAPE = (512, 512)
# Event name in the labels -> event name in the publisher's table of dates.
RENAMED = {"Mekong": "Cambodia"}


def _listed(folder: Path, split: str) -> list[str]:
    """Return the chips of a split's list, without ending."""
    listed = folder / SPLITS / LISTS[split]
    names = [listed_path(Path(), line.split(",")[0].strip(), listed).name for line in read_lines(listed)]
    return [name.removesuffix(".tif").removesuffix("_S1Hand") for name in names]


def _dates(folder: Path) -> dict[str, dict[str, tuple[int, int, int]]]:
    """Return event -> sensor -> year, month, day, for the events whose dates are published."""
    path = folder / EVENTS
    if not is_there(path):
        return {}
    content = read_json(path)
    dates = {}
    with reading(path, "features with location, s1_date and s2_date"):
        for row in (feature["properties"] for feature in content["features"]):
            when = {}
            for sensor in ("s1", "s2"):
                parts = str(row[f"{sensor}_date"]).split("/")
                if len(parts) == 3:
                    when[sensor] = (int(parts[0]), int(parts[1]), int(parts[2]))
            dates[str(row["location"])] = when
    return dates


def _image(path: Path, sensor: str, columns: list[int]) -> np.ndarray:
    """Return the wanted bands of a chip as float32 (1, C, H, W), NaN outside the swath."""
    import numpy as np

    values = read_image(path, (len(STORED[sensor]), *SHAPE), TYPES[sensor], jointly=(0,))
    image: np.ndarray = values[columns]
    if sensor == "s2":
        image[:, (values == 0).all(axis=0)] = np.nan
    return image[None]


def _label(path: Path) -> np.ndarray:
    return read_mask(path, (-1, 0, 1), (1, *SHAPE))


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    how = "get it with download=true"
    folder = locate(SUITE.name, root, SUITE.folder, [str(SPLITS / file) for file in LISTS.values()], how)
    present = [name for name in LISTS if name == split or is_there(folder / SPLITS / LISTS[name])]
    lists = {name: _listed(folder, name) for name in present}
    require_distinct(SUITE.name, lists, LISTS)
    ids = lists[split]
    columns = columns_of(bands, STORED)
    labels = [folder / CHIPS / "LabelHand" / f"{name}_LabelHand.tif" for name in ids]
    images = {
        sensor: [folder / CHIPS / f"{sensor.upper()}Hand" / f"{name}_{sensor.upper()}Hand.tif" for name in ids]
        for sensor in columns
    }
    for paths in (labels, *images.values()):
        require_all(paths, SUITE.name, LISTS[split])
    dates = _dates(folder)

    def read(index: int) -> Sample:
        event = ids[index].partition("_")[0]
        when = dates.get(event, dates.get(RENAMED.get(event, ""), {})).get(next(iter(columns)))
        return Sample(
            images={sensor: _image(paths[index], sensor, columns[sensor]) for sensor, paths in images.items()},
            target=_label(labels[index]),
            when=np.array([when or (-1, -1, -1)], np.int32),
            where=place_of(labels[index]),
        )

    def read_targets() -> np.ndarray:
        masks = [_label(path) for path in labels]
        return np.array([[(mask == code).any() for code in (0, 1)] for mask in masks], np.int64).reshape(-1, 2)

    return Samples(
        ids=ids,
        blocks=[name.partition("_")[0] for name in ids],
        read=read,
        read_targets=read_targets,
        source=lambda index: labels[index],
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's lists, labels and images below ``root/sen1floods11``: about 3 GB in 1,338 files."""
    folder = root / SUITE.folder
    fetch(f"{SUITE.url}{EVENTS.as_posix()}", folder / EVENTS)
    for name, file in LISTS.items():
        fetch(f"{SUITE.url}{(SPLITS / file).as_posix()}", folder / SPLITS / file)
        for chip in _listed(folder, name):
            for kind in ("S1Hand", "S2Hand", "LabelHand"):
                path = CHIPS / kind / f"{chip}_{kind}.tif"
                fetch(f"{SUITE.url}{path.as_posix()}", folder / path)


SUITE = Suite(
    name="sen1floods11",
    version=1,
    title="Sen1Floods11: surface water of flood events, hand-labelled",
    bands=(*SENTINEL1, *SENTINEL2),
    default_bands=("s1.*",),
    image_size=SHAPE,
    gsd_m=10.0,
    levels=("s2:L1C", "s1:GRD"),
    tasks=(Task(name="water", kind="segmentation", classes=("land", "water"), metric="miou", ignore=-1),),
    splits={"train": 252, "val": 89, "test": 90, "bolivia": 15},
    dataset="sen1floods11",
    licence="CC BY 4.0, according to secondary sources",
    citation="Bonafilia et al., Sen1Floods11, CVPR Workshops 2020, doi:10.1109/CVPRW50498.2020.00113",
    url="https://storage.googleapis.com/sen1floods11/",
    folder="sen1floods11",
    notes="S1 unless bands= selects otherwise; -1 is ignored; intervals resample flood events; Bolivia is out of "
    "region.",
    open=open_split,
    download=download,
)
