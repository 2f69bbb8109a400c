"""GEO-Bench-2 Kuro Siwo: floods in Sentinel-1 images, two before and one after.

7,000 tiles of `Kuro Siwo <https://github.com/Orion-AI-Lab/KuroSiwo>`__, chosen by GEO-Bench-2.

Dataset format, per sample of ``geobench_kuro_siwo.tortilla``:

* ``pre_event_1``, ``pre_event_2``, ``post_event``: float32 (2, 224, 224): VV and VH in linear power at 10 m
* ``dem``: float32 (1, 224, 224), metres, here repeated for each of the three dates
* ``invalid_data``: 1 where the images are valid, 0 where they are not (NaN here), as the ``geobench_v2`` package uses
  it
* ``mask``: 0 no water, 1 permanent water, 2 flood, 3 no data
* the index: actid (the event), aoiid, flood_date, centre

Dataset classes: no water, permanent water, flood. No data is neither trained on nor scored; the ``geobench_v2``
package makes it class 0.

Splits: 4,000 / 1,000 / 2,000, of different events. Intervals resample events.

If you use this dataset, please cite https://arxiv.org/abs/2511.15658 and https://arxiv.org/abs/2311.12056. Licence:
not verified, see the dataset's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel1_bands
from suites.geobench2._container import Parts
from suites.geobench2._reader import CITATION, Stored, as_float, codes_of, fetch_containers, mask_in, open_container
from suites.reading import Samples

if TYPE_CHECKING:
    import numpy as np

FILES = {
    "geobench_kuro_siwo.tortilla": "4830fe6f23bf9750dee0c765850724b55026bf5d47cb67162d3ef7dcb04c3bbd",
}
SIZE = (224, 224)
SENTINEL1 = sentinel1_bands("power")
TERRAIN = (Band(name="dem.elevation", unit="metre"),)
DATES = ("pre_event_1", "pre_event_2", "post_event")
LOWEST = -15000  # metres; lower values mark missing data


def _stored(names: Sequence[str], order: Sequence[Band]) -> Stored:
    def read(parts: Parts) -> np.ndarray:
        import numpy as np

        valid = parts["invalid_data"]
        outside = codes_of(valid, valid.raster(SIZE, 1)[0], {0: 1, 1: 0}) == 1
        dates = [parts[name].image(SIZE, len(order)) for name in names]
        return np.concatenate([as_float(date, outside | (date < LOWEST)) for date in dates])

    return Stored(order=[band.name for band in order], read=read)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_container(
        SUITE,
        FILES,
        (root, task, split, bands),
        images={"s1": _stored(DATES, SENTINEL1), "dem": _stored(("dem",) * len(DATES), TERRAIN)},
        target=mask_in("mask", SIZE, {code: code for code in range(4)}, "post_event"),
        block=lambda entry: str(entry.fact("actid")),
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's container below ``root/geobenchv2/kuro_siwo``."""
    fetch_containers(root, fetch, SUITE, FILES)


SUITE = Suite(
    name="gb2_kuro_siwo",
    version=1,
    title="GEO-Bench-2 Kuro Siwo: floods in Sentinel-1 image triples",
    bands=(*SENTINEL1, *TERRAIN),
    default_bands=("s1.*",),
    image_size=SIZE,
    gsd_m=10.0,
    levels=("s1:GRD",),
    dates=3,
    tasks=(
        Task(
            name="flood", kind="segmentation", classes=("no water", "permanent water", "flood"), metric="miou", ignore=3
        ),
    ),
    splits={"train": 4000, "val": 1000, "test": 2000},
    dataset="kuro_siwo",
    licence="not verified",
    citation=f"{CITATION}; Bountos et al., Kuro Siwo, NeurIPS 2024, arXiv:2311.12056",
    url="https://hf.co/datasets/aialliance/kuro_siwo",
    folder="geobenchv2/kuro_siwo",
    notes="3, no data, is ignored here and is a class in the geobench_v2 package. The index states the day of the "
    "flood, but not the days of the images. Intervals resample floods.",
    open=open_split,
    download=download,
)
