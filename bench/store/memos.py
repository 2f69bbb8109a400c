"""Small results kept by what they were computed from: hashes of data and files, train statistics, notes on weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core import sha256_of
from bench.core.errors import Damaged, Unwritable
from bench.store.files import discard
from bench.store.seals import read_sealed, write_sealed

KINDS = ("contents", "statistics", "hashes", "first_hashes", "weight_notes", "networks")


class Memos:
    """Sealed JSON values by content key: ``<root>/<kind>/<digest of the key>.json``.

    A memo saves work and decides nothing: where it cannot be written, nothing is kept; one that is damaged, or is of
    another key, is removed and made again.

    Args:
        root: the cache folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, kind: str, key: Mapping[str, Any]) -> Path:
        """Return where the value of a key is kept."""
        return self.root / kind / f"{sha256_of(dict(key))[:24]}.json"

    def recall(self, kind: str, key: Mapping[str, object]) -> Any:
        """Return the value kept for a key, or None."""
        path = self.path(kind, key)
        try:
            return read_sealed(path, dict(key))
        except Damaged:
            discard(path)
            return None

    def remember(self, kind: str, key: Mapping[str, object], value: object) -> None:
        """Keep a value for a key, where the cache can be written."""
        try:
            write_sealed(self.path(kind, key), dict(key), value)
        except Unwritable:
            return

    def verify(self) -> Iterator[tuple[str, Path, str]]:
        """Yield (kind, path, fault or ``""``) of every memo, sorted by path."""
        for kind in KINDS:
            for path in sorted((self.root / kind).glob("*.json")):
                try:
                    value = read_sealed(path)
                except Damaged as error:
                    yield kind, path, str(error)
                else:
                    yield kind, path, "" if value is not None or path.exists() else f"{path} is a link to nothing"
