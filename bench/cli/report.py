"""``geobench-report``: write tables and figures again from the stored records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.cli.command import run_command
from bench.cli.options import REPORT, ReportOptions
from bench.config import read_words, validate
from bench.core.errors import UnknownName
from bench.store import Store
from bench.sweeps.console import console, print_line
from bench.sweeps.fault_text import show_faults
from bench.sweeps.listings import listing
from bench.sweeps.pace import Pace


def report() -> None:
    """``geobench-report``: write tables and figures again from the stored records alone."""
    run_command(REPORT, _report)


def _report(words: list[str], flags: set[str]) -> int:
    from analysis.report.write import known_suites

    options = validate(ReportOptions, read_words(words, REPORT.words))
    store = Store(options.results)
    known = known_suites(store, options.results)
    suites = options.suite or tuple(known)
    if unknown := [name for name in suites if name not in known]:
        raise UnknownName("suite with records", unknown[0], known)
    show_faults(console(stderr=True), [fault for name in suites for fault in store.faults(name)])
    if options.compare is not None:
        from analysis.report.comparison import write_comparison

        if options.compare != "published":
            raise UnknownName("numbers to compare with", options.compare, ("published",))
        paths = write_comparison(store, options.results, suites)
    else:
        progress = console(stderr=True)
        paths = _written(store, options.results, suites, progress, index=not options.suite)
    listing([{"name": str(path), "bytes": path.stat().st_size} for path in paths], as_json="--json" in flags)
    return 0


def _written(store: Store, results: Path, suites: Sequence[str], out: Console, *, index: bool) -> list[Path]:
    """Write the report of each suite, and the index; print a line per suite with the time left."""
    from analysis.processes import spare_processes
    from analysis.report.write import begin, put, write_index

    counts = {name: float(sum(1 for _ in (results / name / "records").glob("*.json"))) for name in suites}
    pace, processes = Pace(counts), spare_processes()
    reports, paths = [], []
    # The tables of the next suite are computed here while other processes draw the figures of the previous one.
    pending = []
    for place, name in enumerate([*suites, ""]):
        if name:
            pending.append((name, begin(store, name, processes=processes)))
        while pending and (len(pending) > 1 or not name):
            done, begun = pending.pop(0)
            reports.append(begun.finish())
            written = put(reports[-1], results)
            paths += written
            pace.done(done)
            left = f", {pace.text()}" if place < len(suites) else ""
            size = f"{counts[done]:,.0f} records, {len(written)} files"
            print_line(out, f"{len(reports)}/{len(suites)} {done}: {size}{left}")
    return [*paths, *(write_index(reports, results) if index else [])]
