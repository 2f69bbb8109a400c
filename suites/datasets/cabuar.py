"""CaBuAr: areas burned by wildfires in California, in Sentinel-2 images before and after the fire.

The `California Burned Areas <https://huggingface.co/datasets/DarthReca/california_burned_areas>`__ dataset, part of
which was used in the ChaBuD challenge: images of 2015 and later, with perimeters of the state's fire service.

Dataset format, two HDF5 files compressed with BZip2 (which the package hdf5plugin reads):

* ``512x512.hdf5``, ``chabud_test.h5``: one group ``<fire>_<n>`` per patch, with the attribute ``fold``: 0..4 in the
  first file and ``"chabud"`` in the second
* ``<group>/pre_fire`` (in some groups), ``<group>/post_fire``: uint16 (512, 512, 12), surface reflectance x 10000 at 20
  m; bands B01 ... B08, B8A, B09, B11, B12; 0 in every band outside the swath (NaN here)
* ``<group>/mask``: uint16 (512, 512, 1); 1 burned

Dataset classes: not burned, burned.

Splits as in torchgeo: folds 1 to 4 are train, fold 0 is val, the challenge's test patches are test. Task
``burned_since`` compares both dates of the 424 patches that have both (356 of them in train and val; their number in
each is not verified). The publishers' task of one date, ``burned``, reads only ``post_fire``, of all patches.

If you use this dataset, please cite https://doi.org/10.1109/MGRS.2023.3292467. Licence: OpenRAIL as first published.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import sentinel2_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    locate,
    open_hdf5,
    read_dataset,
    read_variable,
    require,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = sentinel2_bands("b01 b02 b03 b04 b05 b06 b07 b08 b8a b09 b11 b12")
CLASSES = ("not burned", "burned")
SHAPE = (512, 512)
# File -> MD5, as torchgeo states them.
FILES = {
    "512x512.hdf5": "15d78fb825f9a81dad600db828d22c08",
    "chabud_test.h5": "a70bb7e4a2788657c2354c4c3d9296fe",
}
FOLDS = {"train": ("1", "2", "3", "4"), "val": ("0",), "test": ("chabud",)}
BURNED = Task(name="burned", kind="segmentation", classes=CLASSES, metric="miou")
BURNED_SINCE = Task(name="burned_since", kind="change", classes=CLASSES, metric="miou")
DATES = {"segmentation": ("post_fire",), "change": ("pre_fire", "post_fire")}


def _patches(path: Path, dates: tuple[str, ...]) -> dict[str, str]:
    """Return patch -> fold of the patches that have all wanted dates, after checking the shapes of their arrays."""
    known = {fold for folds in FOLDS.values() for fold in folds}
    patches: dict[str, str] = {}
    with open_hdf5(path) as file:
        for name in sorted(file):
            group = file[name]
            if hasattr(group, "shape"):
                raise MissingData(f"{path}: {name} is an array, expected a group per patch; replace the file")
            fold = group.attrs.get("fold")
            fold = fold.decode() if isinstance(fold, bytes) else str(fold)
            if fold not in known:
                raise MissingData(f"{path}: {name} is of fold {fold}; known are {', '.join(sorted(known))}: replace it")
            for part in ("post_fire", "mask"):
                if part not in group:
                    raise MissingData(f"{path}: {name} has no {part}; download it again")
            for part in group:
                expected = (*SHAPE, 1 if part == "mask" else len(BANDS))
                actual = getattr(group[part], "shape", None)
                if actual != expected:
                    raise MissingData(
                        f"{path}: {name}/{part} has shape {actual}, expected {expected}; replace the file"
                    )
            if all(date in group for date in dates):
                patches[name] = fold
    return patches


def _image(path: Path, name: str, dates: tuple[str, ...], columns: list[int]) -> np.ndarray:
    """Return the bands as float32 (T, C, H, W), NaN outside the swath."""
    import numpy as np

    images = []
    with open_hdf5(path) as file:
        for date in dates:
            values = read_variable(file, f"{name}/{date}", (*SHAPE, len(BANDS)), "uint16", label=path)
            image = values[..., columns].transpose(2, 0, 1)
            image[:, (values == 0).all(axis=-1)] = np.nan
            images.append(image)
    return np.stack(images)


def _label(path: Path, name: str) -> np.ndarray:
    import numpy as np

    with open_hdf5(path) as file:
        mask = read_dataset(file, f"{name}/mask", (*SHAPE, 1), label=path)[..., 0]
    codes = np.unique(mask)
    if not np.isin(codes, (0, 1)).all():
        raise MissingData(f"{path}: {name}/mask holds the codes {codes.tolist()}; a label is 0 or 1: replace it")
    classes: np.ndarray = mask.astype(np.int64)
    return classes


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    dates = DATES[check_request(SUITE, task, split, bands).kind]
    folder = locate(SUITE.name, root, SUITE.folder, tuple(FILES), "get it with download=true")
    folds = {
        path: _patches(require(path, SUITE.name, "one of its two files"), dates)
        for path in (folder / name for name in FILES)
    }
    require_distinct(SUITE.name, {path.name: list(patches) for path, patches in folds.items()})
    wanted = [(path, name) for path, patches in folds.items() for name, fold in patches.items() if fold in FOLDS[split]]
    columns = by_sensor(bands, [band.name for band in BANDS])["s2"]

    def read(index: int) -> Sample:
        path, name = wanted[index]
        return Sample(images={"s2": _image(path, name, dates, columns)}, target=_label(path, name))

    def read_targets() -> np.ndarray:
        masks = (_label(path, name) for path, name in wanted)
        return np.array([[(mask == code).any() for code in (0, 1)] for mask in masks], np.int64).reshape(-1, 2)

    return Samples(
        ids=[name for _, name in wanted],
        blocks=[name.rpartition("_")[0] for _, name in wanted],
        read=read,
        read_targets=read_targets,
    )


def download(root: Path, fetch: Fetch) -> None:
    """Put the publisher's two files of patches below ``root/cabuar``."""
    for name, md5 in FILES.items():
        fetch(f"{SUITE.url}{name}", root / SUITE.folder / name, md5=md5)


SUITE = Suite(
    name="cabuar",
    version=1,
    title="CaBuAr: areas burned by wildfires in California, before and after",
    bands=BANDS,
    image_size=SHAPE,
    gsd_m=20.0,
    levels=("s2:L2A",),
    dates=2,
    # `BURNED` has one date: it can be added once the tasks of a suite may differ in their number of dates.
    tasks=(BURNED_SINCE,),
    splits={"train": 278, "val": 78, "test": 68},
    dataset="cabuar",
    licence="OpenRAIL",
    citation="Rege Cambrin et al., CaBuAr, IEEE GRSM 2023, doi:10.1109/MGRS.2023.3292467",
    url="https://huggingface.co/datasets/DarthReca/california_burned_areas/resolve/main/raw/patched/",
    folder="cabuar",
    notes="Every patch has burned pixels. Images of 2022 and later may contain the offset of processing baseline "
    "04.00, which the files do not state. Dates and places are in a table of the publisher that is not read here. "
    "Intervals resample fires.",
    open=open_split,
    download=download,
)
