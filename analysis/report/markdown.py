"""A suite's report as Markdown: boards, label fractions, depth, notes, models, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.final_layer import final_layer
from analysis.gallery.picture import FigureSpec
from analysis.report.boards import Board, boards, name_text
from analysis.report.contents import SuiteContents
from analysis.report.statistics_text import final_layer_sentence
from analysis.tables.build import Tables
from analysis.tables.columns import NOTE_BREAK, as_rows, label_amount, model_label
from analysis.tables.formatting import adaptation, count, interval, layer_text, number, origin
from bench.core import label_fraction_text

KEY = (
    "Best of a column in bold; ≈ marks models whose paired bootstrap interval of the difference to it holds 0 "
    "(95 %, not corrected for the number of models). Brackets: 95 % bootstrap interval over test blocks. "
    "`best-on-val` reads the layer chosen on validation, `last` the last one."
)


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> list[str]:
    """Return a Markdown table whose columns from `right` on are right-aligned."""
    rule = ["---" if i < right else "---:" for i in range(len(head))]
    text = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [head, rule, *rows]]
    return ["| " + " | ".join(row) + " |" for row in text] + [""]


def _markdown_score(row: Mapping[str, Any] | None, board: Board) -> str:
    if row is None:
        return ""
    text = number(row["score"], board.digits)
    if row["standing"] == "best" and len(board.lines) > 1:
        text = f"**{text}**"
    mark = " ≈" if row["standing"] == "tie" else ""
    spread = "" if np.isnan(row["spread"]) else f" ±{number(row['spread'], board.digits)}"
    return f"{text}{mark}{spread} {interval(row, board.digits)}".strip()


def _markdown_board(board: Board) -> list[str]:
    head = ["model", "origin", "parameters", *(f"{protocol}, {rule}" for protocol, rule in board.settings)]
    head.insert(4, "at layer")
    rows = []
    for line in board.lines:
        scores = [_markdown_score(line.entries.get(setting), board) for setting in board.settings]
        first = line.entries.get(board.settings[0])
        scores.insert(1, layer_text(first) if first else "")
        rows.append([name_text(line), origin(line.facts), count(line.facts["parameters"]), *scores])
    return [f"### {board.labels}", "", *table_lines(head, rows, 2)]


def _markdown_fractions(found: Sequence[Board]) -> list[str]:
    """Return score against label fraction, a table a protocol, at the first layer rule of each."""
    settings: dict[str, tuple[str, str]] = {}
    for board in found:
        for setting in board.settings:
            settings.setdefault(setting[0], setting)
    lines: list[str] = []
    for setting in settings.values():
        columns = sorted(
            (board for board in found if setting in board.settings), key=lambda board: label_amount(board.fraction)
        )
        if len(columns) < 2:
            continue
        head = ["model", *(label_fraction_text(board.fraction) for board in columns)]
        names = {(line.model, line.variant): line for board in found for line in board.lines if setting in line.entries}
        rows = []
        for name, line in names.items():
            entries = [{(one.model, one.variant): one.entries.get(setting) for one in board.lines} for board in columns]
            scores = [_markdown_score(own.get(name), board) for own, board in zip(entries, columns, strict=True)]
            rows.append([name_text(line), *scores])
        lines += [f"### by label fraction ({', '.join(setting)})", ""]
        lines += ["Mean over label subsets, ± their standard deviation.", "", *table_lines(head, rows, 1)]
    return lines


def _markdown_depth(layers: pd.DataFrame, task: str, decimals: int) -> list[str]:
    """Return what the last layer costs each model of a task, with all labels or the most there are."""
    here = layers[(layers["task"] == task) & layers["chosen"] & layers["final_layer_regret"].notna()]
    here = here[here["fraction"] == max(here["fraction"], key=label_amount, default=1.0)]
    if here.empty:
        return []
    rows = []
    for row in as_rows(here):
        bounds = interval({"low": row["regret_low"], "high": row["regret_high"]}, decimals)
        regret = f"{number(row['final_layer_regret'], decimals)} {bounds}".strip()
        p = "< 0.001" if row["regret_p_holm"] < 0.001 else number(row["regret_p_holm"], 3)
        rows.append([model_label(row), row["protocol"], row["layer"], f"{row['depth']:.2f}", regret, p, _peak(row)])
    head = ["model", "protocol", "chosen layer", "relative depth", "final-layer regret", "p (Holm)", "peak on test"]
    text = (
        "Regret: how much better the layer chosen on validation does on test than the last layer. Peak: relative depth "
        "of the layer that is best on test, with where it lies in 95 % of resamples: it tells where, and chooses "
        "nothing."
    )
    return ["### depth", "", text, "", *table_lines(head, rows, 3)]


def _peak(row: Mapping[str, Any]) -> str:
    if np.isnan(row["peak_depth"]):
        return ""
    low, high = row["peak_low"], row["peak_high"]
    return f"{row['peak_depth']:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _markdown_notes(frame: pd.DataFrame) -> list[str]:
    noted: dict[str, list[str]] = {}
    for row in as_rows(frame[frame["notes"] != ""]):
        for note in str(row["notes"]).split(NOTE_BREAK):
            who = f"{row['model']} ({adaptation(row)}, {label_fraction_text(row['fraction'])})"
            noted.setdefault(note, []).append(who)
    lines = []
    for note, named in noted.items():
        models = list(dict.fromkeys(named))
        more = f" and {len(models) - 4} more" if len(models) > 4 else ""
        lines.append(f"- {note}: {', '.join(models[:4])}{more}")
    return [*lines, ""] if lines else []


def markdown(found: SuiteContents) -> str:
    """Return the whole report of a suite as Markdown."""
    tables = found.tables
    frame = tables.leaderboard
    lines = [f"# {tables.suite}", "", tables.title, ""]
    if tables.generated:
        lines += ["**generated data**", ""]
    lines += [KEY, ""]
    if (summary := final_layer_sentence(final_layer(tables.layers))) != "":
        lines += [summary, ""]
    every = boards(frame)
    for task in dict.fromkeys(board.task for board in every):
        mine = [board for board in every if board.task == task]
        top = mine[0]
        told = f"{top.facts['kind']}, {top.facts['n_test']} test samples in {top.facts['blocks']} blocks"
        lines += [f"## {task}: {top.metric}", "", told + (", generated data" if tables.generated else ""), ""]
        lines += _markdown_board(top) + _markdown_fractions(mine)
        lines += _markdown_depth(tables.layers, task, top.digits)
        lines += _markdown_pictures(found.of(task))
        lines += _markdown_notes(frame[frame["task"] == task])
    lines += _markdown_statistics(found)
    if (frame["trained_on_this"] == "yes").any():
        lines += ["† has seen images or labels of this dataset in training.", ""]
    return "\n".join(lines + _markdown_models(tables) + _markdown_provenance(tables))


def _markdown_pictures(pictures: Sequence[FigureSpec]) -> list[str]:
    lines = []
    for one in pictures:
        about = f"{one.kind} of {one.task}" if one.task else one.kind
        lines += [f"![{about}]({one.stem}.png)", "", f"{one.caption} [PDF]({one.stem}.pdf), [CSV]({one.stem}.csv)", ""]
    return lines


def _markdown_statistics(found: SuiteContents) -> list[str]:
    if not found.sections:
        return []
    lines = ["## Statistics", ""]
    for part in found.sections:
        lines += [f"### {part.heading}", "", *(f"- {sentence}" for sentence in part.sentences), ""]
        if part.rows:
            lines += table_lines(part.head, part.rows, 1)
    return lines + _markdown_pictures(found.of(""))


def _markdown_models(tables: Tables) -> list[str]:
    lines: list[str] = []
    if len(tables.failures):
        head = ["task", "model", "protocol", "labels", "subset", "error"]
        rows = [
            [*(row[name] for name in head[:3]), label_fraction_text(row["fraction"]), str(row["subset"]), row["error"]]
            for row in as_rows(tables.failures)
        ]
        lines += ["## Failed runs", "", *table_lines(head, rows, len(head))]
    head = ["model", "origin", "objective", "parameters", "trained on this", "weights", "licence", "reference"]
    rows = [
        [
            *(row["model"], origin(row), row["objective"], count(row["parameters"]), row["trained_on_this"]),
            *(f"`{row['weights'][:12]}`", row["licence"], row["reference"]),
        ]
        for row in as_rows(tables.models)
    ]
    return [*lines, "## Models", "", *table_lines(head, rows, len(head))]


def _markdown_provenance(tables: Tables) -> list[str]:
    lines = ["## Provenance", "", *(f"- {name}: {value}" for name, value in tables.provenance.items()), ""]
    if tables.replay:
        lines += ["```", *tables.replay, "```", ""]
    lines += ["Each row of `leaderboard.csv` names the records it averages; they lie in `records/`.", ""]
    return lines
