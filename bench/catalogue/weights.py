"""Sources of an entry's weights: the ``weights=`` folder, then the cache, then a download. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from bench.catalogue.download import NEVER, fetch, file_hash
from bench.core import ModelEntry
from bench.core.contents import REFUSALS, head_of, kind_of
from bench.core.errors import MissingData, MissingWeights
from bench.store import Memos, row_of
from bench.store.files import discard
from bench.store.stamps import signature_of

State = Literal["present", "downloadable", "missing", "none"]
PACKAGED = Path(__file__).parents[1] / "models"
TO_BE_FETCHED = "to be fetched from "
"""Prefix of the URL that stands in a plan for the hash of weights that are not downloaded yet."""
AGAIN = "delete it to fetch it again"


def lacks(entry: ModelEntry) -> bool:
    """Return whether an entry's network needs a package that is not installed."""
    return bool(entry.requires) and find_spec(entry.requires) is None


@dataclass(frozen=True, kw_only=True)
class WeightSources:
    """Places that are searched for weights, in order.

    A file is hashed in full before its weights are loaded, once per process, so that damage on the disk is detected.
    Plans and listings take the hash from a memo as long as size and times of the file are unchanged.

    Attributes:
        folder: the ``weights=`` folder, or None.
        cache: the cache folder; downloads land in ``<cache>/weights``.
        download: whether the network may be used.
    """

    folder: Path | None
    cache: Path
    download: bool = True
    _hashed: dict[Path, tuple[list[int], str]] = field(default_factory=dict, compare=False, repr=False)

    def places(self, entry: ModelEntry) -> list[Path]:
        """Return the possible paths of an entry's file, in the order in which they are tried."""
        assert entry.weights is not None
        file = entry.weights.file
        folders = [self.folder] if self.folder else []
        return [folder / file for folder in [*folders, PACKAGED, self.cache / "weights"]]

    def _at_hand(self, entry: ModelEntry) -> Path | None:
        """Return the file that would be used, None where there is none."""
        return next((path for path in self.places(entry) if path.is_file()), None)

    def _can_fetch(self, entry: ModelEntry) -> bool:
        """Return whether the file can be downloaded to the cache, also to replace a damaged one there."""
        assert entry.weights is not None
        return bool(entry.weights.url) and self.download and self._at_hand(entry) in (None, self.places(entry)[-1])

    def state(self, entry: ModelEntry) -> State:
        """Return whether the weights are available, without downloading or hashing anything."""
        if lacks(entry):
            return "missing"
        if entry.weights is None:
            return "none"
        path = self._at_hand(entry)
        if path is not None and not _refusal(path):
            return "present"
        return "downloadable" if self._can_fetch(entry) else "missing" if path is None else "present"

    def remedy(self, entry: ModelEntry) -> str:
        """Return how to get the weights of an entry, or the package of its network, as an instruction."""
        if lacks(entry):
            return f"pip install 'geobench-run[{entry.requires}]'"
        assert entry.weights is not None
        if Path(entry.weights.file).is_absolute():
            return f"put the file at {entry.weights.file}"
        where = self.folder or self.cache / "weights"
        how = entry.weights.how or (f"fetch {entry.weights.url}" if entry.weights.url else "see its reference")
        return f"{how} and put it at {where / entry.weights.file}, or set weights="

    def find(
        self, entry: ModelEntry, progress: Callable[[int, int], None] | None = None, *, expected: str = ""
    ) -> Path | None:
        """Return the weights file of an entry, hashed in full by this process; None for an entry without weights.

        A damaged download in the cache is fetched again; files in other places are never changed.

        Args:
            entry: the model.
            progress: see `bench.catalogue.download.fetch`.
            expected: SHA-256 that the run was planned with, if any.

        Raises:
            MissingWeights: the file is not available and cannot be downloaded, or its hash is not that of its publisher
                or of the plan.
        """
        self._require_package(entry)
        if entry.weights is None:
            return None
        path = self._at_hand(entry)
        if path is not None:
            try:
                self._require(entry, path, expected, full=True)
            except MissingWeights:
                if not self._can_fetch(entry):
                    raise
                discard(path)
            else:
                return path
        if not self._can_fetch(entry):
            looked = ", ".join(str(place) for place in self.places(entry))
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
        self._require(entry, path, expected, full=True)
        return path

    def digest(self, entry: ModelEntry) -> str:
        """Return the SHA-256 of an entry's available file; ``random`` for a twin, ``none`` for a control.

        Nothing is downloaded. Where the publisher states no hash, the hash of the first file is recorded and enforced.

        Raises:
            MissingWeights: the file is not available, or has another hash than the one stated or recorded.
        """
        self._require_package(entry)
        if entry.weights is None:
            return "random" if entry.origin == "random" else "none"
        path = self._at_hand(entry)
        if path is None:
            raise MissingWeights(f"{entry.name}: no weights at hand; {self.remedy(entry)}")
        return self._require(entry, path)

    def planned_digest(self, entry: ModelEntry) -> str:
        """Return `digest`, or `TO_BE_FETCHED` and the URL where the file is not downloaded yet. Downloads nothing.

        Raises:
            MissingWeights: the file is not available and cannot be downloaded.
        """
        try:
            return self.digest(entry)
        except MissingWeights:
            if lacks(entry) or not self._can_fetch(entry):
                raise
            assert entry.weights is not None
            return TO_BE_FETCHED + entry.weights.url

    def _require_package(self, entry: ModelEntry) -> None:
        if lacks(entry):
            raise MissingWeights(f"{entry.name}: its network is of another package; {self.remedy(entry)}")

    def _require(self, entry: ModelEntry, path: Path, planned: str = "", *, full: bool = False) -> str:
        """Return the SHA-256 of an entry's file.

        Args:
            entry: the model.
            path: the file.
            planned: the SHA-256 that it must have, if any.
            full: read the whole file, unless this process has done so.

        Raises:
            MissingWeights: the file is not the one its publisher states, the one seen first, or the one planned with.
        """
        assert entry.weights is not None
        if refusal := _refusal(path):
            raise MissingWeights(f"{entry.name}: {path} {refusal}; {AGAIN}")
        try:
            digest = self._hash(path, full=full)
        except OSError as error:
            raise MissingWeights(f"{entry.name}: {path} cannot be read ({error.strerror})") from error
        expected, stated = entry.weights.sha256.lower(), "what its publisher states"
        # A user's own file may change; its hash is part of the identity of a run.
        if not expected and not Path(entry.weights.file).is_absolute():
            memos, key = Memos(self.cache), {"file": entry.weights.file}
            expected = str(memos.recall("first_hashes", key) or "")
            stated = f"recorded in {memos.path('first_hashes', key)} at first sight"
            if not expected:
                memos.remember("first_hashes", key, digest)
        if not digest.startswith(expected):
            raise MissingWeights(
                f"{entry.name}: {path} has sha256 {digest}, but {expected} is {stated}: a damaged or another file; "
                f"{AGAIN}"
            )
        if planned and digest != planned:
            raise MissingWeights(
                f"{entry.name}: {path} has sha256 {digest}, but the plan was made with {planned}: it has changed; "
                "run again"
            )
        return digest

    def _hash(self, path: Path, *, full: bool) -> str:
        """Return the SHA-256 of a file: from this process's own reading, or unless `full` from the memo."""
        signature = signature_of(path)
        if (known := self._hashed.get(path)) and known[0] == signature:
            return known[1]
        memos, key = Memos(self.cache), {"path": str(path.resolve()), "signature": signature}
        if not full and (digest := memos.recall("hashes", key)):
            return str(digest)
        digest = file_hash(path)
        self._hashed[path] = (signature, digest)
        memos.remember("hashes", key, digest)
        return digest


def _refusal(path: Path) -> str:
    """Return why a file cannot hold weights, judged from its first bytes; ``""`` where it may."""
    try:
        kind = kind_of(head_of(path))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return REFUSALS[kind] if kind in NEVER else ""


def verify_weights(cache: Path, entries: Iterable[ModelEntry]) -> list[dict[str, object]]:
    """Return one row per downloaded weights file of a cache, each hashed in full; see `bench.store.verify`.

    A file is compared with the hash its publisher states, else with the one recorded at first sight.
    """
    folder, memos = cache / "weights", Memos(cache)
    stated = {entry.weights.file: entry.weights.sha256.lower() for entry in entries if entry.weights}
    rows = []
    for path in sorted(folder.rglob("*")):
        if (path.is_dir() and not path.is_symlink()) or path.name.startswith(".") or path.suffix == ".lease":
            continue
        file = path.relative_to(folder).as_posix()
        expected = stated.get(file) or str(memos.recall("first_hashes", {"file": file}) or "")
        state = "ok" if expected else "no checksum known"
        if refusal := _refusal(path):
            state = f"{path} {refusal}"
        elif expected and not (digest := file_hash(path)).startswith(expected):
            state = f"{path} has sha256 {digest}, expected {expected}"
        rows.append({**row_of("weights", path, state), "name": file})
    return rows
