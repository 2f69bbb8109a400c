"""``geobench-doctor``: the input contract of each model, checked against the data of a suite."""

from __future__ import annotations

from bench.cli.command import run_command
from bench.cli.options import DOCTOR
from bench.config import run_config
from bench.core import lookup
from bench.sweeps.listings import listing
from bench.sweeps.resolved import Resolved, resolve

KEPT = ("state", "about", "what")


def doctor() -> None:
    """``geobench-doctor``: check the input contract of each model against the data of a suite."""
    run_command(DOCTOR, _doctor)


def _doctor(words: list[str], flags: set[str]) -> int:
    request = resolve(run_config(words, lookup.names("bench.protocols"), lookup.names("bench.executors")))
    if "--audit" in flags:
        return _audit(request, as_json="--json" in flags)
    from bench.preflight.doctor import checkup

    rows = checkup(request.suite, request.entries, request.config, request.shelf, request.cache)
    listing(rows, as_json="--json" in flags, title=f"{request.suite.name}: {request.suite.title}", keep=KEPT)
    return 1 if any(row["state"] == "error" for row in rows) else 0


def _audit(request: Resolved, *, as_json: bool) -> int:
    """List every fault of a suite's files; return the exit code."""
    from bench.catalogue.suites import select_bands, select_tasks
    from bench.preflight.audit import audit

    suite, config = request.suite, request.config
    rows = audit(suite, config.data, select_tasks(suite, config.tasks), select_bands(suite, config.bands))
    listing(rows, as_json=as_json, title=f"{suite.name}: {suite.title}", keep=KEPT)
    return 1 if any(row["state"] == "error" for row in rows) else 0
