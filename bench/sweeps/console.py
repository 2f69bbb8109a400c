"""What the commands print: the plan, progress with time left, listings. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from bench.catalogue.weights import TO_BE_FETCHED
from bench.core import Record, label_fraction_text
from bench.runs.plan import Plan, Run
from bench.store import Fault

NAMED = 4  # refused models of one reason, or damaged records, that are named
RATES = {"cpu": 4e10, "mps": 5e11, "cuda": 1e13}  # multiply-adds a second, where no stored run says better


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console as wide as the terminal; where output goes to a file or a pipe, wide enough for tables."""
    made = Console(stderr=stderr, quiet=quiet)
    return made if made.is_terminal else Console(stderr=stderr, quiet=quiet, width=160)


def duration(seconds: float) -> str:
    """Return a duration for people: ``40 s``, ``7 min``, ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def listing(rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "") -> None:
    """Print rows as a table, or as one JSON list of objects."""
    if as_json:
        Console(soft_wrap=True, markup=False, highlight=False).print(json.dumps(list(rows), indent=1, default=str))
        return
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    names = list(rows[0]) if rows else []
    for name in names:
        numeric = isinstance(rows[0][name], int | float) and not isinstance(rows[0][name], bool)
        short = all(len(_cell(row[name])) <= 28 for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*(escape(_cell(row[name])) for name in names))
    console().print(table if rows else "[dim]nothing there[/]")


def show_faults(out: Console, faults: Sequence[Fault]) -> None:
    """Print one line on the records that are damaged and left out, and one on those that carry no checksum."""
    damaged = [fault for fault in faults if fault.damaged]
    unsealed = [fault for fault in faults if not fault.damaged]
    if damaged:
        named = "; ".join(fault.text for fault in damaged[:NAMED])
        more = f"; and {len(damaged) - NAMED} more (geobench-cache verify names all)" if len(damaged) > NAMED else ""
        text = f"{_records(len(damaged))} left out: {named}{more}"
        out.print(text, markup=False, highlight=False, style="red", soft_wrap=True)
    if unsealed:
        text = f"{_records(len(unsealed))} without a checksum, the first {unsealed[0].path}"
        text += ": whether they were edited cannot be told; geobench-cache verify seal=true adds it"
        out.print(text, markup=False, highlight=False, style="yellow", soft_wrap=True)


def _records(count: int) -> str:
    return f"{count} record" if count == 1 else f"{count} records"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def show_plan(
    out: Console,
    plan: Plan,
    stored: Mapping[str, str],
    *,
    costs: Mapping[tuple[str, int, bool], float],
    rate: float,
    images: int,
    note: str = "",
    whole: bool = True,
) -> None:
    """Print what will be done, what is stored, what is refused and why, what is unavailable and how to get it.

    Args:
        out: where to.
        plan: the plan.
        stored: digest -> status of runs whose record is there.
        costs: multiply-adds of each backbone pass still needed.
        rate: multiply-adds a second to expect.
        images: images of all splits.
        note: printed beneath, e.g. that data are missing.
        whole: name every refused model; else the first few of each reason.
    """
    done = [run for run in plan.runs if stored.get(run.key.digest) == "ok"]
    failed = sum(stored.get(run.key.digest) == "failed" for run in plan.runs)
    cells = len(plan.runs) - len(done)
    parts = [f"[bold]{len(plan.runs)} runs[/]: {len(done)} stored", f"{cells} to do"]
    parts += [f"{failed} of them failed before"] if failed else []
    parts += [f"{len(plan.refused)} refused"] if plan.refused else []
    parts += [f"{len(plan.unavailable)} models unavailable"] if plan.unavailable else []
    out.print(", ".join(parts))
    out.print(f"[dim]bands: {' '.join(band.name for band in plan.bands)}[/]")
    if cells:
        seconds = sum(costs.values()) / rate
        out.print(
            f"[dim]{len(costs)} backbone passes over {images:,} images, about {duration(seconds)} if none is cached; "
            "probes come on top[/]"
        )
    _runs_table(out, plan.runs, stored)
    for reason, models in _reasons(plan).items():
        parents = [name for name in models if not (name.endswith(".random") and name.removesuffix(".random") in models)]
        most = len(parents) if whole or len(parents) <= NAMED + 1 else NAMED
        shown = [name for name in models if name.removesuffix(".random") in parents[:most] or name in parents[:most]]
        more = f" and {len(parents) - most} more (--dry names them)" if most < len(parents) else ""
        out.print(f"  [yellow]refused[/] {with_twins(shown)}{more}: {escape(reason)}", highlight=False)
    fetched = dict.fromkeys(run.entry.name for run in plan.runs if run.key.weights.startswith(TO_BE_FETCHED))
    if fetched:
        out.print(f"  [yellow]to be fetched[/] {' '.join(fetched)}", highlight=False)
    for how in plan.unavailable.values():
        out.print(f"  [yellow]unavailable[/] {escape(how)}", highlight=False)
    if note:
        out.print(f"  [yellow]{escape(note)}[/]", highlight=False)


def with_twins(models: Sequence[str]) -> str:
    """Return names in a row, a model and its random twin as one: ``dofa_base (+ .random)``."""
    return " ".join(
        f"{name} (+ .random)" if f"{name}.random" in models else name
        for name in models
        if not (name.endswith(".random") and name.removesuffix(".random") in models)
    )


def _reasons(plan: Plan) -> dict[str, list[str]]:
    """Return reason -> the models it holds for; what is refused to all of a task's models alike is said once."""
    grouped: dict[str, list[str]] = {}
    for refusal in plan.refused:
        reason = refusal.reason.removeprefix(f"{refusal.model} ")
        if not refusal.reason.startswith(refusal.model):
            reason = f"({refusal.protocol} on {refusal.task}) {reason}"
        models = grouped.setdefault(reason, [])
        if refusal.model not in models:
            models.append(refusal.model)
    return grouped


def _runs_table(out: Console, runs: Sequence[Run], stored: Mapping[str, str]) -> None:
    """Print one row a model and task; a random twin that is fed the same joins its model's."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        whole = run.entry.parent if run.entry.origin == "random" else run.entry.name
        alike = groups.get((whole, run.task.name), [])
        same = bool(alike) and alike[0].recipe == run.recipe
        groups.setdefault((whole if same else run.entry.name, run.task.name), []).append(run)
    models = {place: with_twins(list(dict.fromkeys(run.entry.name for run in groups[place]))) for place in groups}
    rows = []
    for place, members in groups.items():
        keys = [run.key for run in members]
        protocols = " ".join(dict.fromkeys(key.protocol for key in keys))
        fractions = " ".join(dict.fromkeys(label_fraction_text(key.fraction) for key in keys))
        stored_of = f"{sum(stored.get(key.digest) == 'ok' for key in keys)}/{len(keys)}"
        rows.append((models[place], members[0].task.name, protocols, fractions, stored_of))
    names = ("model", "task", "protocols", "labels", "stored")
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, no_wrap=True, min_width=width)
    # What is left of a line; rich would take it from the columns before.
    table.add_column("input", overflow="ellipsis", no_wrap=True, max_width=max(30, out.width - sum(widths) - 12))
    for row, members in zip(rows, groups.values(), strict=True):
        table.add_row(*row, escape(members[0].recipe.summary()))
    out.print(table)


class LiveWatcher:
    """Draws a sweep: runs done with time left, and the backbone pass under way.

    Args:
        console: where to draw.
        total: runs to do.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._runs = self.progress.add_task("runs", total=total)
        self._pass = self.progress.add_task("backbone", total=None, visible=False)

    def extracting(self, model: str, split: str, images: int) -> None:
        """Show a backbone pass that begins."""
        self.progress.reset(self._pass, total=images, visible=True, description=f"  {model} on {split}")

    def extracted(self, images: int) -> None:
        """Advance the backbone pass."""
        self.progress.advance(self._pass, images)

    def finished(self, run: Run, record: Record) -> None:
        """Advance the runs; a failure is said at once."""
        self.progress.update(self._pass, visible=False)
        self.progress.advance(self._runs)
        if record.status == "failed":
            self._console.print(
                f"[red]failed[/] {run.entry.name} {run.task.name} {run.key.protocol}: {escape(record.error)}"
            )
