"""A suite's report as Markdown: boards, label fractions, depth, notes, statistics, models, provenance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.findings.final_layer import final_layer
from analysis.gallery.picture import FigureSpec
from analysis.report.boards import Board, Setting, boards, unequal_samples
from analysis.report.contents import SuiteContents
from analysis.report.escaping import code_block, markdown_table, markdown_text
from analysis.report.statistics_text import final_layer_sentence
from analysis.tables.build import Tables
from analysis.tables.columns import NOTE_BREAK, Row, as_rows, curve_label, label_amount, model_label
from analysis.tables.formatting import adaptation, count, interval, layer_text, number, origin
from bench.core import label_fraction_text
from bench.core.wording import shortened

KEY = (
    "**Bold**: the best score of a column. ≈: statistically tied with it; the paired 95 % bootstrap interval of the "
    "difference includes 0 (not corrected for the number of models). Brackets: 95 % bootstrap interval over test "
    "blocks. `best-on-val`: at the layer chosen on validation; `last`: at the last layer. Names joined by =: models "
    "with the same network at random init."
)
MODEL_HEAD = ("model", "origin", "objective", "parameters", "trained on this", "weights", "licence", "reference")
NOTED = 4  # models named per note


def markdown(contents: SuiteContents) -> str:
    """Return the whole report of a suite as Markdown."""
    tables = contents.tables
    frame = tables.leaderboard
    lines = [f"# {markdown_text(tables.suite)}", "", markdown_text(tables.title), ""]
    if tables.generated:
        lines += ["**generated data**", ""]
    lines += [KEY, "", *_left_out(tables)]
    if summary := final_layer_sentence(final_layer(tables.layers)):
        lines += [summary, ""]
    every = boards(frame)
    for task in dict.fromkeys(board.task for board in every):
        of_task = [board for board in every if board.task == task]
        first = of_task[0]
        facts = f"{first.facts['kind']}, {first.facts['n_test']} test samples in {first.facts['blocks']} blocks"
        lines += [f"## {markdown_text(f'{task}: {first.metric}')}", ""]
        lines += [markdown_text(facts + (", generated data" if tables.generated else "")), ""]
        if unequal := unequal_samples(frame[frame["task"] == task]):
            lines += [markdown_text(unequal), ""]
        lines += _board(first) + _fractions(of_task)
        lines += _depth(tables.layers, task, first.digits)
        lines += _pictures(contents.of(task))
        lines += _notes(frame[frame["task"] == task])
    lines += _statistics(contents)
    if (frame["trained_on_this"] == "yes").any():
        lines += ["†: images or labels of this dataset were in the model's training data.", ""]
    return "\n".join([*lines, *_failures(tables), *_models(tables), *_provenance(tables)])


def _left_out(tables: Tables) -> list[str]:
    if not tables.left_out:
        return []
    lines = [f"**{len(tables.left_out)} records are left out, because they cannot be read:**", ""]
    return [*lines, *(f"- {markdown_text(text)}" for text in tables.left_out), ""]


def _board(board: Board) -> list[str]:
    head = ["model", "origin", "parameters", *(f"{protocol}, {rule}" for protocol, rule in board.settings)]
    head.insert(4, "at layer")
    rows = []
    for row in board.rows:
        scores = [_score(row.entries.get(setting), setting, board) for setting in board.settings]
        first = row.entries.get(board.settings[0])
        scores.insert(1, markdown_text(layer_text(first)) if first else "")
        facts = (row.marked_name, origin(row.facts), count(row.facts["parameters"]))
        rows.append([*map(markdown_text, facts), *scores])
    return [f"### {board.labels}", "", *markdown_table([markdown_text(name) for name in head], rows, 2)]


def _score(row: Row | None, setting: Setting, board: Board) -> str:
    if row is None:
        return ""
    text = number(row["score"], board.digits)
    if board.is_best(setting, row):
        text = f"**{text}**"
    mark = " ≈" if row["standing"] == "tie" else ""
    spread = "" if np.isnan(row["spread"]) else f" ±{number(row['spread'], board.digits)}"
    return f"{text}{mark}{spread} {interval(row, board.digits)}".strip()


def _fractions(of_task: Sequence[Board]) -> list[str]:
    """Return score against label fraction, one table per adaptation, at its first layer rule."""
    first_rule: dict[str, Setting] = {}
    for board in of_task:
        for setting in board.settings:
            first_rule.setdefault(setting[0], setting)
    lines: list[str] = []
    for setting in first_rule.values():
        columns = [board for board in of_task if setting in board.settings]
        columns.sort(key=lambda board: label_amount(board.fraction))
        if len(columns) < 2:
            continue
        names = dict.fromkeys(row.marked_name for board in of_task for row in board.rows if setting in row.entries)
        rows = []
        for name in names:
            entries = [{row.marked_name: row.entries.get(setting) for row in board.rows} for board in columns]
            scores = [_score(of.get(name), setting, board) for of, board in zip(entries, columns, strict=True)]
            rows.append([markdown_text(name), *scores])
        head = ["model", *(label_fraction_text(board.fraction) for board in columns)]
        lines += [f"### by label fraction ({markdown_text(', '.join(setting))})", ""]
        lines += ["Mean over label subsets, ± standard deviation over them.", "", *markdown_table(head, rows, 1)]
    return lines


def _depth(layers: pd.DataFrame, task: str, decimals: int) -> list[str]:
    """Return the final-layer regret and the peak depth of each model of a task, at the most labels."""
    chosen = layers[(layers["task"] == task) & layers["chosen"] & layers["final_layer_regret"].notna()]
    chosen = chosen[chosen["fraction"] == max(chosen["fraction"], key=label_amount, default=1.0)]
    if chosen.empty:
        return []
    rows = []
    for row in as_rows(chosen):
        bounds = interval({"low": row["regret_low"], "high": row["regret_high"]}, decimals)
        regret = f"{number(row['final_layer_regret'], decimals)} {bounds}".strip()
        p = "< 0.001" if row["regret_p_holm"] < 0.001 else number(row["regret_p_holm"], 3)
        names = map(markdown_text, (curve_label(row), row["protocol"], row["layer"]))
        rows.append([*names, f"{row['depth']:.2f}", regret, p, _peak(row)])
    head = ["model", "protocol", "chosen layer", "relative depth", "final-layer regret", "p (Holm)", "peak on test"]
    text = (
        "Final-layer regret: test score at the layer chosen on validation minus test score at the last layer, positive "
        "if the last layer is worse. Peak on test: relative depth of the layer with the best test score, with its 95 % "
        "interval over resamples; it is descriptive and not used for any choice."
    )
    return ["### depth", "", text, "", *markdown_table(head, rows, 3)]


def _peak(row: Row) -> str:
    if np.isnan(row["peak_depth"]):
        return ""
    low, high = row["peak_low"], row["peak_high"]
    return f"{row['peak_depth']:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _notes(frame: pd.DataFrame) -> list[str]:
    models_of: dict[str, list[str]] = {}
    for row in as_rows(frame[frame["notes"] != ""]):
        model = f"{model_label(row)} ({adaptation(row)}, {label_fraction_text(row['fraction'])})"
        for note in str(row["notes"]).split(NOTE_BREAK):
            models_of.setdefault(note, []).append(model)
    lines = [
        f"- {markdown_text(f'{note}: {shortened(list(dict.fromkeys(models)), NOTED)}')}"
        for note, models in models_of.items()
    ]
    return [*lines, ""] if lines else []


def _pictures(pictures: Sequence[FigureSpec]) -> list[str]:
    lines = []
    for picture in pictures:
        files = f"[PDF]({picture.stem}.pdf), [CSV]({picture.stem}.csv)"
        lines += [f"![{markdown_text(picture.description)}]({picture.stem}.png)", ""]
        lines += [f"{markdown_text(picture.caption)} {files}", ""]
    return lines


def _statistics(contents: SuiteContents) -> list[str]:
    lines = ["## Statistics", ""] if contents.sections or contents.of("") else []
    for section in contents.sections:
        sentences = (f"- {markdown_text(sentence)}" for sentence in section.sentences)
        lines += [f"### {markdown_text(section.heading)}", "", *sentences, ""]
        if section.rows:
            rows = [[markdown_text(cell) for cell in row] for row in section.rows]
            lines += markdown_table([markdown_text(name) for name in section.head], rows, 1)
    return lines + _pictures(contents.of(""))


def _failures(tables: Tables) -> list[str]:
    if tables.failures.empty:
        return []
    head = ["task", "model", "protocol", "labels", "subset", "error"]
    rows = [
        [*(row[name] for name in head[:3]), label_fraction_text(row["fraction"]), str(row["subset"]), row["error"]]
        for row in as_rows(tables.failures)
    ]
    rows = [[markdown_text(cell) for cell in row] for row in rows]
    return ["## Failed runs", "", *markdown_table(head, rows, len(head))]


def _models(tables: Tables) -> list[str]:
    rows = []
    for row in as_rows(tables.models):
        weights = "".join(character for character in row["weights"][:12] if character.isalnum())
        first = (row["model"], origin(row), row["objective"], count(row["parameters"]), row["trained_on_this"])
        last = (row["licence"], row["reference"])
        rows.append([*map(markdown_text, first), f"`{weights}`", *map(markdown_text, last)])
    return ["## Models", "", *markdown_table(MODEL_HEAD, rows, len(MODEL_HEAD))]


def _provenance(tables: Tables) -> list[str]:
    lines = ["## Provenance", ""]
    lines += [*(f"- {markdown_text(f'{name}: {value}')}" for name, value in tables.provenance.items()), ""]
    if tables.replay:
        lines += code_block(tables.replay)
    lines += ["Each row of `leaderboard.csv` names the records it averages; they are in `records/`.", ""]
    return lines
