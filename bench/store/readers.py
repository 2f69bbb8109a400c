"""Marks of what running processes read, so that none of it is collected under them."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from filelock import AcquireReturnProxy

from bench.core.errors import Unwritable
from bench.core.owners import owner_is_gone, owner_tag
from bench.store.files import discard
from bench.store.leases import claim, file_clock, is_abandoned


class Readers:
    """The processes that read a cache: ``<root>/readers/<owner>.sets`` lists what one has opened, one name per line.

    A claim next to it, ``<owner>.lease``, is refreshed as long as the process lives. A cache that cannot be written
    takes no marks.

    Args:
        root: the cache folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = Path(root) / "readers"
        self._names: set[str] = set()
        self._path: Path | None = None

    def add(self, name: str) -> None:
        """Mark a feature set as read by this process until it ends."""
        if name in self._names:
            return
        self._names.add(name)
        try:
            if self._path is None:
                self._path = self._begin()
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(f"{name}\n")
        except (OSError, Unwritable):
            return

    def _begin(self) -> Path:
        tag = owner_tag()
        held = claim(self._folder / f"{tag}.lease", wait=False)
        path = self._folder / f"{tag}.sets"
        weakref.finalize(self, _end, held, path, os.getpid())
        return path

    def names(self) -> set[str]:
        """Return the sets that running processes read; marks of processes that ended are removed."""
        names: set[str] = set()
        now: float | None = None
        for path in sorted(self._folder.glob("*.sets")):
            gone = owner_is_gone(path.stem)
            if gone is None:  # of another machine
                now = file_clock(self._folder) if now is None else now
                gone = is_abandoned(path.with_suffix(".lease"), now) or (
                    not path.with_suffix(".lease").exists() and is_abandoned(path, now)
                )
            if gone:
                discard(path)
                discard(path.with_suffix(".lease"))
                continue
            try:
                names.update(path.read_text(encoding="utf-8", errors="replace").split())
            except OSError:
                continue
        return names


def _end(held: AcquireReturnProxy | None, path: Path, process: int) -> None:
    """Remove the mark of this process; a forked child leaves its parent's."""
    if os.getpid() != process:
        return
    discard(path)
    if held is not None:
        held.lock.release()
