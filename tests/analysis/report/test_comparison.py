"""Ours beside published numbers as files: every copied number marked, every difference of protocol spelt out."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pandas as pd
import pytest

from analysis.findings.published import MARK, compare, read_published
from analysis.report.comparison import shown, write_comparison
from analysis.report.write import write_reports
from analysis.tables.build import tables
from analysis.tables.columns import COMPARISON, PUBLISHED
from bench.cli import report as command
from bench.core.errors import MissingData
from bench.store import Store
from tests.builders.records import MODELS, TASKS, MemorySource, make

THEIRS = {
    **dict.fromkeys(PUBLISHED, ""),
    **{"suite": "grove", "task": "landcover", "metric": "accuracy", "value": 0.8, "protocol": "probe", "fraction": 1.0},
    **{"setting": "frozen, last layer", "same_test": "no", "differences": "224 px", "dataset": "Grove"},
    **{"metric_printed": "OA", "printed": 80.0, "source": "A paper", "where": "Table 1", "url": "doi:0"},
    **{"seen": "read", "status": "copied"},
}


@pytest.fixture
def results(tmp_path):
    store = Store(tmp_path)
    for protocol in ("probe", "knn"):
        record, arrays = make(MODELS[0], TASKS[0], suite="grove", protocol=protocol)
        store.put(replace(record, facts=dict(record.facts) | {"generated": False}), arrays)
    rows = [
        THEIRS | {"model": "alder_base", "model_printed": "Alder"},
        THEIRS | {"model": "elsewhere", "model_printed": "Elsewhere", "value": 0.9},
    ]
    (tmp_path / "published").mkdir()
    pd.DataFrame(rows, columns=list(PUBLISHED)).to_csv(tmp_path / "published" / "published.csv", index=False)
    return tmp_path


def test_the_files_hold_pairs_and_what_stands_alone_all_marked(results):
    paths = write_comparison(Store(results), results, ["grove"])
    assert [path.name for path in paths] == [f"published_comparison.{kind}" for kind in ("csv", "md", "html")]
    comparison = pd.read_csv(paths[0], keep_default_na=False)
    assert tuple(comparison.columns) == COMPARISON
    assert list(comparison["status"]) == ["rerun"] * 4 + ["copied"]
    text = paths[1].read_text()
    pair = next(line for line in text.splitlines() if line.startswith("| grove | landcover | alder_base |"))
    assert f"0.800 {MARK}" in pair and "224 px" in pair and "other test samples" in pair and "Table 1" in pair
    assert f"| elsewhere {MARK} | accuracy | 0.900 {MARK} | probe |" in text
    page = paths[2].read_text()
    assert page.count(f"0.800 {MARK}") == 2 and not re.search(r"@import|url\(|src=|https?://", page)
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_comparison(Store(results), results, ["grove"])] == before


def test_pages_show_the_pairs_of_the_same_protocol_where_there_are_any(results):
    board = tables(Store(results), "grove").leaderboard
    comparison = compare(board, read_published(results / "published" / "published.csv"))
    pairs, alone = shown(comparison)
    assert {row[7] for row in pairs} == {"probe, best-on-val", "probe, last"} and len(alone) == 1
    pairs, _ = shown(comparison[comparison["protocol"] != "probe"])
    assert {row[7] for row in pairs} == {"knn, best-on-val", "knn, last"}


def test_without_the_file_it_says_so(tmp_path):
    store = Store(tmp_path)
    store.put(*make(MODELS[0], TASKS[0], suite="grove"))
    with pytest.raises(MissingData, match="published"):
        write_comparison(store, tmp_path, ["grove"])


def test_the_command_writes_it_and_knows_no_other_comparison(results, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["geobench-report", *words])
        with pytest.raises(SystemExit) as end:
            command.report()
        return end.value.code

    assert run(f"results={results}", "compare=published") == 0
    assert (results / "published_comparison.html").exists() and not (results / "index.html").exists()
    assert run(f"results={results}", "compare=publishd") == 2
    assert "published" in capsys.readouterr().err


def test_a_leaderboard_holds_no_copied_number(results):
    write_comparison(Store(results), results, ["grove"])
    source = MemorySource()
    for record in Store(results).records():
        source.put(record, dict(Store(results).arrays(record)))
    write_reports(source, results)
    assert MARK not in (results / "grove" / "leaderboard.csv").read_text()
    assert "elsewhere" not in (results / "grove" / "leaderboard.md").read_text()
