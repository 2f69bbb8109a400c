"""m-chesapeake of GEO-Bench: land cover of the Chesapeake Bay watershed in aerial images.

A sample of `Chesapeake Land Cover <https://lila.science/datasets/chesapeakelandcover>`__ (CVPR 2019) in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0.

Dataset format, below ``segmentation_v1.0/m-chesapeake/`` (see `suites.geobench._reader`):

* ``id_<n>.hdf5``: four arrays of 256 x 256 float32, NAIP values of 8 bits divided by 255 (read as 0 ... 255), at 1 m;
  and the mask ``label``

Dataset classes: no data, water, tree canopy and forest, low vegetation and field, barren land, impervious (other),
impervious (roads). The publisher's own list begins with water and ends with no data, but the masks hold the original
codes, water 1 ... roads 6: a sample published with the code, 99.7 % of it code 1, reflects no near infrared.

The publisher's splits (``default_partition.json``): 3,000 / 1,000 / 1,000, windows drawn at random from the tiles of
the official splits in six states.

If you use this dataset, please cite https://doi.org/10.1109/CVPR.2019.01301 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CDLA-Permissive-1.0 according to the GEO-Bench paper, not verified.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import COLOURS
from suites.geobench._reader import CITATION, FOLDER, RGB, URL, Layout, download_files, open_files
from suites.reading import Samples

WAVELENGTHS = {**COLOURS, "nir": 0.876}
CLASSES = (
    *("no data", "water", "tree canopy and forest", "low vegetation and field", "barren land"),
    *("impervious (other)", "impervious (roads)"),
)
LAYOUT = Layout(
    part="segmentation",
    dataset="m-chesapeake",
    stored={f"naip.{name.partition('.')[2]}": stored for name, stored in RGB.items()} | {"naip.nir": "NearInfrared"},
    factor=255,
    highest=1,
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_chesapeake",
    version=1,
    title="GEO-Bench m-chesapeake: land cover, NAIP aerial images",
    bands=tuple(
        Band(name=f"naip.{name}", unit="uint8", wavelength_um=wave, gsd_m=1.0) for name, wave in WAVELENGTHS.items()
    ),
    image_size=(256, 256),
    gsd_m=1.0,
    tasks=(Task(name="landcover", kind="segmentation", classes=CLASSES, metric="miou"),),
    splits={"train": 3000, "val": 1000, "test": 1000},
    dataset="chesapeake",
    licence="CDLA-Permissive-1.0, according to the GEO-Bench paper (not verified)",
    citation="Robinson et al., Large Scale High-Resolution Land Cover Mapping, CVPR 2019, "
    f"doi:10.1109/CVPR.2019.01301{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="The counts are expected ones. Code 0 is no data, 1 water ... 6 roads, as the pixels show, in contrast to "
    "the publisher's list; all seven codes are scored, as in GEO-Bench. The files name no tile: intervals resample "
    "windows and are too narrow. No dates are stored.",
    open=open_split,
    download=download,
)
