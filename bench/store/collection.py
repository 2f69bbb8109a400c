"""Listing and verification of a cache, and removal of damaged, left-over and unused content."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import BadSetting, Damaged, Unwritable
from bench.core.owners import owner_is_gone
from bench.store.features import FeatureCache, read_manifest
from bench.store.files import discard, owner_of, set_aside
from bench.store.leases import claim, file_clock, is_abandoned
from bench.store.records import Store
from bench.store.row_arrays import row_array_faults
from bench.store.seals import read_sealed_bytes
from bench.store.tensors import tensors_fault

DAY = 86400.0
PASSING = ("ok", "partial", "unsealed", "left over", "no checksum known")
"""States without damage; any other state is a sentence that describes the fault."""


def _feature_folders(cache: FeatureCache) -> list[Path]:
    folders = [path for path in sorted((cache.root / "features").glob("*")) if path.is_dir()]
    return [folder for folder in folders if not folder.name.endswith(".trash")]


def listing(cache: FeatureCache, *, full: bool | None = None) -> list[dict[str, Any]]:
    """Return one row per feature set: name, model, suite, split, rows, bytes, age in days, state.

    Args:
        cache: the cache.
        full: whether to read every file regardless of its stamp; None checks the manifests only.
    """
    rows = []
    for folder in _feature_folders(cache):
        manifest: Mapping[str, Any] = {}
        if folder.name.endswith(".partial"):
            state = "partial"
        else:
            try:
                manifest = read_manifest(folder) or {}
                state = "ok" if manifest else "manifest.json is missing"
            except Damaged as error:
                state = str(error)
        if manifest and full is not None:
            state = cache.stamps.fault(folder, manifest["files"], full=full) or "ok"
        facts = manifest.get("facts", {})
        rows.append(
            {
                "name": folder.name,
                "model": facts.get("model", ""),
                "suite": facts.get("suite", ""),
                "split": facts.get("split", ""),
                "rows": manifest.get("rows", 0),
                "bytes": sum(path.lstat().st_size for path in folder.iterdir()),
                "days": round((time.time() - _newest(folder)) / DAY, 2),
                "state": state,
            }
        )
    return rows


def _newest(folder: Path) -> float:
    return max((path.lstat().st_mtime for path in folder.iterdir()), default=folder.stat().st_mtime)


def _others(cache: FeatureCache) -> Iterator[tuple[str, Path, str]]:
    """Yield (kind, path, fault or ``""``) of everything in a cache except feature sets and downloads."""
    yield from cache.memos.verify()
    for path in sorted((cache.root / "training").glob("*.pt")):
        try:
            content = read_sealed_bytes(path, path.name)
        except Damaged as error:
            yield "checkpoint", path, str(error)
        else:
            yield "checkpoint", path, f"{path} is a link to nothing" if content is None else ""
    for path in sorted((cache.root / "tuned").glob("*.safetensors")):
        yield "tuned weights", path, tensors_fault(path)
    for path, fault in row_array_faults(cache.root / "teachers"):
        yield "teacher outputs", path, fault


def verify(cache: FeatureCache) -> list[dict[str, object]]:
    """Return one row per stored thing of a cache, read in full: kind, and the columns of `listing`."""
    rows = [{"kind": "features", **row} for row in listing(cache, full=True)]
    rows += [row_of(kind, path, fault or "ok") for kind, path, fault in _others(cache)]
    return rows + [row_of("temporary", path, "left over") for path in leftovers(cache.root)]


def row_of(kind: str, path: Path, state: str, **facts: object) -> dict[str, object]:
    """Return the row of one file in the columns of `listing`."""
    status = path.lstat()
    blank = {"model": "", "suite": "", "split": "", "rows": 0}
    days = round((time.time() - status.st_mtime) / DAY, 2)
    return {"kind": kind, "name": path.name, **blank, "bytes": status.st_size, "days": days, "state": state, **facts}


def leftovers(root: Path) -> list[Path]:
    """Return the temporary files, trash and claims below a folder whose processes have ended, sorted.

    Partial feature sets are none: the next run goes on from them. Claims count once nobody has refreshed them for long.
    """
    try:
        now = file_clock(root)
    except OSError:  # read-only: nothing could be removed
        return []
    paths = [*root.glob("**/*.lock")]  # of version 0.1, which no process uses any more
    paths += [path for path in root.glob("**/*.lease") if is_abandoned(path, now)]
    for path in (*root.glob("**/.*.part"), *root.glob("**/.*.note"), *root.glob("**/*.trash")):
        gone = owner_is_gone(owner_of(path.name))
        if is_abandoned(path, now, seconds=DAY / 2) if gone is None else gone:
            paths.append(path)
    return sorted(paths)


def collect(cache: FeatureCache, *, keep_bytes: int | None = None) -> list[str]:
    """Remove what is damaged or left over, then the least recently used sets until at most `keep_bytes` remain.

    What another process reads or writes is left alone.

    Args:
        cache: the cache.
        keep_bytes: of feature sets; None keeps every sound one.

    Returns:
        The names removed.

    Raises:
        BadSetting: `keep_bytes` is negative.
        Unwritable: nothing can be removed from the cache.
    """
    if keep_bytes is not None and keep_bytes < 0:
        raise BadSetting(f"keep={keep_bytes}: a size is 0 or more; keep=0 removes every set that no process reads")
    if not cache.root.is_dir():
        return []
    rows = sorted(listing(cache, full=False), key=lambda row: row["days"])
    removed, total = [], 0
    for row in rows:
        total += row["bytes"]
        if row["state"] == "ok" and (keep_bytes is None or total <= keep_bytes):
            continue
        if _remove_set(cache, cache.root / "features" / row["name"]):
            removed.append(row["name"])
    for _, path, fault in _others(cache):
        if fault and discard(path):
            removed.append(path.name)
    removed += [path.name for path in leftovers(cache.root) if discard(path)]
    return removed + [path.name for path in cache.stamps.prune()]


def _remove_set(cache: FeatureCache, folder: Path) -> bool:
    """Remove a feature set, or a partial one, unless a process uses it; return whether it is gone."""
    if folder.name.endswith(".partial"):
        owner = owner_is_gone(owner_of(folder.name))
        if owner is False:
            return False
    name = folder.name.partition(".")[0]
    if name in cache.readers.names() and not folder.name.endswith(".partial"):
        return False
    held = claim(folder.with_name(f"{name}.lease"), wait=False)
    if held is None:
        return False
    with held:
        aside = set_aside(folder)
        if aside is None:
            if folder.exists():
                raise Unwritable(
                    f"cannot remove {folder}: this user may not write there, or the file system is read-only"
                )
            return False
        # A process may have opened it between the look and the rename; its mark is there before it opens anything.
        if name in cache.readers.names() and not folder.name.endswith(".partial") and not folder.exists():
            aside.rename(folder)
            return False
        return discard(aside)


def verify_records(results: Path) -> list[dict[str, object]]:
    """Return one row per record of a results folder: kind, and the columns of `listing`.

    The state of a record that carries no checksum is ``unsealed``.
    """
    store = Store(results)
    faults = {fault.path: fault for fault in store.faults()}
    rows = []
    for path in sorted(results.glob("*/records/*.json")):
        fault = faults.get(path)
        state = "ok" if fault is None else fault.text if fault.damaged else "unsealed"
        rows.append(row_of("record", path, state, suite=path.parent.parent.name))
    arrays = {path for path in results.glob("*/records/*.npz") if not path.with_suffix(".json").exists()}
    left = [*leftovers(results), *sorted(arrays)] if results.is_dir() else []
    return rows + [row_of("temporary", path, "left over") for path in left]
