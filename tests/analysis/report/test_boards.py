"""Boards: one rounding rule in every output, ties that refer to a best that is shown."""

from __future__ import annotations

import html
import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from analysis.report.boards import boards, latex, terminal_table, unequal_samples
from analysis.report.write import build
from analysis.tables.build import tables
from tests.builders.records import MODELS, TASKS, MemorySource, make, make_arm, orchard

RMSE = TASKS[1]


def printed(table):
    console = Console(width=400, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


@pytest.fixture(scope="module")
def report():
    return build(orchard(), "orchard")


def scaled(model, factor, **changes):
    """A record of errors `factor` times as large, with the scores its outcomes give."""
    record, arrays = make(model, RMSE, **changes)
    scores = {split: {rule: {name: value * factor if name == "rmse" else value for name, value in each.items()}
              for rule, each in rules.items()} for split, rules in record.scores.items()}  # fmt: skip
    curves = [row | {name: row[name] * factor for name in ("val", "test")} for row in record.curves]
    arrays = arrays | {f"test.{name}": arrays[f"test.{name}"] * factor for name in ("prediction", "target")}
    return replace(record, scores=scores, curves=curves), arrays


@pytest.mark.parametrize("factor", [0.01, 1.0, 30.0])
def test_html_markdown_latex_and_terminal_show_the_same_digits(factor):
    """A task with errors of very different sizes at two label fractions: the same decimals at both, everywhere."""
    source = MemorySource()
    for model in MODELS[:3]:
        for fraction in (0.1, 1.0):
            source.put(*scaled(model, factor * (8 if fraction == 0.1 else 1), fraction=fraction))
    report = build(source, "orchard")
    board = next(each for each in boards(report.tables.leaderboard) if each.fraction == 1)
    entries = [entry for row in board.rows for entry in row.entries.values()]
    expected = {f"{entry['score']:.{board.digits}f}" for entry in entries}
    bounds = {f"[{entry['low']:.{board.digits}f}, {entry['high']:.{board.digits}f}]" for entry in entries}
    assert len(expected) > 3
    text = {
        "html": report.files["leaderboard.html"].decode(),
        "md": report.files["leaderboard.md"].decode(),
        "tex": report.files["leaderboard.tex"].decode(),
        "terminal": printed(terminal_table(report.tables.leaderboard)),
    }
    for kind, content in text.items():
        for score in expected | bounds:
            assert score in content, (kind, score)
        if board.digits:  # no score with more or fewer decimals
            table = content.split("\\midrule")[1] if kind == "tex" else content
            numbers = re.findall(r"\[(\d+(?:\.\d+)?), \d+(?:\.\d+)?\]", table)
            wanted = {board.digits} | ({2, 3} if kind in ("md", "html") else set())
            assert {len(value.partition(".")[2]) for value in numbers} <= wanted, kind


def test_a_metric_of_at_most_one_has_three_decimals_whatever_the_worst_score():
    source = MemorySource()
    for model, score in ((MODELS[0], 0.5), (MODELS[2], -12.0)):
        record, arrays = make(model, RMSE)
        scores = {"test": {rule: {"r2": score} for rule in record.scores["test"]}}
        facts = dict(record.facts) | {"metric": "r2", "metric_label": "R²", "direction": "max"}
        source.put(replace(record, facts=facts, scores=scores), arrays)
    (board,) = boards(tables(source, "orchard").leaderboard)
    assert board.digits == 3


def test_a_terminal_that_shows_some_models_shows_the_best_they_are_tied_with(report):
    frame = report.tables.leaderboard
    text = printed(terminal_table(frame, models={"cedar_nano"}))
    shown = frame[(frame["fraction"] == 1) & (frame["model"] == "cedar_nano") & (frame["standing"] == "tie")]
    assert len(shown)
    for row in shown.to_dict("records"):
        best = frame[(frame["standing"] == "best") & (frame["task"] == row["task"]) & (frame["fraction"] == 1)]
        best = best[(best["protocol"] == row["protocol"]) & (best["layer"] == row["layer"])]
        assert best["model"].iloc[0] in text
    assert "rcf" not in text and "grey: the best of a column" in text
    assert terminal_table(frame, models={"nobody"}).row_count == 0
    assert "grey" not in printed(terminal_table(frame))


def test_a_setting_of_one_model_has_no_best():
    source = MemorySource()
    source.put(*make(MODELS[0], TASKS[0], suite="grove"))
    source.put(*make(MODELS[2], TASKS[0], suite="grove"))
    source.put(*make_arm(MODELS[0], TASKS[0], decoder="fpn", suite="grove"))
    report = build(source, "grove")
    (board,) = boards(report.tables.leaderboard)
    setting, alone = next(item for row in board.rows for item in row.entries.items() if "fpn" in item[0][0])
    assert alone["standing"] == "best" and not board.is_best(setting, alone)
    line = next(line for line in report.files["leaderboard.md"].decode().splitlines() if "| alder_base |" in line)
    assert "**" not in line.split("|")[-2]  # the only arm of its setting is no best


def test_the_index_names_the_best_of_all_settings():
    """The fine-tuned winner is not a model with a probe: both bests are named."""
    from analysis.report.contents import SuiteContents, across_suites
    from analysis.report.index_page import index_page

    source = MemorySource()
    for model in MODELS[0], MODELS[2]:
        source.put(*make(model, TASKS[0], suite="grove"))
    source.put(*make_arm(MODELS[4], TASKS[0], decoder="unet", tuning="scratch", suite="grove", panels=False))
    grove = tables(source, "grove")
    page = index_page([(SuiteContents(tables=grove), {})], across_suites([grove]), {}).decode()
    card = page
    frame = grove.leaderboard
    for decoders in (True, False):
        part = frame[(frame["decoder"] != "") == decoders]
        top = part.loc[part["score"].idxmax()]
        assert f"<b>{top['score']:.3f}</b>" in card and f"<b>{top['model']}" in card
    assert "finetune unet scratch, last, all labels" in card


def test_a_suite_page_opens_with_the_winner_first(report):
    text = report.files["leaderboard.html"].decode()
    assert text.count("data-start") == 2  # one label fraction is selected, and the script that selects it
    frame = report.tables.leaderboard
    section = text.split('id="task-landcover"')[1]
    first = re.search(
        r'<tr class="\w*" data-protocol="([^"]*)".*?<b>([^<]*)</b>.*?class="score">([\d.]+)', section, re.S
    )
    top = frame[(frame["task"] == "landcover") & (frame["fraction"] == 1)]
    top = top.loc[top["score"].idxmax()]
    assert (first.group(2), first.group(3)) == (top["model"], f"{top['score']:.3f}")


def test_models_scored_on_fewer_samples_are_named_in_every_board():
    built = tables(orchard(), "orchard")
    frame = built.leaderboard
    task, most = frame["task"].iloc[0], int(frame["n_test"].max())
    rows = frame[frame["task"] == task]
    assert unequal_samples(rows) == ""
    model = rows["model"].iloc[0]
    frame.loc[(frame["task"] == task) & (frame["model"] == model), "n_test"] = most - 3
    sentence = unequal_samples(frame[frame["task"] == task])
    assert sentence.startswith("Not all models were scored on the same test samples; on fewer: ")
    assert f"{model} ({most - 3:,} of {most:,})" in sentence and sentence.count(f" of {most:,})") == 1
    assert sentence.endswith("use all samples of each model; resamples draw the same blocks for all, matched by name.")
    assert f"({most - 3:,} of {most:,})" in printed(terminal_table(frame))
    assert latex(built).count("Not all models were scored") == 1


def test_markdown_and_html_boards_state_what_unequal_models_are_compared_on():
    source = MemorySource()
    source.put(*make(MODELS[0], TASKS[0]))
    source.put(*make(MODELS[2], replace(TASKS[0], splits=(("test", 290, 58),))))
    files = build(source, "orchard").files
    for name in ("leaderboard.md", "leaderboard.html"):
        text = html.unescape(files[name].decode()).replace("\\", "")
        assert f"on fewer: {MODELS[2].name} (290 of 300). Scores and comparisons use all samples of each model" in text
        assert "resamples draw the same blocks for all, matched by name." in text
