"""``geobench-list``: what there is, and contact sheets of a suite."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench.catalogue import suites as suite_catalogue
from bench.cli.command import as_list, run_command
from bench.config import read_words
from bench.core.errors import BadSetting, UnknownName
from bench.sweeps.console import console, listing

SHOW = ("data", "bands", "results", "split")  # words of geobench-list suite=NAME --show


def list_() -> None:
    """``geobench-list``."""
    from bench.cli.listing_rows import LISTINGS
    from bench.cli.markdown import REFERENCE, listing_markdown

    def body(words: list[str], flags: set[str]) -> int:
        what = [word for word in words if "=" not in word]
        options = read_words(
            [word for word in words if "=" in word], ("weights", "entries", "cache", "model", "models", "suite", *SHOW)
        )
        if "--show" in flags:
            return _show(options)
        if not what and (options.keys() & {"model", "models", "entries", "suite"}):
            what = ["suites" if "suite" in options else "models"]
        for one in what or ["suites", "models", "protocols"]:
            if one not in {**LISTINGS, **REFERENCE}:
                raise UnknownName("listing", one, {**LISTINGS, **REFERENCE})
            if "--markdown" in flags:
                sys.stdout.write(listing_markdown(one, options))
                continue
            rows, title = LISTINGS[one](options) if one in LISTINGS else REFERENCE[one](), one
            if one == "models" and "--json" not in flags and not options.keys() & {"model", "models"}:
                rows = [row for row in rows if row["origin"] != "random"]
                title = f"{len(rows)} models; each with weights has a random twin, NAME.random"
            listing(rows, as_json="--json" in flags, title=title)
        return 0

    run_command("geobench-list", body)


def _show(options: dict[str, Any]) -> int:
    """Write the contact sheets of a suite, one a task."""
    from analysis.figures.contact_sheet import contact_sheet
    from analysis.figures.style import saved
    from bench.catalogue.suites import select_bands, select_tasks
    from bench.store import write_atomic

    if "suite" not in options:
        raise BadSetting("--show draws a suite: geobench-list suite=demo --show")
    suite = suite_catalogue.load(str(options["suite"]))
    bands = select_bands(suite, tuple(as_list(options.get("bands"))))
    for task in select_tasks(suite, ()):
        split = suite.open(Path(str(options.get("data", "data"))), task.name, str(options.get("split", "train")), bands)
        path = Path(str(options.get("results", "results"))) / suite.name / f"contact_{task.name}.png"
        write_atomic(path, saved(contact_sheet(suite, task, split, bands), "png"))
        console().print(f"{path}", highlight=False)
    return 0
