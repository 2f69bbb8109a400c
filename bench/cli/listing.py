"""``geobench-list``: listings of models, suites, protocols and settings; contact sheets of a suite."""

from __future__ import annotations

import sys

from bench.catalogue import suites as suite_catalogue
from bench.cli.command import run_command
from bench.cli.options import LIST, ListOptions
from bench.config import read_words, validate
from bench.core.errors import BadSetting, UnknownName
from bench.core.soundness import open_split
from bench.sweeps.console import console, print_line
from bench.sweeps.listings import listing

KEPT = {"models": ("parameters", "weights"), "suites": ("tasks",), "protocols": ("version",)}
"""Columns, besides the name, that a listing shows on a terminal of any width."""
CARD = ("name", "value")


def list_() -> None:
    """``geobench-list``."""
    run_command(LIST, _list)


def _list(words: list[str], flags: set[str]) -> int:
    from bench.cli.listing_rows import LISTINGS
    from bench.cli.markdown import REFERENCE, listing_markdown

    named = [word for word in words if "=" not in word]
    options = validate(ListOptions, read_words([word for word in words if "=" in word], LIST.words))
    given = options.model_dump(exclude_unset=True)
    if "--show" in flags:
        return _show(options)
    if not named and given.keys() & {"model", "models", "entries", "suite"}:
        named = ["suites" if "suite" in given else "models"]
    for name in named or ["suites", "models", "protocols"]:
        if name not in {**LISTINGS, **REFERENCE}:
            raise UnknownName("listing", name, {**LISTINGS, **REFERENCE})
        if "--markdown" in flags:
            sys.stdout.write(listing_markdown(name, given))
            continue
        rows, title = LISTINGS[name](given) if name in LISTINGS else REFERENCE[name](), name
        if name == "models" and "--json" not in flags and not given.keys() & {"model", "models"}:
            rows = [row for row in rows if row["origin"] != "random"]
            title = f"{len(rows)} models; each with weights has a random twin, NAME.random"
        keep = CARD if rows and tuple(rows[0]) == CARD else KEPT.get(name, ())
        listing(rows, as_json="--json" in flags, title=title, keep=keep)
    return 0


def _show(options: ListOptions) -> int:
    """Write the contact sheets of a suite, one per task."""
    from analysis.figures.contact_sheet import contact_sheet
    from analysis.figures.style import saved
    from bench.catalogue.suites import select_bands, select_tasks
    from bench.store import write_atomic

    if not options.suite:
        raise BadSetting("--show draws a suite: geobench-list suite=demo --show")
    suite = suite_catalogue.load(options.suite)
    if options.split not in suite.splits:
        raise UnknownName(f"split of {suite.name}", options.split, suite.splits)
    bands = select_bands(suite, options.bands)
    for task in select_tasks(suite, ()):
        split = open_split(suite, options.data, task.name, options.split, bands)
        path = options.results / suite.name / f"contact_{task.name}.png"
        write_atomic(path, saved(contact_sheet(suite, task, split, bands), "png"))
        print_line(console(), str(path))
    return 0
