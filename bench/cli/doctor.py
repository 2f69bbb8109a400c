"""``geobench-doctor``: the input contract of each pair, checked against the data."""

from __future__ import annotations

from bench.cli.command import run_command
from bench.config import run_config
from bench.core import lookup
from bench.sweeps.console import listing
from bench.sweeps.sweep import Resolved, resolve


def doctor() -> None:
    """``geobench-doctor``: the input contract of each pair, side by side with what is really there."""

    def body(words: list[str], flags: set[str]) -> int:
        from bench.preflight.doctor import checkup

        request = resolve(run_config(words, lookup.names("bench.protocols")))
        if "--audit" in flags:
            return _audit(request, as_json="--json" in flags)
        rows = checkup(request.suite, request.entries, request.config, request.shelf, request.cache)
        listing(rows, as_json="--json" in flags, title=f"{request.suite.name}: {request.suite.title}")
        return 1 if any(row["state"] == "error" for row in rows) else 0

    run_command("geobench-doctor", body)


def _audit(request: Resolved, *, as_json: bool) -> int:
    """List every fault of a suite's files; return the exit code."""
    from bench.catalogue.suites import select_bands, select_tasks
    from bench.preflight.audit import audit

    suite, config = request.suite, request.config
    rows = audit(suite, config.data, select_tasks(suite, config.tasks), select_bands(suite, config.bands))
    listing(rows, as_json=as_json, title=f"{suite.name}: {suite.title}")
    return 1 if any(row["state"] == "error" for row in rows) else 0
