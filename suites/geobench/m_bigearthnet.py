"""m-bigearthnet of GEO-Bench: 43 land-cover labels of Sentinel-2 patches, 20,000 of them for training.

A sample of `BigEarthNet <https://bigearth.net>`__ version 1 in `GEO-Bench
<https://github.com/ServiceNow/geo-bench>`__ version 1.0.

Dataset format, below ``classification_v1.0/m-bigearthnet/`` (see `suites.geobench._reader`):

* ``id_<n>.hdf5``: 12 arrays of 120 x 120 float32, surface reflectance x 10000, at 10 m (coarser bands resampled
  bilinearly by the publisher)
* ``label_stats.json``: sample -> 43 values 0 or 1

Dataset classes: the 43 of CORINE level 3 that occur, in torchgeo's order; see `CLASSES`.

The publisher's splits (``default_partition.json``): 20,000 / 1,000 / 1,000, drawn from those of BigEarthNet so that
rare labels occur more often.

If you use this dataset, please cite https://doi.org/10.1109/IGARSS.2019.8900532 and
https://doi.org/10.48550/arXiv.2306.03831. Licence: CDLA-Permissive-1.0.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Band, Fetch, Suite, Task
from bench.core.sensors import sentinel2_bands
from suites.geobench._reader import CITATION, FOLDER, URL, Layout, download_files, open_files, sentinel2_names
from suites.reading import Samples

NAMES = "b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12"
LAYOUT = Layout(part="classification", dataset="m-bigearthnet", stored=sentinel2_names(NAMES))
CLASSES = (
    "Continuous urban fabric",
    "Discontinuous urban fabric",
    "Industrial or commercial units",
    "Road and rail networks and associated land",
    *("Port areas", "Airports", "Mineral extraction sites", "Dump sites", "Construction sites", "Green urban areas"),
    *("Sport and leisure facilities", "Non-irrigated arable land", "Permanently irrigated land", "Rice fields"),
    *("Vineyards", "Fruit trees and berry plantations", "Olive groves", "Pastures"),
    "Annual crops associated with permanent crops",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    *("Agro-forestry areas", "Broad-leaved forest", "Coniferous forest", "Mixed forest", "Natural grassland"),
    *("Moors and heathland", "Sclerophyllous vegetation", "Transitional woodland/shrub", "Beaches, dunes, sands"),
    *("Bare rock", "Sparsely vegetated areas", "Burnt areas", "Inland marshes", "Peatbogs", "Salt marshes", "Salines"),
    *("Intertidal flats", "Water courses", "Water bodies", "Coastal lagoons", "Estuaries", "Sea and ocean"),
)


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    return open_files(SUITE, LAYOUT, root, task, split, bands)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive below ``root/geobench``."""
    download_files(LAYOUT, root, fetch)


SUITE = Suite(
    name="m_bigearthnet",
    version=1,
    title="GEO-Bench m-bigearthnet: 43 land-cover labels, 12 Sentinel-2 bands",
    bands=sentinel2_bands(NAMES),
    image_size=(120, 120),
    gsd_m=10.0,
    levels=("s2:L2A",),
    tasks=(Task(name="landcover", kind="multilabel", classes=CLASSES, metric="micro_f1"),),
    splits={"train": 20000, "val": 1000, "test": 1000},
    dataset="bigearthnet",
    licence="CDLA-Permissive-1.0",
    citation=f"Sumbul et al., BigEarthNet, IGARSS 2019, doi:10.1109/IGARSS.2019.8900532{CITATION}",
    url=URL,
    folder=FOLDER,
    notes="Version 1 of BigEarthNet with all 43 labels: a different task from bigearthnet_v2. The headline metric is "
    "that of GEO-Bench, micro F1 at probability 0.5. The files name no place: intervals resample patches and are too "
    "narrow. The smaller partitions of GEO-Bench are not read.",
    open=open_split,
    download=download,
)
