"""Where an entry's weights are: the ``weights=`` folder, then the cache, then a download. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from bench.catalogue.download import fetch, file_hash
from bench.core import ModelEntry
from bench.core.errors import MissingData, MissingWeights
from bench.store import write_atomic

State = Literal["present", "downloadable", "missing", "none"]
PACKAGED = Path(__file__).parents[1] / "models"


def lacks(entry: ModelEntry) -> bool:
    """Return whether an entry's network needs a package that is not installed."""
    return bool(entry.requires) and find_spec(entry.requires) is None


@dataclass(frozen=True, kw_only=True)
class WeightSources:
    """The places weights are looked for.

    Attributes:
        folder: the ``weights=`` folder, or None.
        cache: the cache folder; downloads land in ``<cache>/weights``.
        download: whether the network may be used.
    """

    folder: Path | None
    cache: Path
    download: bool = True

    def places(self, entry: ModelEntry) -> list[Path]:
        """Return the paths an entry's file may have, in the order they are looked at."""
        assert entry.weights is not None
        file = entry.weights.file
        folders = [self.folder] if self.folder else []
        return [folder / file for folder in [*folders, PACKAGED, self.cache / "weights"]]

    def state(self, entry: ModelEntry) -> State:
        """Return whether the weights are at hand, without fetching anything."""
        if lacks(entry):
            return "missing"
        if entry.weights is None:
            return "none"
        if any(path.exists() for path in self.places(entry)):
            return "present"
        return "downloadable" if entry.weights.url and self.download else "missing"

    def remedy(self, entry: ModelEntry) -> str:
        """Return what a person does to get an entry's weights, or the package its network comes from."""
        if lacks(entry):
            return f"pip install 'geobench-run[{entry.requires}]'"
        assert entry.weights is not None
        if Path(entry.weights.file).is_absolute():
            return f"put the file at {entry.weights.file}"
        where = self.folder or self.cache / "weights"
        how = entry.weights.how or (f"fetch {entry.weights.url}" if entry.weights.url else "see its reference")
        return f"{how} and put it at {where / entry.weights.file}, or set weights="

    def find(self, entry: ModelEntry, progress: Callable[[int, int], None] | None = None) -> Path | None:
        """Return the checked weights file of an entry, None for an entry without weights.

        Raises:
            MissingWeights: not at hand and not to be had, or not the file its publisher names.
        """
        if lacks(entry):
            raise MissingWeights(f"{entry.name}: its network is of another package; {self.remedy(entry)}")
        if entry.weights is None:
            return None
        for path in self.places(entry):
            if path.exists():
                self.digest(entry, path)
                return path
        if not (entry.weights.url and self.download):
            looked = ", ".join(str(path) for path in self.places(entry))
            raise MissingWeights(f"{entry.name}: no weights; looked at {looked}; {self.remedy(entry)}")
        try:
            path = fetch(
                entry.weights.url,
                self.places(entry)[-1],
                sha256=entry.weights.sha256,
                md5=entry.weights.md5,
                progress=progress,
            )
        except MissingData as error:
            reason = str(error).removeprefix(f"{entry.weights.url}: ")  # the remedy names it
            raise MissingWeights(f"{entry.name}: {reason}; {self.remedy(entry)}") from error
        self.digest(entry, path)
        return path

    def digest(self, entry: ModelEntry, path: Path | None = None) -> str:
        """Return the SHA-256 of an entry's file at hand; ``random`` for a twin, ``none`` for a control.

        A file whose publisher states no hash has its hash recorded the first time and enforced after.

        Raises:
            MissingWeights: the file is not the one stated or recorded, or is not at hand.
        """
        if lacks(entry):
            raise MissingWeights(f"{entry.name}: its network is of another package; {self.remedy(entry)}")
        if entry.weights is None:
            return "random" if entry.origin == "random" else "none"
        path = path or next((place for place in self.places(entry) if place.exists()), None)
        if path is None:
            raise MissingWeights(f"{entry.name}: no weights at hand; {self.remedy(entry)}")
        found = self._hash(path)
        expected, said = entry.weights.sha256, "what its publisher states"
        if not expected and Path(entry.weights.file).is_absolute():
            return found  # a user's own file may change; runs are told apart by this hash
        if not expected:
            ledger = self.cache / "weights" / "recorded_hashes.json"
            recorded = json.loads(ledger.read_text()) if ledger.exists() else {}
            expected, said = recorded.setdefault(entry.weights.file, found), f"recorded in {ledger} at first sight"
            if expected == found:
                write_atomic(ledger, json.dumps(recorded, indent=1, sort_keys=True).encode())
        if not found.startswith(expected):
            raise MissingWeights(
                f"{entry.name}: {path} has sha256 {found}, but {expected} is {said}: a damaged or another file; "
                "delete it to fetch it again"
            )
        return found

    def _hash(self, path: Path) -> str:
        """Hash a file once for each size and time of change."""
        status = path.stat()
        stamp = f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}"
        ledger = self.cache / "weights" / "hashes.json"
        try:
            known = json.loads(ledger.read_text())
        except (OSError, ValueError):
            known = {}
        if stamp not in known:
            known[stamp] = file_hash(path)
            write_atomic(ledger, json.dumps(known, indent=1, sort_keys=True).encode())
        return str(known[stamp])
