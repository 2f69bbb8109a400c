"""``geobench-report``: tables and figures again, from records alone."""

from __future__ import annotations

from pathlib import Path

from bench.cli.command import as_list, run_command
from bench.config import read_words
from bench.core.errors import UnknownName
from bench.store import Store
from bench.sweeps.console import console, listing, show_faults


def report() -> None:
    """``geobench-report``: tables and figures again, from records alone."""

    def body(words: list[str], flags: set[str]) -> int:
        from analysis.report.write import known_suites, write_report, write_reports

        options = read_words(words, ("suite", "results", "compare"))
        results = Path(str(options.get("results", "results")))
        store = Store(results)
        known = known_suites(store, results)
        suites = as_list(options.get("suite")) or known
        if unknown := [name for name in suites if name not in known]:
            raise UnknownName("suite with records", unknown[0], known)
        show_faults(console(stderr=True), [fault for name in suites for fault in store.faults(name)])
        if "compare" in options:
            from analysis.report.comparison import write_comparison

            if options["compare"] != "published":
                raise UnknownName("numbers to compare with", str(options["compare"]), ("published",))
            paths = write_comparison(store, results, suites)
        elif options.get("suite"):
            paths = [path for name in suites for path in write_report(store, results, name)]
        else:
            paths = write_reports(store, results)
        listing([{"name": str(path), "bytes": path.stat().st_size} for path in paths], as_json="--json" in flags)
        return 0

    run_command("geobench-report", body)
