"""Copernicus-Bench Flood-S1: floods and permanent water in Sentinel-1 before and after, in torchgeo's layout.

Patches of `Kuro Siwo <https://github.com/Orion-AI-Lab/KuroSiwo>`__, as
`Copernicus-Bench <https://github.com/zhu-xlab/Copernicus-FM/tree/main/Copernicus-Bench>`__ publishes them.

Dataset format, below ``copernicus_bench/flood_s1/``:

* ``data/<event>/<area>/<patch>/{SL1,MS1}_{IVV,IVH}_<event>_<area>_<yyyymmdd>.tif``: backscatter in linear power,
  float32, 224 x 224 at 10 m, NaN where there is none; SL1 before the flood, MS1 after. SL2, an earlier image, is not
  read
* ``data/<event>/<area>/<patch>/MK0_MLU_<event>_<area>_<yyyymmdd>.tif``: uint8; 0 no water, 1 permanent water, 2 flood,
  3 outside the mapped area (ignored)
* ``grid_dict_{train,val,test}.json``: patch -> ``path`` below ``data/``, and further facts

Dataset classes: no water, permanent water, flood.

The publisher's splits: 3,000 / 1,000 / 1,000, here in the order of the patches' names, as in torchgeo.

If you use this dataset, please cite https://arxiv.org/abs/2503.11849 and https://arxiv.org/abs/2311.12056. Licence:
MIT, as the publisher's table states.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel1_bands
from suites.copernicus_bench._reader import FOLDER, HOST, IGNORED, PAPER, Entry, Layout, fetched, opened
from suites.reading import Samples, listed_path, read_json, reading

BANDS = sentinel1_bands("power")
CLASSES = ("no water", "permanent water", "flood")


def _file(folder: Path, names: list[str], start: str) -> Path:
    """Return the file whose name begins with `start`; without one, a path whose name shows what is absent."""
    return folder / next((name for name in names if name.startswith(start) and name.endswith(".tif")), f"{start}*.tif")


def _entries(directory: Path, split: str, task: str) -> list[Entry]:
    listed = directory / f"grid_dict_{split}.json"
    content = read_json(listed)
    with reading(listed, "patches with a path"):
        places = {str(name): str(facts["path"]) for name, facts in content.items()}
    entries = []
    for name, place in sorted(places.items()):
        folder = listed_path(directory / "data", place, listed)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        dates = tuple(
            tuple(_file(folder, names, f"{when}_I{band}_") for band in ("VV", "VH")) for when in ("SL1", "MS1")
        )
        mask = _file(folder, names, "MK0_MLU")
        entries.append(Entry(id=name, block=place.partition("/")[0], images=dates, target=mask))
    return entries


LAYOUT = Layout(
    directory="flood_s1",
    lists="grid_dict_{}.json",
    archive=("l3_flood_s1/flood_s1.zip", "f4337fee5e90203c6d0c3efeb0b97b8a"),
    stored=BANDS,
    entries=_entries,
    codes={"flood": {0: 0, 1: 1, 2: 2, 3: IGNORED}},
    day=r"_(\d{4})(\d{2})(\d{2})\.tif$",
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return opened(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/copernicus_bench`` and unpack it."""
    fetched(LAYOUT, root, fetch)


SUITE = Suite(
    name="cb_flood_s1",
    version=1,
    title="Copernicus-Bench Flood-S1: floods in Sentinel-1, before and after",
    bands=BANDS,
    image_size=(224, 224),
    gsd_m=10.0,
    levels=("s1:GRD",),
    dates=2,
    tasks=(Task(name="flood", kind="change", classes=CLASSES, metric="miou", ignore=IGNORED),),
    splits={"train": 3000, "val": 1000, "test": 1000},
    dataset="kuro_siwo",
    licence="MIT",
    citation=f"{PAPER}; Bountos et al., Kuro Siwo, arXiv 2311.12056",
    url=HOST,
    folder=FOLDER,
    notes="Linear power, as the publisher's statistics show (means 0.098 and 0.025). The publisher also clips values "
    "at 0.15, which is not done here. One image before the flood, as in the benchmark; intervals resample events.",
    open=open_split,
    download=download,
)
