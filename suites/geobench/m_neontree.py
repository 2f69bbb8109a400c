"""m-NeonTree of GEO-Bench: tree crowns in aerial pictures and canopy heights of the United States.

`NeonTreeEvaluation <https://github.com/weecology/NeonTreeEvaluation>`__ in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0, crowns drawn as ellipses.

Dataset format, below ``segmentation_v1.0/m-NeonTree/`` (see `suites.geobench._reader`):

* ``<plot>.hdf5``, for training ``<plot>_<i>_<j>.hdf5``: three arrays of 400 x 400 uint8 at 0.1 m; the canopy height in
  metres, 40 x 40 (x 1) at 1 m, repeated here to the pixels of the picture; 369 hyperspectral bands of 40 x 40, not
  read, since the publisher cut the 426 bands of some images to the first 369, so that a band has no single wavelength;
  and the mask ``label``: an ellipse of 0.6 times the sides of each tree's box

The publisher wrote 0 where the height was unknown.

Dataset classes: no tree, tree.

The publisher's splits (``default_partition.json``): 270 / 94 / 93; training tiles are cut from large images of other
plots, validation and test plots are divided at random.

If you use this dataset, please cite https://doi.org/10.1371/journal.pcbi.1009180 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CC0 1.0 according to the GEO-Bench paper, not verified.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import rgb_bands
from suites.geobench._reader import CITATION, FOLDER, RGB, URL, Layout, download_files, open_files
from suites.reading import Samples


def block(name: str) -> str:
    """Return the site of a sample, NEON's four capitals in its name, or the name itself if it has none."""
    site = re.search("[A-Z]{4}", name)
    return site[0] if site else name


LAYOUT = Layout(
    part="segmentation",
    dataset="m-NeonTree",
    stored=RGB | {"chm.height": "Canopy Height Model"},
    coarser={"chm.height": 10},
    block=block,
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_neontree",
    version=1,
    title="GEO-Bench m-NeonTree: tree crowns, aerial pictures and canopy height",
    bands=(*rgb_bands(0.1), Band(name="chm.height", unit="metre", gsd_m=1.0)),
    default_bands=("rgb.*",),
    image_size=(400, 400),
    gsd_m=0.1,
    tasks=(Task(name="tree", kind="segmentation", classes=("no tree", "tree"), metric="miou"),),
    splits={"train": 270, "val": 94, "test": 93},
    dataset="neontree",
    licence="CC0 1.0, according to the GEO-Bench paper (not verified)",
    citation=f"Weinstein et al., PLOS Computational Biology 2021, doi:10.1371/journal.pcbi.1009180{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="The counts of val and test are expected ones. Colours unless bands= selects otherwise; the hyperspectral "
    "bands are not read, as their wavelengths differ between images. Ellipses of 0.6 times a crown's box, not "
    "outlines; an unknown height is 0. Intervals resample NEON sites.",
    open=open_split,
    download=download,
)
