"""m-forestnet of GEO-Bench: what drove the loss of primary forest in Indonesia, from Landsat-8 pictures.

`ForestNet <https://stanfordmlgroup.github.io/projects/forestnet>`__ in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0, with each year's image as a separate sample.

Dataset format, below ``classification_v1.0/m-forestnet/`` (see `suites.geobench._reader`):

* ``<lat>_<lon>_<year>_<month>_<day>.hdf5``: six arrays ``<band>_<date>`` of 332 x 332 uint8 at 15 m (pan-sharpened)

The pixels are those of pictures, stretched to 0 ... 255 by ForestNet; the stretch is not published. GEO-Bench then drew
the region of loss into them: pixels outside of it are mixed with a quarter of white. For years without an image it took
a composite and dated it 1 January, which is read as a year without a day.

Dataset classes: see `CLASSES`.

The publisher's splits (``default_partition.json``): 6,464 / 989 / 993; the years of one place are in one split.

If you use this dataset, please cite https://doi.org/10.48550/arXiv.2011.05479 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import LANDSAT
from suites.geobench._reader import CITATION, FOLDER, URL, Layout, download_files, open_files
from suites.reading import Samples

# Canonical name -> name in the files, and ground sampling distance of the pixels' source.
STORED = {
    "landsat.blue": ("02 - Blue", 15.0),
    "landsat.green": ("03 - Green", 15.0),
    "landsat.red": ("04 - Red", 15.0),
    "landsat.nir": ("05 - NIR", 30.0),
    "landsat.swir1": ("06 - SWIR1", 30.0),
    "landsat.swir2": ("07 - SWIR2", 30.0),
}
CLASSES = (
    *("Oil palm plantation", "Timber plantation", "Other large-scale plantations", "Grassland shrubland"),
    *("Small-scale agriculture", "Small-scale mixed plantation", "Small-scale oil palm plantation", "Mining"),
    *("Fish pond", "Logging", "Secondary forest", "Other"),
)


def place(name: str) -> tuple[float, float]:
    """Return longitude and latitude from a sample's name."""
    latitude, longitude = name.split("_")[:2]
    return float(longitude), float(latitude)


LAYOUT = Layout(
    part="classification",
    dataset="m-forestnet",
    stored={band: name for band, (name, _) in STORED.items()},
    highest=255,
    place=place,
    block=lambda name: "_".join(name.split("_")[:2]),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_forestnet",
    version=1,
    title="GEO-Bench m-forestnet: drivers of deforestation, 6 Landsat-8 bands",
    bands=tuple(
        Band(name=band, unit="uint8", wavelength_um=LANDSAT["oli"][band.partition(".")[2]], gsd_m=gsd)
        for band, (_, gsd) in STORED.items()
    ),
    image_size=(332, 332),
    gsd_m=15.0,
    tasks=(Task(name="driver", kind="classification", classes=CLASSES, metric="accuracy"),),
    splits={"train": 6464, "val": 989, "test": 993},
    dataset="forestnet",
    licence="CC BY 4.0",
    citation=f"Irvin et al., ForestNet, NeurIPS workshop 2020, arXiv:2011.05479{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="Pictures stretched to 0..255 with an unpublished stretch, not reflectance; outside the region of loss they "
    "are mixed with white, since GEO-Bench draws it in. Each year of a place is a separate sample: intervals resample "
    "places. The smaller partitions of GEO-Bench are not read.",
    open=open_split,
    download=download,
)
