"""The containers of GEO-Bench-2: "tortilla" files, the samples in them and the parts of these.

A container is a header, samples, and at the end an index in parquet with one row a sample (``tortilla:id``,
``tortilla:data_split``, offset, length, labels, place, time). A sample is a container again, of GeoTIFF, HDF5 or
parquet parts. Indices are read with the format's own reader, tacoreader, of the package's extra ``geobench``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import MissingData
from suites.reading.files import read_raster

if TYPE_CHECKING:
    import numpy as np

EXTRA = 'pip install "geobench-run[geobench]"'
SPLITS = {"train": "train", "val": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of a sample: where its bytes lie and what the index says of it."""

    label: str
    file: str
    offset: int
    length: int
    facts: Mapping[str, Any]

    def raster(self, size: tuple[int, int], count: int, *, more: bool = False) -> np.ndarray:
        """Return its `count` bands as stored, (bands, H, W); further bands are let be if `more`.

        Raises:
            MissingData: naming file, sample and part if it is damaged or of another shape.
        """
        try:
            values = read_raster(Path(f"/vsisubfile/{self.offset}_{self.length},{self.file}"))
        except MissingData as error:
            raise MissingData(f"{self.label}: {error}") from error
        if values.shape[1:] != size or not (len(values) == count or (more and len(values) > count)):
            raise MissingData(
                f"{self.label} has shape {values.shape}, expected {(count, *size)}; replace it by the published file"
            )
        return values[:count]

    def content(self) -> bytes:
        """Return its bytes.

        Raises:
            MissingData: if the container ends before it does.
        """
        with Path(self.file).open("rb") as file:
            file.seek(self.offset)
            found = file.read(self.length)
        if len(found) < self.length:
            raise MissingData(f"{self.label} is cut short; download {self.file} again")
        return found

    def hdf5(self, pick: Callable[[Any], Any]) -> Any:
        """Return what `pick` takes out of an HDF5 part.

        Raises:
            MissingData: naming file, sample and part if that cannot be had.
        """
        import io

        import h5py  # type: ignore[import-untyped,unused-ignore]

        try:
            with h5py.File(io.BytesIO(self.content()), "r") as file:
                return pick(file)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise MissingData(f"cannot read {self.label}: {error}; it is damaged, download it again") from error


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One sample as the index has it; `open` reads the index of its parts."""

    name: str
    split: str
    file: str
    facts: Mapping[str, Any]
    open: Callable[[], Any]

    def parts(self) -> Parts:
        """Return its parts, in the order stored.

        Raises:
            MissingData: naming file and sample if its own index is damaged.
        """
        label = f"{self.file}: {self.name}"
        try:
            rows = self.open().to_dict("records")
            found = {
                str(row["tortilla:id"]): Part(
                    label=f"{label}: {row['tortilla:id']}",
                    file=self.file,
                    offset=int(row["tortilla:offset"]),
                    length=int(row["tortilla:length"]),
                    facts=row,
                )
                for row in rows
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MissingData(f"cannot read {label}: {error}; it is damaged, download it again") from error
        return Parts(label=label, held=found)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a sample by name."""

    label: str
    held: Mapping[str, Part]

    def __iter__(self) -> Iterator[Part]:
        return iter(self.held.values())

    def __getitem__(self, name: str) -> Part:
        if name not in self.held:
            raise MissingData(f"{self.label} has no part {name}, only {', '.join(self.held)}; replace the file")
        return self.held[name]


def _load(path: Path) -> Any:
    """Return a container's index, a data frame whose ``read(row)`` opens a sample."""
    import logging

    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    try:
        import tacoreader  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingData(f"{path} is read with tacoreader, which is not installed: {EXTRA}") from error
    finally:  # its import sets up the root logger, for everybody
        root.setLevel(before[0])
        root.handlers[:] = before[1]
    try:
        return tacoreader.load(str(path))
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise MissingData(f"cannot read the index of {path}: {error}; it is cut short, download it again") from error


def entries_of(path: Path) -> list[Entry]:
    """Return every sample of a container.

    Raises:
        MissingData: if the reader is not installed, the index damaged, or a split unknown.
    """
    frame = _load(path)

    def opener(row: int) -> Callable[[], Any]:
        return lambda: frame.read(row)

    found = []
    for row, facts in enumerate(frame.to_dict("records")):
        name, split = str(facts["tortilla:id"]), str(facts["tortilla:data_split"])
        if split not in SPLITS.values():
            raise MissingData(f"{path}: {name} is of the split {split}; known are {', '.join(SPLITS.values())}")
        found.append(Entry(name=name, split=split, file=str(path), facts=facts, open=opener(row)))
    return found
