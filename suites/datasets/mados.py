"""MADOS: marine debris, oil spills and similar features of the sea surface, in Sentinel-2 patches.

The `Marine Debris and Oil Spill <https://marine-pollution.github.io/>`__ dataset: 2,803 patches of 174 scenes, sparsely
annotated.

Dataset format, below ``MADOS/``:

* ``Scene_<s>/{10,20,60}/Scene_<s>_L2R_rhorc_<wavelength>_<n>.tif``: one band per file, Rayleigh-corrected reflectance,
  float32, 240 x 240 at 10 m, 120 x 120 at 20 m, 40 x 40 at 60 m; NaN is no data. Eleven bands, without B09 and B10. The
  wavelength in nm differs by a few nm between Sentinel-2A and 2B (865, 864). Coarser bands are repeated to 10 m, as in
  the publisher's code
* ``Scene_<s>/10/Scene_<s>_L2R_cl_<n>.tif``: codes 1..15, 0 where nothing is annotated (-1 here)
* ``splits/{train,val,test}_X.txt``: rows ``Scene_<s>_<n>``

Dataset classes: marine debris, dense Sargassum, sparse floating algae, natural organic material, ship, oil spill,
marine water, sediment-laden water, foam, turbid water, shallow water, waves and wakes, oil platform, jellyfish, sea
snot.

The publisher's splits: 1,433 / 754 / 616 patches. Dates and places are not published with the patches.

If you use this dataset, please cite https://doi.org/10.1016/j.isprsjprs.2024.02.017. Licence: CC BY 4.0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel2_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    fetch_archive,
    locate,
    read_image,
    read_lines,
    read_mask,
    require_all,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b11 b12", unit="reflectance")
# Folder (pixel size in m) and wavelength (nm, of Sentinel-2A, as in the publisher's file names) of each band.
STORED = (
    *((60, 443), (10, 492), (10, 560), (10, 665), (20, 704), (20, 740)),
    *((20, 783), (10, 833), (20, 865), (20, 1614), (20, 2202)),
)
TOLERANCE = 20
CLASSES = (
    *("marine debris", "dense Sargassum", "sparse floating algae", "natural organic material", "ship", "oil spill"),
    *("marine water", "sediment-laden water", "foam", "turbid water", "shallow water", "waves and wakes"),
    *("oil platform", "jellyfish", "sea snot"),
)
SHAPE = (240, 240)
FILE = re.compile(r"(Scene_\d+)_L2R_rhorc_(\d+)_(\d+)\.tif")


def _bands_of(folder: Path, scene: str) -> dict[str, dict[int, Path]]:
    """Return patch -> position in `BANDS` -> file, for the files of a scene."""
    files: dict[str, dict[int, Path]] = {}
    for position, (size, wavelength) in enumerate(STORED):
        for path in (folder / scene / str(size)).glob(f"{scene}_L2R_rhorc_*.tif"):
            name = FILE.fullmatch(path.name)
            if name and abs(int(name[2]) - wavelength) <= TOLERANCE:
                files.setdefault(f"{scene}_{name[3]}", {})[position] = path
    return files


def _files(folder: Path, ids: list[str], columns: list[int]) -> dict[str, list[Path]]:
    """Return patch -> files of the wanted bands, in the wanted order.

    Raises:
        MissingData: with the name of the first patch that lacks one.
    """
    scenes = {scene: _bands_of(folder, scene) for scene in dict.fromkeys(name.rpartition("_")[0] for name in ids)}
    files: dict[str, list[Path]] = {}
    for name in ids:
        scene, _, number = name.rpartition("_")
        present = scenes[scene].get(name, {})
        for column in columns:
            if column not in present:
                size, wavelength = STORED[column]
                path = folder / scene / str(size) / f"{scene}_L2R_rhorc_{wavelength}_{number}.tif"
                raise MissingData(
                    f"mados is incomplete: {name} has no band {BANDS[column].name}; looked for {path}, or a "
                    f"wavelength up to {TOLERANCE} nm from it; download it again"
                )
        files[name] = [present[column] for column in columns]
    return files


def _image(paths: list[Path], columns: list[int]) -> np.ndarray:
    """Return the bands as float32 (1, C, 240, 240)."""
    import numpy as np

    image = np.empty((1, len(paths), *SHAPE), np.float32)
    for channel, (path, column) in enumerate(zip(paths, columns, strict=True)):
        times = STORED[column][0] // 10
        values = read_image(path, (1, SHAPE[0] // times, SHAPE[1] // times), "float32")[0]
        image[0, channel] = values.repeat(times, axis=0).repeat(times, axis=1)
    return image


def _label(path: Path) -> np.ndarray:
    # On disk 0 is unlabelled and classes start at 1.
    return read_mask(path, range(len(CLASSES) + 1), (1, *SHAPE), ignore=0) - 1


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    markers = [f"splits/{name}_X.txt" for name in SUITE.splits]
    folder = locate(SUITE.name, root, SUITE.folder, markers, "get it with download=true")
    lists = {name: read_lines(folder / "splits" / f"{name}_X.txt") for name in SUITE.splits}
    require_distinct(SUITE.name, lists, {name: f"splits/{name}_X.txt" for name in lists})
    ids = lists[split]
    if strange := [name for name in ids if not re.fullmatch(r"Scene_\d+_\d+", name)]:
        raise MissingData(f"{folder / 'splits' / f'{split}_X.txt'}: {strange[0]!r} is no Scene_<s>_<n>; replace it")
    scenes = [name.rpartition("_")[0] for name in ids]
    labels = [
        folder / scene / "10" / f"{scene}_L2R_cl_{name.rpartition('_')[2]}.tif"
        for name, scene in zip(ids, scenes, strict=True)
    ]
    require_all(labels, SUITE.name, f"splits/{split}_X.txt")
    columns = by_sensor(bands, [band.name for band in BANDS])["s2"]
    files = _files(folder, ids, columns)

    def read(index: int) -> Sample:
        return Sample(images={"s2": _image(files[ids[index]], columns)}, target=_label(labels[index]))

    def read_targets() -> np.ndarray:
        present = np.zeros((len(labels), len(CLASSES) + 1), np.int64)
        for row, path in enumerate(labels):
            # Code -1, not annotated, is counted in the last column.
            present[row, np.unique(_label(path))] = 1
        return present[:, :-1]

    return Samples(ids=ids, blocks=scenes, read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's archive (4 GB), unpacked, below ``root/MADOS``."""
    if not (root / SUITE.folder).exists():
        fetch_archive(fetch, f"{SUITE.url}MADOS.zip", root / "MADOS.zip", root)


SUITE = Suite(
    name="mados",
    version=1,
    title="MADOS: marine debris, oil spills and sea surface features",
    bands=BANDS,
    image_size=SHAPE,
    gsd_m=10.0,
    levels=("s2:L2R",),
    tasks=(Task(name="surface", kind="segmentation", classes=CLASSES, metric="miou", ignore=-1),),
    splits={"train": 1433, "val": 754, "test": 616},
    dataset="mados",
    licence="CC BY 4.0",
    citation="Kikaki et al., MADOS, ISPRS Journal of Photogrammetry and Remote Sensing 210, 2024, "
    "doi:10.1016/j.isprsjprs.2024.02.017",
    url="https://zenodo.org/records/10664073/files/",
    folder="MADOS",
    notes="Rayleigh-corrected reflectance (ACOLITE), neither Level 1C nor 2A; sparse labels, all other pixels are "
    "ignored; intervals resample scenes.",
    open=open_split,
    download=download,
)
