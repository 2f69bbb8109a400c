"""``geobench-cache``: list, verify and collect the feature cache."""

from __future__ import annotations

from bench.cli.command import run_command
from bench.cli.options import CACHE, CacheOptions
from bench.config import read_words, validate
from bench.core.errors import UnknownName
from bench.store import FeatureCache, default_cache
from bench.sweeps.listings import listing


def cache() -> None:
    """``geobench-cache ls|verify|gc``."""
    run_command(CACHE, _cache)


def _cache(words: list[str], flags: set[str]) -> int:
    actions = [word for word in words if "=" not in word] or ["ls"]
    options = validate(CacheOptions, read_words([word for word in words if "=" in word], CACHE.words))
    if actions[0] not in CACHE.actions or len(actions) > 1:
        raise UnknownName("cache action", " ".join(actions), CACHE.actions)
    store = FeatureCache(options.cache or default_cache())
    if actions[0] == "gc":
        removed = store.gc(keep_bytes=options.keep)
        listing([{"name": name, "state": "removed"} for name in removed], as_json="--json" in flags, keep=("state",))
        return 0
    rows = store.listing(verify=actions[0] == "verify")
    listing(rows, as_json="--json" in flags, title=f"{store.root}", keep=("state",))
    return 1 if actions[0] == "verify" and any(row["state"] not in ("ok", "partial") for row in rows) else 0
