"""A listing fits 60 to 160 columns: columns are left out, names and numbers never cut."""

from __future__ import annotations

import json
import re

import pytest
from rich.console import Console
from rich.table import Table

from bench.cli.listing_rows import LISTINGS
from bench.cli.markdown import REFERENCE
from bench.sweeps.listings import cell_text, listing, print_board, print_rows

WIDTHS = (60, 80, 100, 120, 160)
EVERY = {
    **{name: (lambda name=name: LISTINGS[name]({})) for name in LISTINGS},
    **REFERENCE,
    "card": lambda: LISTINGS["models"]({"model": "ssl4eo_mae_huge"}),
    "facts": lambda: LISTINGS["suites"]({"suite": "bigearthnet_v2"}),
    "cache": lambda: [
        {
            "name": "0123456789abcdef0123",
            "model": "a_model_with_a_long_name_base.random",
            "suite": "a_suite_with_a_long_name",
            "split": "train",
            "rows": 363_572,
            "bytes": 98_349_760_123,
            "used": "2026-11-30 22:00",
            "state": "ok",
        }
    ],
    "doctor": lambda: [
        {
            "who": "eurosat_rgb",
            "state": "warning",
            "about": "levels",
            "what": "s2 is L1C here; the model was trained on L2A, whose values are lower by the atmosphere's part",
        }
    ],
    "files": lambda: [{"name": f"/long/{'folder/' * 12}leaderboard.html", "bytes": 1_234_567}],
}


@pytest.fixture(scope="module")
def rows_of():
    return {name: make() for name, make in EVERY.items()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", EVERY)
def test_no_name_and_no_number_is_cut(name, width, rows_of, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    rows = rows_of[name]
    keep = ("name", "value") if list(rows[0]) == ["name", "value"] else ("state", "about", "what")
    listing(rows, as_json=False, title=name, keep=[key for key in keep if key in rows[0]])
    lines = capsys.readouterr().out.splitlines()
    printed = " ".join(" ".join(lines).split())
    left_out = re.findall(r"left out at \d+ columns: (.*?); --json shows them", printed)
    hidden = set(left_out[0].split(", ")) if left_out else set()
    first = next(iter(rows[0]))
    assert first not in hidden and hidden < set(rows[0])
    shown = [key for key in rows[0] if key not in hidden]
    for row in rows:
        for key in shown:
            words = cell_text(row[key]).split(" ")
            whole = key == first or isinstance(row[key], int | float)
            for text in [cell_text(row[key])] if whole else words:
                assert " ".join(text.split()) in printed, (key, text)
    longest = max(len(word) for row in rows for key in shown for word in cell_text(row[key]).split())
    assert all(len(line) <= max(width, longest + 60) for line in lines)
    if name in ("models", "suites", "protocols", "decoders", "groups", "metrics", "units"):
        assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_numbers_stand_in_whole_columns(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    listing(LISTINGS["models"]({"models": "clay_*"}), as_json=False, keep=("parameters",))
    out = capsys.readouterr().out
    assert all(re.search(r"\s[\d,]{9,}\s", f"{line} ") for line in out.splitlines() if line.startswith("clay_"))


def test_json_has_every_column_at_any_width(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    rows = [{"name": "[/b]", "n": 1, "text": "é" * 200, "none": None}]
    listing(rows, as_json=True)
    assert json.loads(capsys.readouterr().out) == rows


def test_cells_are_no_markup_and_stay_in_their_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    listing([{"name": "[red]x", "what": "two\nlines \x1b[31m"}], as_json=False)
    assert "[red]x  two lines \\x1b[31m" in capsys.readouterr().out


def test_nothing_is_said_to_be_nothing(capsys):
    listing([], as_json=False)
    assert capsys.readouterr().out == "nothing there\n"
    listing([], as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_wide_characters_keep_columns_in_line():
    out = Console(width=80, record=True, file=None, markup=False, quiet=False)
    with out.capture() as captured:
        print_rows(out, [{"name": "日本", "n": 1}, {"name": "abcd", "n": 20}])
    lines = captured.get().splitlines()
    assert [line.rstrip()[-2:] for line in lines[1:]] == [" 1", "20"]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_board_wider_than_the_terminal_is_printed_in_parts(width):
    table = Table(title="the title", caption="the caption")
    for name in ("task", "model", *(f"setting {i}" for i in range(6))):
        table.add_column(name)
    table.add_row("landcover", "a_model_of_a_long_name.random", *(f"0.{i}69 [0.{i}88, 0.747]" for i in range(6)))
    out = Console(width=width, markup=False)
    with out.capture() as captured:
        print_board(out, table)
    text = captured.get()
    assert all(f"setting {i}" in text and f"0.{i}69 [0.{i}88, 0.747]" in text for i in range(6))
    assert "…" not in text and text.count("the title") == text.count("the caption") == 1
    parts = text.count("a_model_of_a_long_name.random")
    assert parts == text.count("landcover") and (parts > 1) == (width < 200)
    assert all(len(line.rstrip()) <= max(width, 75) for line in text.splitlines())
