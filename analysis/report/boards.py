"""Boards: one table per task and label fraction, models by settings, as LaTeX and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from analysis.report.escaping import latex_label, latex_text
from analysis.tables.build import Tables
from analysis.tables.columns import Row, as_rows, model_label
from analysis.tables.formatting import (
    ARROWS,
    HEADLINE,
    adaptation,
    count,
    interval,
    metric_label,
    most_labels,
    number,
    task_digits,
)
from bench.core import label_fraction_text
from bench.core.wording import printable
from bench.metrics import direction_sign

Setting = tuple[str, str]
"""A column of scores: the adaptation (see `analysis.tables.formatting.adaptation`) and the layer rule."""
TERMINAL_KEY = "* best of a column · ≈ statistically tied with it (paired bootstrap)"


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """One model of a board.

    Attributes:
        name: the model with its twins and variant.
        facts: its leaderboard row in the first setting that it has.
        entries: setting -> leaderboard row.
    """

    name: str
    facts: Row
    entries: Mapping[Setting, Row]

    @property
    def seen(self) -> bool:
        """Whether the model was trained on this data."""
        return bool(self.facts["trained_on_this"] == "yes")

    @property
    def marked_name(self) -> str:
        """The name, with a dagger if the model was trained on this data."""
        return f"{self.name} †" if self.seen else self.name


@dataclass(frozen=True, kw_only=True)
class Board:
    """The models of one task at one label fraction, best first by the headline setting.

    Attributes:
        task, fraction: of all its rows.
        facts: a leaderboard row with the columns that all rows share (metric, direction, unit, kind, n_test, blocks).
        settings: columns of scores, the headline first.
        rows: one per model.
        digits: decimals of its scores, the same for all boards of the task.
    """

    task: str
    fraction: float
    facts: Row
    settings: Sequence[Setting]
    rows: Sequence[BoardRow]
    digits: int

    @property
    def labels(self) -> str:
        """The label fraction in words."""
        return label_fraction_text(self.fraction, sentence=True)

    @property
    def metric(self) -> str:
        """Metric with unit and better direction, e.g. ``RMSE (t/ha) ↓``."""
        return f"{metric_label(self.facts)} {ARROWS[self.facts['direction']]}"

    def is_best(self, setting: Setting, row: Row) -> bool:
        """Return whether a leaderboard row is the best of at least two models in a setting."""
        return bool(row["standing"] == "best") and sum(setting in line.entries for line in self.rows) > 1


def boards(frame: pd.DataFrame) -> list[Board]:
    """Return the boards of a leaderboard frame: by task, and within a task from most labels to fewest."""
    decimals = task_digits(frame)
    written = []
    for task in sorted(frame["task"].unique()):
        of_task = frame[frame["task"] == task]
        written += [_board(of_task[of_task["fraction"] == value], decimals[task]) for value in most_labels(of_task)]
    return written


def unequal_samples(frame: pd.DataFrame) -> str:
    """Return which models of a task were scored on fewer test samples than others, ``""`` where none was.

    Args:
        frame: leaderboard rows of one task.
    """
    most = int(frame["n_test"].max())
    fewer: dict[str, int] = {}
    for row in as_rows(frame[frame["n_test"].between(1, most - 1)]):
        label = model_label(row)
        fewer[label] = min(int(row["n_test"]), fewer.get(label, most))
    if not fewer:
        return ""
    models = ", ".join(f"{name} ({samples:,} of {most:,})" for name, samples in sorted(fewer.items()))
    return (
        f"Not all models were scored on the same test samples; on fewer: {models}. Scores and comparisons use "
        "all samples of each model; resamples draw the same blocks for all, matched by name."
    )


def largest_boards(frame: pd.DataFrame) -> list[Board]:
    """Return the board of each task at its largest label fraction."""
    largest: dict[str, Board] = {}
    for board in boards(frame):
        largest.setdefault(board.task, board)
    return list(largest.values())


def _board(frame: pd.DataFrame, decimals: int) -> Board:
    rows = as_rows(frame)
    settings = sorted({(adaptation(row), row["layer"]) for row in rows}, key=_setting_order)
    by_model: dict[tuple[str, str], dict[Setting, dict[str, object]]] = {}
    for row in rows:
        by_model.setdefault((row["model"], row["variant"]), {})[adaptation(row), row["layer"]] = row
    lines = [
        BoardRow(
            # A model may share its row with twins in some settings only; the longest name lists all twins.
            name=max((model_label(row) for row in entries.values()), key=len),
            facts=next(iter(entries.values())),
            entries=entries,
        )
        for entries in by_model.values()
    ]
    sign = direction_sign(rows[0]["direction"])

    def order(line: BoardRow) -> tuple[object, ...]:
        scores = [line.entries[s]["score"] if s in line.entries else np.nan for s in settings]
        return (*((bool(np.isnan(x)), 0.0 if np.isnan(x) else -sign * x) for x in scores), line.name)

    return Board(
        task=str(rows[0]["task"]),
        fraction=float(rows[0]["fraction"]),
        facts=rows[0],
        settings=settings,
        rows=sorted(lines, key=order),
        digits=decimals,
    )


def _setting_order(setting: Setting) -> tuple[bool, str, bool, str]:
    protocol, rule = setting
    return (protocol != HEADLINE[0], protocol, rule != HEADLINE[1], rule)


# LaTeX


def latex(tables: Tables) -> str:
    """Return one booktabs table per task, at its largest label fraction."""
    parts = [r"% needs \usepackage{booktabs}"]
    for board in largest_boards(tables.leaderboard):
        parts += _latex_board(board, tables)
    return "\n".join(parts) + "\n"


def _latex_board(board: Board, tables: Tables) -> list[str]:
    caption = (
        f"{tables.suite}, {board.task}: {board.metric} with {board.labels}, {board.facts['n_test']} test samples. "
        "Brackets: 95 % bootstrap interval. Bold: best of a column; ≈: statistically tied with it (paired bootstrap)."
    )
    caption += " †: trained on this data." if any(row.seen for row in board.rows) else ""
    caption += " Generated data." if tables.generated else ""
    unequal = unequal_samples(tables.leaderboard[tables.leaderboard["task"] == board.task])
    caption += f" {unequal}" if unequal else ""
    head = ["model", "parameters", *(f"{protocol}, {rule}" for protocol, rule in board.settings)]
    lines = [
        "",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex_text(caption)}}}",
        rf"  \label{{{latex_label('tab', tables.suite, board.task)}}}",
        rf"  \begin{{tabular}}{{lr{'l' * len(board.settings)}}}",
        r"    \toprule",
        "    " + " & ".join(latex_text(text) for text in head) + r" \\",
        r"    \midrule",
    ]
    for row in board.rows:
        scores = [_latex_score(row.entries.get(setting), setting, board) for setting in board.settings]
        cells = [latex_text(row.marked_name), latex_text(count(row.facts["parameters"])), *scores]
        lines.append("    " + " & ".join(cells) + r" \\")
    return [*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]


def _latex_score(row: Row | None, setting: Setting, board: Board) -> str:
    if row is None:
        return ""
    text = latex_text(number(row["score"], board.digits))
    if board.is_best(setting, row):
        text = rf"\textbf{{{text}}}"
    mark = r"$^{\approx}$" if row["standing"] == "tie" else ""
    bounds = interval(row, board.digits)
    return text + mark + (rf" {{\scriptsize {bounds}}}" if bounds else "")


# Terminal


def terminal_table(frame: pd.DataFrame, *, models: Collection[str] | None = None, title: str = "") -> Table:
    """Return the leaderboard for a terminal: one row per task and model, one column per setting.

    It contains no markup, and its columns must not be cut: `bench.sweeps.listings.print_board` prints it in parts.

    Args:
        frame: see `analysis.tables.build.Tables`; each task is shown at the largest label fraction of these models.
        models: names of the models to show; the best of a column is shown too, in grey. None for all.
        title: printed above; "generated data" is added for generated data.
    """
    generated = bool(len(frame)) and bool(frame["generated"].any())
    shown: dict[str, tuple[Board, list[tuple[BoardRow, bool]]]] = {}
    for board in boards(frame):
        rows = _shown_rows(board, models)
        if rows:
            shown.setdefault(board.task, (board, rows))
    asked = [row for _, rows in shown.values() for row, wanted in rows if wanted]
    settings = sorted({setting for row in asked for setting in row.entries}, key=_setting_order)
    head = " · ".join(part for part in (title, "generated data" if generated else "") if part)
    table = Table(title=_plain(head) if head else None)
    table.add_column("task", style="cyan")
    table.add_column("model")
    for protocol, rule in settings:
        table.add_column(_plain(f"{protocol}\n{rule}"), justify="left", no_wrap=True)
    for board, rows in shown.values():
        for place, (row, wanted) in enumerate(rows):
            scores = [_terminal_score(row.entries.get(setting), setting, board) for setting in settings]
            side = _plain(board.task) if place == 0 else _plain(board.metric, "dim") if place == 1 else Text("")
            name = _plain(row.marked_name, "" if wanted else "dim")
            table.add_row(side, name, *scores, end_section=place == len(rows) - 1)
    listed = [pair for _, rows in shown.values() for pair in rows]
    notes = [TERMINAL_KEY]
    notes += filter(None, (unequal_samples(frame[frame["task"] == task]) for task in shown))
    if any(row.seen for row, _ in listed):
        notes.append("† trained on this data")
    if not all(wanted for _, wanted in listed):
        notes.append("grey: the best of a column, from earlier runs")
    table.caption = Text(" · ".join(notes))
    return table


def _shown_rows(board: Board, models: Collection[str] | None) -> list[tuple[BoardRow, bool]]:
    """Return the rows to show, in board order, and for each whether it is a requested model or the best of a column.

    The list is empty if the board has none of the models.
    """
    if models is None:
        return [(row, True) for row in board.rows]
    asked = [any(name in models for name in _names(row)) for row in board.rows]
    settings = {setting for row, wanted in zip(board.rows, asked, strict=True) if wanted for setting in row.entries}
    rows = []
    for row, wanted in zip(board.rows, asked, strict=True):
        best = any(board.is_best(s, entry) for s, entry in row.entries.items() if s in settings)
        if wanted or best:
            rows.append((row, wanted))
    return rows


def _names(row: BoardRow) -> list[str]:
    twins = {name for entry in row.entries.values() for name in str(entry["twins"]).split(" = ")}
    return [str(row.facts["model"]), *twins]


def _plain(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _terminal_score(row: Row | None, setting: Setting, board: Board) -> Text:
    if row is None:
        return Text("")
    best = board.is_best(setting, row)
    text = Text(number(row["score"], board.digits), style="bold green" if best else "")
    text.append(" *" if best else " ≈" if row["standing"] == "tie" else "  ", style="green")
    return text.append(f" {interval(row, board.digits)}", style="dim")
