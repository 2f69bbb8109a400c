"""FeatureWriter: rows appended to the arrays of a feature set, continued where a killed process stopped."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.core import Layer
from bench.core.errors import Damaged
from bench.core.owners import owner_is_gone, owner_tag
from bench.store.files import discard, make_folder, owner_of, set_aside, writing
from bench.store.leases import LEASE_SECONDS, file_clock
from bench.store.seals import read_sealed, write_sealed

CHUNK = 1 << 22
PROGRESS = "progress.json"


class FeatureWriter:
    """Appends rows to the arrays of a feature set that is under construction.

    Each writer has a folder of its own, ``NAME.OWNER.partial``: two that write one set at once, because their claims do
    not reach each other, never share a file. One that finds the folder of a process that ended takes it over. Checksums
    are those of the rows as they were handed over, not of what a file turns out to hold.

    Args:
        final: where the set is put by `commit`.
        ids: row ids, in order.
        shapes: array name -> (shape of a row, dtype).
        key: what the set is, kept in its manifest.
        layers: of the backbone, kept in the manifest.
        is_sound: folder of a set -> whether it can be used; asked where `final` is there already.
    """

    def __init__(
        self,
        final: Path,
        ids: Sequence[str],
        shapes: Mapping[str, tuple[tuple[int, ...], str]],
        key: Mapping[str, object],
        layers: Sequence[Layer],
        is_sound: Callable[[Path], bool],
    ) -> None:
        self._final, self._key, self._is_sound = final, dict(key), is_sound
        self._layers = [asdict(layer) for layer in layers]
        self.ids, self._shapes = list(ids), dict(shapes)
        self._plan = {"ids": self.ids, "files": {name: [list(shape), dtype] for name, (shape, dtype) in shapes.items()}}
        self.rows = 0
        self._crc32: dict[str, int] = {}
        self._streams: dict[str, io.BufferedRandom] = {}
        self._done = False
        self._folder = final.with_name(f"{final.name}.{owner_tag()}.partial")
        make_folder(final.parent)
        with writing(self._folder):
            if not (self._take_over() and self._resume()):
                discard(self._folder)
                self._begin()

    def _header(self, name: str) -> bytes:
        shape, dtype = self._shapes[name]
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (len(self.ids), *shape)}
        )
        return header.getvalue()

    def _begin(self) -> None:
        self.rows = 0
        self._folder.mkdir(parents=True)
        for name in self._shapes:
            header = self._header(name)
            self._crc32[name] = zlib.crc32(header)
            self._streams[name] = (self._folder / f"{name}.npy").open("w+b")
            self._streams[name].write(header)

    def _take_over(self) -> bool:
        """Rename the furthest partial folder of a process that ended to this writer's; return whether there was one."""
        candidates = []
        for folder in self._final.parent.glob(f"{self._final.name}.*partial"):
            if _is_left(folder):
                with suppress(Damaged, TypeError, KeyError):
                    candidates.append((int(read_sealed(folder / PROGRESS, self._plan)["rows"]), folder))
        for _, folder in sorted(candidates, reverse=True):
            with suppress(OSError):  # another took it first
                folder.rename(self._folder)
                return True
        return False

    def _resume(self) -> bool:
        """Continue in the folder taken over; return whether its files hold the rows that its progress vouches for."""
        try:
            progress = read_sealed(self._folder / PROGRESS, self._plan)
            rows, expected = int(progress["rows"]), dict(progress["crc32"])
        except (Damaged, TypeError, KeyError):
            return False
        for name, (shape, dtype) in self._shapes.items():
            length = len(self._header(name)) + rows * int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
            try:
                stream = (self._folder / f"{name}.npy").open("r+b")
            except OSError:
                return self._give_up()
            self._streams[name] = stream
            self._crc32[name] = _crc32_of_start(stream, length)
            # Whatever lies past the last row that the progress vouches for was cut off half-way.
            stream.truncate(length)
            stream.seek(0, io.SEEK_END)
            if stream.tell() != length or self._crc32[name] != expected.get(name):
                return self._give_up()
        self.rows = rows
        return True

    def _give_up(self) -> bool:
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()
        return False

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Append the same number of rows to every array.

        Raises:
            ValueError: the rows are not those declared.
            Unwritable: the disk is full or gone.
        """
        counts = {len(array) for array in rows.values()}
        if set(rows) != set(self._shapes) or len(counts) != 1:
            raise ValueError(f"append needs equally many rows of {sorted(self._shapes)}, got {sorted(rows)}: {counts}")
        for name, array in rows.items():
            shape, dtype = self._shapes[name]
            if array.shape[1:] != shape:
                raise ValueError(f"{name}: a row has shape {array.shape[1:]}, declared {shape}")
            content = np.ascontiguousarray(array, dtype=dtype).tobytes()
            self._crc32[name] = zlib.crc32(content, self._crc32[name])
            with writing(self._folder):
                self._streams[name].write(content)
        self.rows += counts.pop()

    def flush(self) -> None:
        """Make the rows so far survive a kill."""
        self._sync()
        write_sealed(self._folder / PROGRESS, self._plan, {"rows": self.rows, "crc32": self._crc32})

    def _sync(self) -> None:
        with writing(self._folder):
            for stream in self._streams.values():
                stream.flush()
                os.fsync(stream.fileno())

    def commit(self) -> None:
        """Write the manifest with the checksums and move the set into place, unless a sound one is there by now.

        Raises:
            ValueError: rows are missing.
            Unwritable: the system refuses.
        """
        if self.rows != len(self.ids):
            raise ValueError(f"{self.rows} of {len(self.ids)} rows written")
        self._sync()
        for stream in self._streams.values():
            stream.close()
        manifest = {
            "facts": self._key,
            "ids": self.ids,
            "files": {name: {"crc32": f"{value:08x}"} for name, value in self._crc32.items()},
            "rows": self.rows,
            "layers": self._layers,
        }
        write_sealed(self._folder / "manifest.json", self._key, manifest)
        discard(self._folder / PROGRESS)
        self._done = True
        with writing(self._final):
            self._publish()
        for folder in self._final.parent.glob(f"{self._final.name}.*partial"):
            if _is_left(folder):
                discard(folder)

    def _publish(self) -> None:
        """Rename the folder to its final name. A rename never replaces a set that is there; the loser drops its own."""
        while True:
            try:
                self._folder.rename(self._final)
            except OSError:
                if not self._final.exists():
                    raise
            else:
                return
            if self._is_sound(self._final):
                discard(self._folder)
                return
            if aside := set_aside(self._final):
                discard(aside)

    def close(self) -> None:
        """Close the files; what was not committed is left for the next writer of the set."""
        for stream in self._streams.values():
            with suppress(OSError):
                stream.close()
        if not self._done:
            self._done = True
            with suppress(OSError):
                self._folder.rename(self._final.with_name(f"{self._final.name}.left_{owner_tag()[-8:]}.partial"))


def _is_left(folder: Path) -> bool:
    """Return whether the process that wrote a partial folder has ended, or shown no life for the time of a lease."""
    gone = owner_is_gone(owner_of(folder.name))
    if gone is None:
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            return file_clock(folder.parent) - newest > 2 * LEASE_SECONDS
        except OSError:
            return False
    return gone


def _crc32_of_start(stream: io.BufferedRandom, length: int) -> int:
    """Return the CRC-32 of the first `length` bytes of a file."""
    stream.seek(0)
    value, left = 0, length
    while left and (chunk := stream.read(min(CHUNK, left))):
        value = zlib.crc32(chunk, value)
        left -= len(chunk)
    return value
