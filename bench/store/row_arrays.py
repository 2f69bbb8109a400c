"""RowArrays: arrays with a row per sample in the cache, filled block by block and read by row.

A folder holds one ``.npy`` per array and part, memory-mapped, and per part a sealed index with the SHA-256 of each
block that has been filled. A block is hashed again when a process first reads it; one that is damaged counts as not
filled.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.core.errors import Damaged
from bench.store.files import discard, make_folder, temporary_name, writing
from bench.store.seals import read_sealed, write_sealed

FLUSH_SECONDS = 30.0  # between writes of the index while blocks are being filled


class RowArrays:
    """Arrays of samples by name, in parts that are filled apart from each other.

    Args:
        folder: of the files.
        about: what they are about; files about something else are not read.
        rows: number of samples.
        block: samples filled at a time, in order; the last block may have fewer.
    """

    def __init__(self, folder: Path, about: Mapping[str, object], *, rows: int, block: int) -> None:
        self.folder, self.about, self.rows, self.block = folder, dict(about), rows, block
        self._hashes: dict[int, dict[str, str]] = {}
        self._maps: dict[int, dict[str, np.ndarray]] = {}
        self._verified: set[tuple[int, int]] = set()
        self._changed: set[int] = set()
        self._written = time.monotonic()

    def has(self, part: int, block: int) -> bool:
        """Return whether a block has been filled and is what was written."""
        if (part, block) in self._verified:
            return True
        expected = self._index(part).get(str(block))
        if expected is None or self._hash(part, block) != expected:
            return False
        self._verified.add((part, block))
        return True

    def put(self, part: int, block: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Fill a block.

        Args:
            part: number of the part.
            block: number of the block.
            arrays: name -> (samples of the block, ...) float32; the same names and shapes for all blocks.

        Raises:
            ValueError: a shape differs from that of an earlier block.
            Unwritable: the system refuses.
        """
        index = self._index(part)
        maps = self._maps.setdefault(part, {})
        for name, values in arrays.items():
            if name not in maps:
                maps[name] = self._created(part, name, values.shape[1:])
            if maps[name].shape[1:] != values.shape[1:]:
                raise ValueError(f"{name} has the shape {values.shape[1:]}, others {maps[name].shape[1:]}")
            maps[name][self._slice(block)] = values
        index[str(block)] = self._hash(part, block)
        self._verified.add((part, block))
        self._changed.add(part)
        if time.monotonic() - self._written > FLUSH_SECONDS:
            self.flush()

    def read(self, part: int, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """Return copies of the rows of filled blocks, by the name of the array."""
        return {name: np.asarray(values[np.asarray(rows)]) for name, values in self._maps[part].items()}

    def flush(self) -> None:
        """Write the index, so that the blocks filled so far are known to later processes."""
        for part in sorted(self._changed):
            for values in self._maps[part].values():
                if isinstance(values, np.memmap):
                    values.flush()
            shapes = {name: list(values.shape) for name, values in self._maps[part].items()}
            write_sealed(self._path(part), self.about, {"arrays": shapes, "blocks": self._hashes[part]})
        self._changed.clear()
        self._written = time.monotonic()

    def _index(self, part: int) -> dict[str, str]:
        """Return block -> hash of a part, read from its file once; empty where that cannot be used."""
        if part in self._hashes:
            return self._hashes[part]
        self._hashes[part] = {}
        try:
            content = read_sealed(self._path(part), self.about)
            if content is not None:
                self._maps[part] = {
                    name: self._opened(part, name, tuple(shape)) for name, shape in content["arrays"].items()
                }
                self._hashes[part] = dict(content["blocks"])
        except (Damaged, OSError, ValueError, KeyError, TypeError):
            self._maps.pop(part, None)
            discard(self._path(part))
        return self._hashes[part]

    def _opened(self, part: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        values: np.ndarray = np.load(self._array(part, name), mmap_mode="r+", allow_pickle=False)
        if values.shape != shape or values.dtype != np.float32:
            raise ValueError(f"{self._array(part, name)} does not hold {shape} numbers")
        return values

    def _created(self, part: int, name: str, shape: Sequence[int]) -> np.ndarray:
        """Return a new memory map that takes its place at once, so that no other process's file is cut short."""
        path = self._array(part, name)
        make_folder(self.folder)
        temporary = temporary_name(path)
        with writing(path):
            np.lib.format.open_memmap(temporary, "w+", np.float32, (self.rows, *shape)).flush()
            temporary.replace(path)
            values: np.ndarray = np.load(path, mmap_mode="r+", allow_pickle=False)
        return values

    def _hash(self, part: int, block: int) -> str:
        digest = hashlib.sha256()
        for name, values in sorted(self._maps.get(part, {}).items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values[self._slice(block)]).data)
        return digest.hexdigest()

    def _slice(self, block: int) -> slice:
        return slice(block * self.block, min((block + 1) * self.block, self.rows))

    def _path(self, part: int) -> Path:
        return self.folder / f"{part}.json"

    def _array(self, part: int, name: str) -> Path:
        return self.folder / f"{part}.{name}.npy"


def row_array_faults(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield (index, fault or ``""``) of every part of the arrays below a folder; their blocks are not hashed."""
    for path in sorted(root.glob("*/*.json")):
        try:
            content = read_sealed(path)
            missing = [name for name in content["arrays"] if not (path.parent / f"{path.stem}.{name}.npy").is_file()]
        except (Damaged, TypeError, KeyError) as error:
            yield path, str(error) or f"{path} is no index"
        else:
            yield path, f"{path} lacks {missing[0]}" if missing else ""
