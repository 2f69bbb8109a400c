"""Boards of models x settings, drawn from the leaderboard frame, as LaTeX and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from analysis.tables.build import Tables
from analysis.tables.columns import as_rows
from analysis.tables.formatting import (
    ARROWS,
    HEADLINE,
    adaptation,
    count,
    digits,
    interval,
    most_labels,
    number,
)
from bench.core import label_fraction_text


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """One model of a board: its facts, and the leaderboard row of each setting it has."""

    model: str
    variant: str
    facts: Mapping[str, Any]
    entries: Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Board:
    """The models of one task at one label fraction, best first by the headline setting.

    Attributes:
        task, fraction: which.
        facts: columns that all its rows share (metric label, direction, unit, kind, n_test, generated).
        settings: (way of adapting, layer rule) of each column of scores, the headline first; see `adaptation`.
        lines: one a model.
        digits: decimals its scores are printed with.
    """

    task: str
    fraction: float
    facts: Mapping[str, Any]
    settings: Sequence[tuple[str, str]]
    lines: Sequence[BoardRow]
    digits: int

    @property
    def labels(self) -> str:
        """The label fraction in words."""
        return label_fraction_text(self.fraction, sentence=True)

    @property
    def metric(self) -> str:
        """Metric with unit and the direction that is better, e.g. ``RMSE (t/ha) ↓``."""
        unit = f" ({self.facts['unit']})" if self.facts["unit"] else ""
        return f"{self.facts['metric_label']}{unit} {ARROWS[self.facts['direction']]}"


def boards(frame: pd.DataFrame) -> list[Board]:
    """Return the boards of a leaderboard frame: by task, and within one from most labels to fewest."""
    found = []
    for task in sorted(frame["task"].unique()):
        here = frame[frame["task"] == task]
        found += [_board(task, here[here["fraction"] == f]) for f in most_labels(here)]
    return found


def _board(task: str, frame: pd.DataFrame) -> Board:
    rows = as_rows(frame)
    settings = sorted({(adaptation(row), row["layer"]) for row in rows}, key=_setting_order)
    by_model: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
    for row in rows:
        by_model.setdefault((row["model"], row["variant"]), {})[adaptation(row), row["layer"]] = row
    lines = [
        BoardRow(model=model, variant=variant, facts=next(iter(entries.values())), entries=entries)
        for (model, variant), entries in by_model.items()
    ]
    sign = -1 if rows[0]["direction"] == "min" else 1

    def order(line: BoardRow) -> tuple[Any, ...]:
        scores = [line.entries[s]["score"] if s in line.entries else np.nan for s in settings]
        return (*((bool(np.isnan(x)), 0.0 if np.isnan(x) else -sign * x) for x in scores), line.model, line.variant)

    return Board(
        task=task,
        fraction=float(rows[0]["fraction"]),
        facts=rows[0],
        settings=settings,
        lines=sorted(lines, key=order),
        digits=digits(frame["score"]),
    )


def _setting_order(setting: tuple[str, str]) -> tuple[bool, str, bool, str]:
    protocol, rule = setting
    return (protocol != HEADLINE[0], protocol, rule != HEADLINE[1], rule)


def name_text(line: BoardRow) -> str:
    """Return a model's name with what sets this row apart; a dagger marks training on this data."""
    seen = " †" if line.facts["trained_on_this"] == "yes" else ""
    return line.model + seen + (f" ({line.variant})" if line.variant else "")


# LaTeX

SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
SPECIAL |= {"^": r"\textasciicircum{}", "≈": r"$\approx$", "²": r"$^2$", "†": r"\dag{}"}
SPECIAL |= {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "\N{GREEK SMALL LETTER RHO}": r"$\rho$"}


def escaped(text: str) -> str:
    """Return text with every character that LaTeX takes for a command spelt out."""
    return "".join(SPECIAL.get(character, character) for character in text)


def _latex_score(row: Mapping[str, Any] | None, board: Board) -> str:
    if row is None:
        return ""
    text = escaped(number(row["score"], board.digits))
    if row["standing"] == "best" and len(board.lines) > 1:
        text = rf"\textbf{{{text}}}"
    mark = r"$^{\approx}$" if row["standing"] == "tie" else ""
    bounds = interval(row, board.digits)
    return text + mark + (rf" {{\scriptsize {bounds}}}" if bounds else "")


def latex(tables: Tables) -> str:
    """Return one booktabs table a task, at its largest label fraction."""
    parts = [r"% needs \usepackage{booktabs}"]
    largest: dict[str, Board] = {}
    for board in boards(tables.leaderboard):
        largest.setdefault(board.task, board)
    for board in largest.values():
        parts += _latex_board(board, tables)
    return "\n".join(parts) + "\n"


def _latex_board(board: Board, tables: Tables) -> list[str]:
    generated = " Generated data." if tables.generated else ""
    caption = (
        f"{tables.suite}, {board.task}: {board.metric} with {board.labels}. {board.facts['n_test']} test samples; "
        f"95 % bootstrap intervals; ≈: not told apart from the best (paired bootstrap).{generated}"
    )
    head = ["model", "parameters", *(f"{protocol}, {rule}" for protocol, rule in board.settings)]
    lines = [
        "",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escaped(caption)}}}",
        rf"  \label{{tab:{tables.suite}-{board.task}}}",
        rf"  \begin{{tabular}}{{lr{'l' * len(board.settings)}}}",
        r"    \toprule",
        "    " + " & ".join(escaped(text) for text in head) + r" \\",
        r"    \midrule",
    ]
    for line in board.lines:
        scores = [_latex_score(line.entries.get(setting), board) for setting in board.settings]
        cells = [escaped(name_text(line)), escaped(count(line.facts["parameters"])), *scores]
        lines.append("    " + " & ".join(cells) + r" \\")
    return [*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]


def terminal_table(frame: pd.DataFrame, *, title: str = "") -> Table:
    """Return the leaderboard for a terminal: a line a task and model, a column a (protocol, layer rule).

    Args:
        frame: see `analysis.tables.build.Tables`; each task is shown at its largest label fraction.
        title: printed above; "generated data" is added where that is so.
    """
    generated = bool(len(frame)) and bool(frame["generated"].any())
    table = Table(title=" · ".join(part for part in (title, "generated data" if generated else "") if part) or None)
    shown: list[Board] = []
    for board in boards(frame):
        if board.task not in [other.task for other in shown]:
            shown.append(board)
    settings = sorted({setting for board in shown for setting in board.settings}, key=_setting_order)
    table.add_column("task", style="cyan")
    table.add_column("model")
    for protocol, rule in settings:
        table.add_column(f"{protocol}\n{rule}", justify="left", no_wrap=True)
    for board in shown:
        for place, line in enumerate(board.lines):
            scores = [_terminal_score(line.entries.get(setting), board) for setting in settings]
            last = place == len(board.lines) - 1
            side = board.task if place == 0 else Text(board.metric, style="dim") if place == 1 else ""
            table.add_row(side, name_text(line), *scores, end_section=last)
    table.caption = "≈ not told apart from the best (paired bootstrap)"
    if "yes" in set(frame["trained_on_this"]):
        table.caption += " · † trained on this data"
    return table


def _terminal_score(row: Mapping[str, Any] | None, board: Board) -> Text:
    if row is None:
        return Text("")
    text = Text(number(row["score"], board.digits), style="bold green" if row["standing"] == "best" else "")
    text.append(" ≈" if row["standing"] == "tie" else "  ", style="green")
    return text.append(f" {interval(row, board.digits)}", style="dim")
