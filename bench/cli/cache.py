"""``geobench-cache``: list, verify and collect the feature cache; verify and seal records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.catalogue.models import entries
from bench.catalogue.weights import verify_weights
from bench.cli.command import run_command
from bench.config import read_words
from bench.core.errors import BadSetting, UnknownName
from bench.store import PASSING, FeatureCache, Store, collect, default_cache, discard, leftovers, verify_records
from bench.store import listing as feature_rows
from bench.store import verify as verify_cache
from bench.sweeps.console import console, listing

ACTIONS = {"ls": ("cache",), "verify": ("cache", "results", "seal"), "gc": ("cache", "keep", "results")}


def cache() -> None:
    """``geobench-cache ls|verify|gc``."""

    def body(words: list[str], flags: set[str]) -> int:
        actions = [word for word in words if "=" not in word] or ["ls"]
        if actions[0] not in ACTIONS or len(actions) > 1:
            raise UnknownName("cache action", " ".join(actions), ACTIONS)
        options = read_words([word for word in words if "=" in word], ACTIONS[actions[0]])
        store = FeatureCache(Path(str(options["cache"])) if "cache" in options else default_cache())
        results = Path(str(options.get("results", "results")))
        as_json = "--json" in flags
        if actions[0] == "gc":
            keep = options.get("keep")
            removed = collect(store, keep_bytes=None if keep is None else _bytes(str(keep)))
            if results.is_dir():
                removed += [path.name for path in leftovers(results) if discard(path)]
            listing([{"name": name, "state": "removed"} for name in removed], as_json=as_json)
            return 0
        if actions[0] == "ls":
            listing(feature_rows(store), as_json=as_json, title=f"{store.root}")
            return 0
        if _yes("seal", options.get("seal", "false")):
            Store(results).seal()
        rows = verify_cache(store) + verify_weights(store.root, entries().values()) + verify_records(results)
        damaged = [row for row in rows if row["state"] not in PASSING]
        # Of records, of which there are thousands, the sound ones are counted only.
        shown = [row for row in rows if row["kind"] != "record" or row["state"] != "ok"]
        listing(shown, as_json=as_json, title=f"{store.root}")
        if not as_json:
            console().print(_summary(rows, results), markup=False, highlight=False, soft_wrap=True)
        return 1 if damaged else 0

    run_command("geobench-cache", body)


def _summary(rows: Sequence[Mapping[str, Any]], results: Path) -> str:
    """Return in one sentence what verification found."""
    records = [row for row in rows if row["kind"] == "record"]
    damaged = sum(row["state"] not in PASSING for row in rows)
    unsealed = sum(row["state"] == "unsealed" for row in rows)
    parts = [f"{len(rows) - len(records)} things in the cache and {len(records)} records of {results} verified"]
    parts.append(f"{damaged} damaged" if damaged else "none damaged")
    if unsealed:
        parts.append(f"{unsealed} records without a checksum (seal=true adds it)")
    return "; ".join(parts)


def _yes(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise BadSetting(f"{name}={value}: write {name}=true or {name}=false")
    return str(value).lower() == "true"


def _bytes(text: str) -> int:
    units = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    number = text.upper().removesuffix("B")
    unit = number[-1:] if number[-1:] in units else ""
    try:
        size = float(number.removesuffix(unit)) * units[unit]
    except ValueError:
        size = math.nan
    if not (math.isfinite(size) and size >= 0):
        raise BadSetting(f"keep={text}: a size reads 500MB or 20GB, and is 0 or more")
    return int(size)
