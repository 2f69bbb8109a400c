"""``geobench-cache``: list, verify and collect the feature cache."""

from __future__ import annotations

from pathlib import Path

from bench.cli.command import run_command
from bench.config import read_words
from bench.core.errors import BadSetting, UnknownName
from bench.store import FeatureCache, default_cache
from bench.sweeps.console import listing


def cache() -> None:
    """``geobench-cache ls|verify|gc``."""

    def body(words: list[str], flags: set[str]) -> int:
        actions = [word for word in words if "=" not in word] or ["ls"]
        options = read_words([word for word in words if "=" in word], ("cache", "keep"))
        store = FeatureCache(Path(str(options["cache"])) if "cache" in options else default_cache())
        if actions[0] not in ("ls", "verify", "gc") or len(actions) > 1:
            raise UnknownName("cache action", " ".join(actions), ("ls", "verify", "gc"))
        if actions[0] == "gc":
            keep = options.get("keep")
            removed = store.gc(keep_bytes=None if keep is None else _bytes(str(keep)))
            listing([{"name": name, "state": "removed"} for name in removed], as_json="--json" in flags)
            return 0
        rows = store.listing(verify=actions[0] == "verify")
        listing(rows, as_json="--json" in flags, title=f"{store.root}")
        return 1 if actions[0] == "verify" and any(row["state"] not in ("ok", "partial") for row in rows) else 0

    run_command("geobench-cache", body)


def _bytes(text: str) -> int:
    units = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    number = text.upper().removesuffix("B")
    try:
        return int(float(number.rstrip("KMGT")) * units[number[-1:] if number[-1:] in units else ""])
    except ValueError:
        raise BadSetting(f"keep={text}: a size reads 500MB or 20GB") from None
