"""``geobench-cache``: list, verify and collect the feature cache; verify and seal records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.catalogue.models import entries
from bench.catalogue.weights import verify_weights
from bench.cli.command import run_command
from bench.cli.options import CACHE, CacheOptions
from bench.config import read_words, validate
from bench.core.errors import BadSetting, UnknownName
from bench.store import PASSING, FeatureCache, Store, collect, default_cache, discard, leftovers, verify_records
from bench.store import listing as feature_rows
from bench.store import verify as verify_cache
from bench.sweeps.console import console, print_line
from bench.sweeps.listings import listing


def cache() -> None:
    """``geobench-cache ls|verify|gc``."""
    run_command(CACHE, _cache)


def _cache(words: list[str], flags: set[str]) -> int:
    actions = [word for word in words if "=" not in word] or ["ls"]
    options = validate(CacheOptions, read_words([word for word in words if "=" in word], CACHE.words))
    if actions[0] not in CACHE.actions or len(actions) > 1:
        raise UnknownName("cache action", " ".join(actions), CACHE.actions)
    for name, folder in options.model_dump(include={"cache", "results"}, exclude_unset=True).items():
        if not folder.is_dir():
            raise BadSetting(f"{name}={folder} is no folder; name the one to look into")
    store, as_json = FeatureCache(options.cache or default_cache()), "--json" in flags
    if actions[0] == "gc":
        removed = collect(store, keep_bytes=options.keep)
        if options.results.is_dir():
            removed += [path.name for path in leftovers(options.results) if discard(path)]
        listing([{"name": name, "state": "removed"} for name in removed], as_json=as_json, keep=("state",))
        return 0
    if actions[0] == "ls":
        listing(feature_rows(store), as_json=as_json, title=f"{store.root}", keep=("state",))
        return 0
    if options.seal:
        Store(options.results).seal()
    rows = verify_cache(store) + verify_weights(store.root, entries().values()) + verify_records(options.results)
    # There may be thousands of records; sound ones are counted, not listed.
    shown = [row for row in rows if row["kind"] != "record" or row["state"] != "ok"]
    listing(shown, as_json=as_json, title=f"{store.root}", keep=("state",))
    if not as_json:
        print_line(console(), _summary(rows, options.results))
    return 1 if any(row["state"] not in PASSING for row in rows) else 0


def _summary(rows: Sequence[Mapping[str, object]], results: Path) -> str:
    """Return the result of the verification in one sentence."""
    records = sum(row["kind"] == "record" for row in rows)
    damaged = sum(row["state"] not in PASSING for row in rows)
    unsealed = sum(row["state"] == "unsealed" for row in rows)
    parts = [f"{len(rows) - records} things in the cache and {records} records of {results} verified"]
    parts.append(f"{damaged} damaged" if damaged else "none damaged")
    if unsealed:
        parts.append(f"{unsealed} records without a checksum (seal=true adds it)")
    return "; ".join(parts)
