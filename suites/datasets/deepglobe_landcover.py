"""DeepGlobe Land Cover: six kinds of land in sub-metre satellite pictures, in torchgeo's layout.

The `DeepGlobe Land Cover Classification Challenge <https://competitions.codalab.org/competitions/18468>`__ dataset: of
its 1,146 pictures the 803 whose labels were published.

Dataset format:

* ``data/{training_data,test_data}/images/<id>_sat.jpg``: 2448 x 2448 pixels of 0.5 m, uint8, red green blue
* ``data/{training_data,test_data}/masks/<id>_mask.png``: one colour per class; channel values of 128 and more are read
  as 255
* splits ``train.txt``, ``crossvali.txt``, ``test.txt``, one ``<id>_sat.jpg`` per line

Each picture is cut into 16 tiles of 612 x 612, ``<id>_<row>_<column>``, which cover every pixel once.

Dataset classes: urban land (cyan), agriculture land (yellow), rangeland (magenta), forest land (green), water (blue),
barren land (white). Unknown (black) is neither trained on nor scored.

The labels of the challenge's validation and test pictures were never published. The lists are those of GLNet (CVPR
2019), which later work on complete pictures uses too: 454 / 207 / 142 pictures. The folders of torchgeo's copy, a split
without list and validation, only show where a picture lies.

If you use this dataset, please cite https://arxiv.org/abs/1805.06561. Licence: the challenge's terms (imagery of
DigitalGlobe), which are not stated where the data is served.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import Band, Fetch, Sample, Suite, Task
from bench.core.errors import MissingData
from bench.core.sensors import WORLDVIEW, rgb_bands
from suites.reading import (
    Samples,
    by_sensor,
    check_request,
    listed_path,
    locate,
    read_lines,
    read_picture,
    require_distinct,
)

if TYPE_CHECKING:
    import numpy as np

BANDS = rgb_bands(0.5, wavelengths=WORLDVIEW)
CLASSES = ("Urban land", "Agriculture land", "Rangeland", "Forest land", "Water", "Barren land")
IGNORE = -1
# Colour, as 4 red + 2 green + 1 blue for channels that are on -> code; red alone (4) is no class.
CODES = {3: 0, 6: 1, 5: 2, 2: 3, 1: 4, 7: 5, 0: IGNORE}
LISTS = {
    "train": ("train.txt", "4838a2b4401baa937156d7fa2fea05e7"),
    "val": ("crossvali.txt", "34f1f618ef9e8eec5d2db0c809de2c85"),
    "test": ("test.txt", "0626f8d4aa0a1af193ed7affb9f9adab"),
}
LISTS_AT = "https://raw.githubusercontent.com/VITA-Group/GLNet/7b7bdee196e368a1f3a32c54b984915f8e397275/"
FOLDERS = (Path("data", "training_data"), Path("data", "test_data"))
WHOLE, SIDE = 2448, 612
PER_SIDE = WHOLE // SIDE


def _pairs(folder: Path, names: list[str], listed_in: str) -> list[tuple[Path, Path]]:
    """Return picture and mask of each id, from whichever folder holds them."""
    present = {
        path.name: path
        for top in FOLDERS
        for kind in ("images", "masks")
        if (folder / top / kind).is_dir()
        for path in (folder / top / kind).iterdir()
    }
    wanted = [file for name in names for file in (f"{name}_sat.jpg", f"{name}_mask.png")]
    absent = [file for file in wanted if file not in present]
    if absent:
        raise MissingData(
            f"{SUITE.name} is incomplete: {len(absent)} of {len(wanted)} files of {listed_in} are absent from "
            f"{' and '.join(str(folder / top) for top in FOLDERS)}, the first is {absent[0]}; download them again"
        )
    return [(present[f"{name}_sat.jpg"], present[f"{name}_mask.png"]) for name in names]


# Tiles of a picture are read one after the other: the picture decoded for the first serves all sixteen.
@lru_cache(maxsize=2)
def _picture(path: Path) -> np.ndarray:
    picture = read_picture(path, (3, WHOLE, WHOLE))
    picture.flags.writeable = False
    return picture


@lru_cache(maxsize=2)
def _codes(path: Path) -> np.ndarray:
    """Return a mask as int64 (2448, 2448)."""
    import numpy as np

    on = read_picture(path, (3, WHOLE, WHOLE)) >= 128
    colours = on[0] * np.uint8(4) + on[1] * np.uint8(2) + on[2] * np.uint8(1)
    known = np.full(8, 99, np.int64)
    known[list(CODES)] = list(CODES.values())
    codes: np.ndarray = known[colours]
    if (codes == 99).any():
        row, column = np.argwhere(codes == 99)[0]
        raise MissingData(f"{path} is red at row {row}, column {column}, which is the colour of no class: replace it")
    codes.flags.writeable = False
    return codes


def _tile(values: np.ndarray, number: int) -> np.ndarray:
    """Return tile `number` of an image, counted row by row."""
    row, column = divmod(number, PER_SIDE)
    return values[..., row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE].copy()


def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> Samples:
    """Return an opened split; see `bench.core.Suite.open`."""
    import numpy as np

    check_request(SUITE, task, split, bands)
    files = [file for file, _ in LISTS.values()]
    folder = locate(SUITE.name, root, SUITE.folder, files, "download=true gets the lists and tells how to get the rest")
    lists = {
        name: [
            listed_path(Path(), line, folder / file).name.removesuffix("_sat.jpg") for line in read_lines(folder / file)
        ]
        for name, (file, _) in LISTS.items()
    }
    require_distinct(SUITE.name, lists, {name: file for name, (file, _) in LISTS.items()})
    names = lists[split]
    pairs = _pairs(folder, names, LISTS[split][0])
    columns = by_sensor(bands, [band.name for band in BANDS])["rgb"]
    tiles = PER_SIDE**2

    def read(index: int) -> Sample:
        (picture, mask), number = pairs[index // tiles], index % tiles
        image = _tile(_picture(picture), number)[columns]
        return Sample(images={"rgb": image[None].astype(np.float32)}, target=_tile(_codes(mask), number))

    def read_targets() -> np.ndarray:
        present = []
        for _, mask in pairs:
            codes = _codes(mask)
            held = [set(np.unique(_tile(codes, number))) for number in range(tiles)]
            present += [[code in tile for code in range(len(CLASSES))] for tile in held]
        return np.array(present, np.int64).reshape(-1, len(CLASSES))

    ids = [f"{name}_{number // PER_SIDE}_{number % PER_SIDE}" for name in names for number in range(tiles)]
    return Samples(ids=ids, blocks=[name for name in names for _ in range(tiles)], read=read, read_targets=read_targets)


def download(root: Path, fetch: Fetch) -> None:
    """Download the lists, and report how to get the pictures, which require a login.

    Raises:
        MissingData: as long as the pictures are absent.
    """
    folder = root / SUITE.folder
    for file, md5 in LISTS.values():
        fetch(LISTS_AT + file, folder / file, md5=md5)
    if not (folder / FOLDERS[0]).exists():
        raise MissingData(
            f"{SUITE.name} needs a login: sign in, download data.zip (md5 f32684b0b2bf6f8d604cd359a399c061) from "
            f"{SUITE.url} and unpack it, so that {folder / FOLDERS[0]} appears"
        )


SUITE = Suite(
    name="deepglobe_landcover",
    version=1,
    title="DeepGlobe Land Cover: six kinds of land, 0.5 m true colour",
    bands=BANDS,
    image_size=(SIDE, SIDE),
    gsd_m=0.5,
    tasks=(Task(name="landcover", kind="segmentation", classes=CLASSES, metric="miou", ignore=IGNORE),),
    splits={"train": 7264, "val": 3312, "test": 2272},
    dataset="deepglobe_landcover",
    licence="terms of the DeepGlobe challenge (not stated with the data)",
    citation="Demir et al., DeepGlobe 2018, CVPR Workshops 2018, arXiv:1805.06561",
    url="https://www.kaggle.com/datasets/geoap96/deepglobe2018-landcover-segmentation-traindataset",
    folder="deepglobe_landcover",
    notes="GLNet's split (454 / 207 / 142 pictures) of the challenge's training pictures, not torchgeo's. Tiles of 612 "
    "pixels, 16 per picture; scores are over tiles at full size. Intervals resample pictures; unknown is not scored.",
    open=open_split,
    download=download,
)
