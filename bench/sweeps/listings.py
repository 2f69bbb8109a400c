"""Listings: rows as JSON, or as a table fitted to the terminal by leaving out columns; names and numbers stay whole."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from bench.core.wording import printable, shortened
from bench.sweeps.console import WIDEST, console, print_line

GAP = 2
SHORT = 28  # characters up to which a cell is never broken into lines
PROSE = 24  # smallest width of a column of prose, in characters


def listing(
    rows: Sequence[Mapping[str, object]], *, as_json: bool, title: str = "", keep: Collection[str] = (), note: str = ""
) -> None:
    """Print rows as a table, or as one JSON list of objects.

    Args:
        rows: mappings with equal keys, the name first; columns are left out from the last one on.
        as_json: print JSON.
        title: printed above the table.
        keep: columns that are never left out; the first is one of them.
        note: where columns that are left out can be seen; `--json` if not given.
    """
    if as_json:
        sys.stdout.write(json.dumps(list(rows), indent=1, default=str) + "\n")
        return
    out = console()
    if title:
        print_line(out, (title, "italic"))
    print_rows(out, rows, keep=keep, note=note or "--json shows them")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table: its cells as text, and how narrow it may become."""

    name: str
    cells: Sequence[str]
    right: bool
    least: int
    most: int

    @property
    def broken(self) -> bool:
        """Whether its cells may be broken into lines."""
        return self.least < self.most


def column(name: str, values: Sequence[Any], *, first: bool) -> Column:
    """Return a column; text of several words may be broken between them, names and numbers may not."""
    cells = [cell_text(value) for value in values]
    most = max(map(cell_len, [name, *cells]))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    least = most
    if not first and not numeric and max(map(cell_len, cells)) > SHORT and any(" " in cell for cell in cells):
        words = [word for cell in [name, *cells] for word in cell.split()]
        least = max(min(most, PROSE), *map(cell_len, words))
    return Column(name=name, cells=cells, right=numeric, least=least, most=most)


def cell_text(value: object) -> str:
    """Return a value as the text of a cell: ``yes``, ``98,349,760``, ``a, b``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return " ".join(printable(text).split("\n"))


def print_rows(
    out: Console, rows: Sequence[Mapping[str, object]], *, keep: Collection[str] = (), note: str = ""
) -> None:
    """Print rows as a table without lines; see `listing`. What cannot be made narrower is left to the terminal."""
    if not rows:
        print_line(out, ("nothing there", "dim"))
        return
    names = list(rows[0])
    columns = [column(name, [row[name] for row in rows], first=name == names[0]) for name in names]
    fixed = {names[0], *keep}
    shown = fitting(columns, out.width, fixed)
    widths = _widths(shown, out.width)
    _print_cells(out, shown, widths, [part.name for part in shown], "bold")
    for cells in zip(*(part.cells for part in shown), strict=True):
        _print_cells(out, shown, widths, cells, "")
    if left_out := [name for name in names if name not in {part.name for part in shown}]:
        text = f"left out at {out.width} columns: {shortened(left_out, 20)}; {note}".rstrip("; ")
        for line in textwrap.wrap(text, out.width, break_long_words=False, break_on_hyphens=False):
            print_line(out, (line, "dim"))


def fitting(columns: Sequence[Column], width: int, fixed: Collection[str]) -> list[Column]:
    """Return the columns that fit into a width; the last column that is not fixed is left out first."""
    shown = list(columns)
    while sum(part.least for part in shown) + GAP * (len(shown) - 1) > width:
        loose = [part for part in shown if part.name not in fixed]
        if not loose:
            break
        shown.remove(loose[-1])
    return shown


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return the width of each column; spare width goes to columns with broken cells, in proportion to their need."""
    widths = [part.least for part in columns]
    spare = max(0, width - sum(widths) - GAP * (len(columns) - 1))
    lacking = [part.most - part.least for part in columns]
    for place, lack in enumerate(lacking):
        if lack:
            share = min(lack, spare * lack // sum(lacking[place:]))
            widths[place] += share
            spare -= share
    if columns[-1].broken:  # a long word at the end of a line, such as a URL, pushes nothing aside
        widths[-1] = min(widths[-1], max(PROSE, width - sum(widths[:-1]) - GAP * (len(columns) - 1)))
    return widths


def _print_cells(
    out: Console, columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str], style: str
) -> None:
    broken = [
        textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) if part.broken else [cell]
        for part, width, cell in zip(columns, widths, cells, strict=True)
    ]
    for line in zip_longest(*broken, fillvalue=""):
        padded = [
            " " * (width - cell_len(text)) + text if part.right else text + " " * (width - cell_len(text))
            for part, width, text in zip(columns, widths, line, strict=True)
        ]
        print_line(out, ((" " * GAP).join(padded).rstrip(), style))


def print_board(out: Console, table: Table, lead: int = 2) -> None:
    """Print a rich table; one that is wider than the console is printed in parts that repeat its first columns.

    Args:
        out: console to print on.
        table: table of any number of columns, none of which is cut.
        lead: number of first columns that identify a row.
    """
    start = lead
    while start < len(table.columns) or start == lead:
        end = start + 1
        while end < len(table.columns) and _natural(out, _part(table, lead, start, end + 1)) <= out.width:
            end += 1
        part = _part(table, lead, start, end)
        width = out.width
        out.width = max(width, _natural(out, part))  # wider than the console, where its first columns alone are
        out.print(part)
        out.width = width
        start = end


def _part(table: Table, lead: int, start: int, end: int) -> Table:
    """Return a table of some of another's columns; the first has its title, the last its caption."""
    part = copy(table)
    columns = [*table.columns[:lead], *table.columns[start:end]]
    part.columns = [replace(column, _index=place) for place, column in enumerate(columns)]
    part.title = table.title if start == lead else None
    part.caption = table.caption if end >= len(table.columns) else None
    return part


def _natural(out: Console, table: Table) -> int:
    return Measurement.get(out, out.options.update(width=WIDEST * 10), table).maximum
