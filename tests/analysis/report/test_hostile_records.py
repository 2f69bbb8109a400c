"""Records with hostile names: nothing is written elsewhere, nothing is read as markup, a command or a formula."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from analysis.gallery.picture import file_name
from analysis.report.boards import terminal_table
from analysis.report.write import build, put, put_files, write_index, write_report
from bench.core.errors import BadSetting
from bench.store import Store
from tests.builders.records import MODELS, TASKS, MemorySource, make, make_arm

NAMES = {
    "path": "../../escaped",
    "absolute": "/tmp/escaped",
    "markup": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "rich": "[red]x[/b]",
    "shell": "$(touch escaped)",
    "nul": "a\0b\x1b[31m",
    "long": "x" * 300,
    "right to left": "\u202eabc \u05d0\u05d1",
    "emoji": "tree \N{EVERGREEN TREE}",
    "formula": "=HYPERLINK(0)",
    "table": "a|b\nc",
    "latex": r"50% of a_b & {c} \input{d} ^~#",
    "link": "[a](javascript:alert(1)) ![b](c) `code`",
    "fence": "```\n# heading",
    "template": "{{ 7 * 7 }}",
}


TASK_NAMES = ("../../escaped", "<script>50%_&{c}</script>", "[red]$(x) \0 \u202e\N{EVERGREEN TREE}", "x" * 300)


def with_texts(record, text):
    """A record whose texts are all hostile."""
    facts = dict(record.facts) | dict.fromkeys(("title", "objective", "licence", "reference", "input", "parent"), text)
    facts |= {"classes": [f"{text}{place}" for place in range(6)], "suite_notes": text}
    if "arm" in facts:
        facts["arm"] = {"decoder": text, "tuning": text, "taps": "last"}
    environment = {"command": text, "commit": text, "device": text}
    return replace(record, facts=facts, notes=(text,), environment=environment)


def hostile(suite="grove"):
    """A task with a model of each hostile name, and fine-tuned arms on tasks of hostile names."""
    source = MemorySource()
    for name in NAMES.values():
        record, arrays = make(MODELS[4], TASKS[0], suite=suite)
        source.put(with_texts(replace(record, key=replace(record.key, model=name)), name), arrays)
    for name in TASK_NAMES:
        for model in MODELS[0], MODELS[2]:
            record, arrays = make_arm(model, TASKS[0], suite=suite)
            blocks = np.array([f"{name} {place // 60}" for place in range(300)])
            source.put(
                with_texts(replace(record, key=replace(record.key, task=name)), name), arrays | {"test.blocks": blocks}
            )
        failed = replace(make(MODELS[4], TASKS[0], suite=suite)[0], status="failed", scores={}, choices={}, curves=())
        source.put(replace(failed, key=replace(failed.key, task=name), error=name), {})
    return source


@pytest.fixture(scope="module")
def report():
    return build(hostile(), "grove")


class Page(HTMLParser):
    VOID = ("meta", "img", "input", "line", "circle", "br", "option", "link")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.scripts, self.handlers = [], [], 0, []

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.links += [value for name, value in attributes if name in ("src", "href")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_every_file_lies_in_the_folder_of_its_suite(report, tmp_path):
    results = tmp_path / "deep" / "results"
    paths = [*put(report, results), *write_index([report], results)]
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(paths)
    assert {path.parent for path in paths} == {results, results / "grove"}
    stems = {name.rpartition(".")[0] for name in report.files}
    assert {stem.partition("_")[0] for stem in stems} >= {"layer", "classes", "training", "panels", "cost"}


def test_pages_hold_no_script_or_link_of_a_record(report):
    page = Page()
    page.feed(report.files["leaderboard.html"].decode())
    assert page.open == [] and page.scripts == 2 and page.handlers == []
    local = [link for link in page.links if not link.startswith(("#", "data:image/png;base64,"))]
    assert set(local) <= {*report.files, "../index.html"}
    assert b"\0" not in report.files["leaderboard.html"] and b"{{ 7 * 7 }}" in report.files["leaderboard.html"]


def test_markdown_tables_keep_their_columns_and_hold_no_html(report):
    whole = report.files["leaderboard.md"].decode()
    assert whole.count("\n````\n") == 2  # the commands, one of which holds a fence
    text = whole.partition("\n````\n")[0] + whole.rpartition("\n````\n")[2]
    assert "<script" not in text and "<img" not in text and "\0" not in text and "\x1b" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert blocks
    for block in blocks:
        assert len({line.replace("\\|", "").count("|") for line in block}) == 1
    assert text.count("\n## Provenance\n") == 1 and "\n# heading" not in text


def test_csv_text_is_no_formula_and_numbers_are_unchanged(report):
    rows = list(csv.DictReader(io.StringIO(report.files["leaderboard.csv"].decode())))
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in "=@" and cell]
    board = report.tables.leaderboard
    assert [float(row["score"]) for row in rows] == pytest.approx(board["score"].tolist(), rel=1e-5)
    assert [row["val"] for row in rows] == [f"{value:.6g}" for value in board["val"]]


def test_a_terminal_shows_names_and_reads_no_markup(report):
    console = Console(width=2000, file=io.StringIO(), record=True)
    console.print(terminal_table(report.tables.leaderboard, title=NAMES["rich"]))
    text = console.export_text()
    assert "\x1b" not in text and "\0" not in text
    assert text.count(NAMES["rich"]) == 2 and NAMES["shell"] in text and NAMES["template"] in text


def test_latex_commands_of_a_record_are_text(report):
    text = report.files["leaderboard.tex"].decode()
    for table in text.split(r"\begin{tabular}")[1:]:
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len({line.replace(r"\&", "").count("&") for line in rows}) == 1
    assert (r"\input" not in text and text.isascii()) or "\u00e9" in text
    for label in {line.strip() for line in text.splitlines() if r"\label" in line}:
        assert not set(label.removeprefix(r"\label{").removesuffix("}")) & set("%#&{}\\ $")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles(report, tmp_path):
    document = (
        r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\usepackage{booktabs}"
        + "\n\\begin{document}\n"
        + report.files["leaderboard.tex"].decode()
        + "\\end{document}\n"
    )
    (tmp_path / "table.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "table.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:]


def small(suite):
    source = MemorySource()
    source.put(*make(MODELS[4], TASKS[0], suite=suite))
    return source


def test_a_suite_whose_name_is_a_path_is_refused(tmp_path):
    with pytest.raises(BadSetting, match="cannot be written"):
        write_report(small("../grove"), tmp_path / "results", "../grove")
    with pytest.raises(BadSetting, match="cannot be written into"):
        put_files({"../escaped.csv": b""}, tmp_path / "results")
    assert not list(tmp_path.rglob("*.csv"))


def test_file_names_are_safe_and_distinct():
    names = [file_name(name) for name in NAMES.values()]
    assert len(set(names)) == len(names) and all(name.isascii() and len(name) < 100 for name in names)
    assert not [name for name in names if "/" in name or name.startswith(".")]
    assert file_name("water") == "water" and file_name("water@bolivia") == "water_bolivia"


def test_tasks_with_one_file_name_keep_their_figures_apart():
    source = MemorySource()
    for model in MODELS[0], MODELS[2]:
        for name in ("a@b", "a_b"):
            record, arrays = make(model, TASKS[0], suite="grove")
            source.put(replace(record, key=replace(record.key, task=name)), arrays)
    pictures = build(source, "grove").contents.pictures
    assert len({picture.stem for picture in pictures}) == len(pictures)


def test_a_report_names_records_that_cannot_be_read(tmp_path):
    store = Store(tmp_path)
    path = store.put(*make(MODELS[0], TASKS[0], suite="grove"))
    store.put(*make(MODELS[2], TASKS[0], suite="grove"))
    path.write_text(path.read_text()[:200])
    report = build(store, "grove")
    assert set(report.tables.leaderboard["model"]) == {"birch_small"}
    for name in ("leaderboard.md", "leaderboard.html"):
        text = report.files[name].decode()
        assert path.stem in text and "left out" in text
    write_report(store, tmp_path, "grove")
    index = write_index([report], tmp_path)[-1].read_text()
    assert "1 records left out" in index
