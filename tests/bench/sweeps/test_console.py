"""Text is printed as it stands, whatever the terminal can show."""

from __future__ import annotations

import io
import sys

import pytest

from bench.sweeps import console as consoles
from bench.sweeps.console import console, prepare_streams, print_line


def terminal(monkeypatch, encoding: str) -> io.BytesIO:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict"))
    prepare_streams()
    return raw


@pytest.mark.parametrize(
    "text", ["[/b]", "[red]x[/red]", "[bold", ":car:", "a[0]", "\\[x]", "http://x/[y]", "[link=x]"]
)
def test_names_are_no_markup(text, monkeypatch):
    raw = terminal(monkeypatch, "utf-8")
    print_line(console(), "see ", (text, "bold"), " there")
    assert raw.getvalue().decode() == f"see {text} there\n"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "0.5 ~ +- 2 ? ok"), ("cp1252", "0.5 ~ ± ² ? ok"), ("utf-8", "0.5 ≈ ± ² 日 ok")]
)
def test_characters_that_a_terminal_lacks_are_replaced(encoding, shown, monkeypatch):
    raw = terminal(monkeypatch, encoding)
    print_line(console(), "0.5 ≈ ± ² 日 ok")
    assert raw.getvalue().decode(encoding).strip() == shown


def test_a_path_that_is_no_text_is_printed(monkeypatch):
    raw = terminal(monkeypatch, "utf-8")
    sys.stdout.write("\udcff\n")
    print_line(console(), "a\udcffb\x1b[31m")
    assert raw.getvalue().decode() == "?\na\\udcffb\\x1b[31m\n"


def test_a_closed_stream_swallows_what_is_printed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()
    print_line(console(), "x")
    sys.stderr.write("y")


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        *(("", 160), ("80", 80), ("60", 60), ("10", consoles.NARROWEST), ("0", 160), ("-5", 160), ("abc", 160)),
        *(("9" * 50, consoles.WIDEST), ("²", 160), (" 80", 160), ("80.5", 160)),
    ],
)
def test_columns_decides_the_width_of_what_is_piped(columns, width, monkeypatch):
    with monkeypatch.context() as patch:  # the test runner reads the variable too when it reports
        patch.setenv("COLUMNS", columns)
        patch.setenv("LINES", "²")
        measured = console().width
    assert measured == width


def test_a_line_is_never_broken(monkeypatch):
    raw = terminal(monkeypatch, "utf-8")
    monkeypatch.setenv("COLUMNS", "60")
    path = "/".join(["folder with spaces"] * 20)
    print_line(console(), path)
    assert raw.getvalue().decode() == f"{path}\n"
