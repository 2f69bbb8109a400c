"""The containers of GEO-Bench-2: "tortilla" files, the samples in them, and the parts of a sample.

A container is a header of 18 bytes (magic number, offset and length of the index), samples, and at the end an index in
parquet with one row per sample (``tortilla:id``, ``tortilla:data_split``, offset, length, labels, place, time). A
sample is a container again, whose offsets count from its own start, and holds parts in GeoTIFF, HDF5 or parquet.

The format's own package, tacoreader, is not used: it also reads containers from the network, and takes the lengths in a
file on trust. The tests compare the indices read here with those that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import MissingData
from suites.reading import open_hdf5, read_parquet, reading
from suites.reading.files import checked_file
from suites.reading.rasters import as_image, open_raster_bytes, pixels_of

if TYPE_CHECKING:
    import numpy as np

SPLITS = {"train": "train", "val": "validation", "test": "test"}
MAGIC = (b"#y", b"WX")
OFFSET, LENGTH = slice(2, 10), slice(10, 18)


def read_span(path: Path, offset: int, length: int, label: str) -> bytes:
    """Return `length` bytes of a container from `offset` on.

    Raises:
        MissingData: if the container ends before.
    """
    size = checked_file(path).stat().st_size
    if offset < 0 or length < 0 or offset + length > size:
        raise MissingData(f"cannot read {label}: it is cut short, at byte {size} of {offset + length}; replace it")
    with reading(label), path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def read_index(path: Path, start: int, label: str) -> list[dict[str, Any]]:
    """Return the rows of the index of the container that begins at byte `start` of a file.

    Offsets in the rows count from the beginning of the file.

    Raises:
        MissingData: if there is no container, or its index is damaged or cut short.
    """
    header = read_span(path, start, 18, label)
    if header[:2] not in MAGIC:
        raise MissingData(
            f"cannot read {label}: it begins with {header[:2]!r}, expected a container; download it again"
        )
    offset, length = (int.from_bytes(header[place], "little") for place in (OFFSET, LENGTH))
    frame = read_parquet(read_span(path, start + offset, length, label), None, label)
    with reading(label, "an index with tortilla:id, tortilla:offset and tortilla:length"):
        frame["tortilla:offset"] = frame["tortilla:offset"].astype("int64") + start
        frame["tortilla:length"] = frame["tortilla:length"].astype("int64")
        frame["tortilla:id"] = frame["tortilla:id"].astype(str)
        return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def fact_of(facts: Mapping[str, object], name: str, label: str) -> object:
    """Return a value of a row of an index.

    Raises:
        MissingData: if the index has no column of that name.
    """
    if name not in facts:
        raise MissingData(
            f"{label}: the index has no column {name!r}, only {', '.join(map(str, facts))}; download it again"
        )
    return facts[name]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of a sample.

    Attributes:
        label: container, sample and part, for messages.
        file: path of the container.
        offset: first byte of the part in it.
        length: number of bytes.
        facts: its row of the sample's index.
    """

    label: str
    file: str
    offset: int
    length: int
    facts: Mapping[str, Any]

    def fact(self, name: str) -> Any:
        """Return a value of the part's row of its index; see `fact_of`."""
        return fact_of(self.facts, name, self.label)

    def raster(self, size: tuple[int, int], count: int, *, more: bool = False) -> np.ndarray:
        """Return the first `count` bands as stored, (bands, H, W).

        Args:
            size: the (H, W) that the part must have.
            count: number of bands.
            more: whether further bands, which are not returned, may follow.

        Raises:
            MissingData: with file, sample and part if it is damaged or of another shape.
        """
        with open_raster_bytes(self.content(), self.label) as file:
            expected = (-1 if more and file.count > count else count, *size)
            return pixels_of(file, self.label, expected)[:count]

    def image(self, size: tuple[int, int], count: int, *, more: bool = False) -> np.ndarray:
        """Return the first `count` bands as float32, (bands, H, W), NaN where the raster declares no data.

        A declared 0 counts only where every band holds it; for the arguments see `raster`.

        Raises:
            MissingData: see `raster`.
        """
        with open_raster_bytes(self.content(), self.label) as file:
            expected = (-1 if more and file.count > count else count, *size)
            return as_image(file, pixels_of(file, self.label, expected), self.label, jointly=(0,))[:count]

    def content(self) -> bytes:
        """Return the bytes of the part.

        Raises:
            MissingData: if the container ends before the part does.
        """
        return read_span(Path(self.file), self.offset, self.length, self.label)

    def hdf5(self, pick: Callable[[Any], Any]) -> Any:
        """Return what `pick` takes from an HDF5 part.

        Args:
            pick: root group of the part (see `suites.reading.open_hdf5`) -> result.

        Raises:
            MissingData: with file, sample and part if `pick` fails or the part is damaged.
        """
        with open_hdf5(self.content(), self.label) as file:
            return pick(file)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One sample of a container.

    Attributes:
        name: its id.
        split: its split, as the index names it.
        file: path of the container.
        offset: first byte of the sample in it.
        facts: its row of the index.
    """

    name: str
    split: str
    file: str
    offset: int
    facts: Mapping[str, Any]

    def fact(self, name: str) -> Any:
        """Return a value of the sample's row of the index; see `fact_of`."""
        return fact_of(self.facts, name, f"{self.file}: {self.name}")

    def parts(self) -> Parts:
        """Return the parts of the sample, in the order stored.

        Raises:
            MissingData: with file and sample if its own index is damaged.
        """
        label = f"{self.file}: {self.name}"
        rows = read_index(Path(self.file), self.offset, label)
        held = {
            row["tortilla:id"]: Part(
                label=f"{label}: {row['tortilla:id']}",
                file=self.file,
                offset=row["tortilla:offset"],
                length=row["tortilla:length"],
                facts=row,
            )
            for row in rows
        }
        return Parts(label=label, held=held)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a sample by name.

    Attributes:
        label: container and sample, for messages.
        held: name -> part.
    """

    label: str
    held: Mapping[str, Part]

    def __iter__(self) -> Iterator[Part]:
        return iter(self.held.values())

    def __getitem__(self, name: str) -> Part:
        if name not in self.held:
            raise MissingData(f"{self.label} has no part {name}, only {', '.join(self.held)}; replace the file")
        return self.held[name]


def entries_of(path: Path) -> list[Entry]:
    """Return every sample of a container.

    Raises:
        MissingData: if the index is damaged, or a split unknown.
    """
    entries = []
    for facts in read_index(path, 0, f"the index of {path}"):
        name, split = facts["tortilla:id"], str(facts.get("tortilla:data_split"))
        if split not in SPLITS.values():
            raise MissingData(f"{path}: {name} is of the split {split}; known are {', '.join(SPLITS.values())}")
        offset = facts["tortilla:offset"]
        entries.append(Entry(name=name, split=split, file=str(path), offset=offset, facts=facts))
    return entries
