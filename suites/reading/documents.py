"""Lists, tables and documents: text, CSV, JSON, parquet and XML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.parsers import expat

from bench.core.errors import MissingData
from suites.reading.files import GIGABYTE, content_of, format_of, format_of_bytes, reading

if TYPE_CHECKING:
    import pandas as pd

MOST_TEXT = GIGABYTE // 2
"""Largest document in bytes that is read."""
LONGEST_LINE = 1 << 16
"""Longest line of a list in characters."""
MOST_STEPS = 100_000
"""Longest query of a database, in thousands of instructions of its virtual machine."""


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, which may be empty.

    Raises:
        MissingData: with the name of the file if it is absent, not text, too large, or if a link leads out of the data
            folder.
    """
    if is_empty(path):
        return ""
    content = content_of(path, MOST_TEXT)
    if content.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise MissingData(f"cannot read {path}: it is an HTML page, as servers send for errors; download it again")
    with reading(path, "text in UTF-8"):
        return content.decode("utf-8-sig")


def is_empty(path: Path) -> bool:
    """Return whether a file is there and has no content."""
    try:
        return path.stat().st_size == 0
    except (OSError, ValueError):
        return False


def read_lines(path: Path) -> list[str]:
    """Return the non-empty lines of a list file, without the blanks around them.

    Raises:
        MissingData: see `read_text`; also if there is no such line, or one is longer than `LONGEST_LINE`.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if long := next((line for line in lines if len(line) > LONGEST_LINE), ""):
        raise MissingData(
            f"cannot read {path}: a line has {len(long):,} characters and begins with {long[:40]!r}, and more than "
            f"{LONGEST_LINE:,} are not read; replace it by the published file"
        )
    if not lines:
        raise MissingData(f"{path} lists nothing; download it again")
    return lines


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header as column -> value.

    Args:
        path: the file.
        columns: the columns it must have; it may have more.

    Raises:
        MissingData: see `read_lines`; also if a column is absent, there are no rows, or a row has another number of
            fields than the header.
    """
    lines = read_lines(path)
    with reading(path, f"a CSV file with the columns {', '.join(columns)}"):
        reader = csv.DictReader(lines)
        head = list(reader.fieldnames or ())
        rows: list[dict[Any, Any]] = list(reader)
    if absent := [column for column in columns if column not in head]:
        raise MissingData(
            f"cannot read {path}: it has no column {absent[0]!r}, expected {', '.join(columns)}; its header is "
            f"{', '.join(head)[:300]}; download it again"
        )
    if not rows:
        raise MissingData(f"{path} has a header and no rows; download it again")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise MissingData(
                f"cannot read {path}, line {number}: expected {len(head)} fields as in its header; it is damaged or "
                "cut short, download it again"
            )
    return rows


def read_json(path: Path, kind: type[dict[object, object]] | type[list[object]] = dict) -> Any:
    """Return the content of a JSON file.

    Args:
        path: the file.
        kind: type of its top level.

    Raises:
        MissingData: see `read_text`; also if it is not JSON, nested too deeply, or of another kind.
    """
    text = read_text(path)
    with reading(path, "JSON"):
        content = json.loads(text)
    if not isinstance(content, kind):
        names: dict[type[object], str] = {dict: "object", list: "list"}
        held = names.get(type(content), f"single value ({type(content).__name__})")
        raise MissingData(f"cannot read {path}: its JSON holds one {held}, expected one {names[kind]}; replace it")
    return content


def read_parquet(source: Path | bytes, columns: Sequence[str] | None, label: str = "") -> pd.DataFrame:
    """Return a parquet table as a data frame.

    Args:
        source: the file, or the bytes of one.
        columns: those read; None for all.
        label: name for messages; the path if empty.

    Raises:
        MissingData: with the name of the table if it is absent, damaged, cut short or lacks a column, or if a link
            leads out of the data folder.
    """
    named = label or str(source)
    content = content_of(source) if isinstance(source, Path) else source
    format_of_bytes(content[:32], named, "parquet table")
    with reading(named, f"the columns {', '.join(columns)}" if columns else ""):
        from pyarrow import parquet  # type: ignore[import-untyped,unused-ignore]

        file = parquet.ParquetFile(io.BytesIO(content))
        if absent := sorted(set(columns or ()) - set(file.schema_arrow.names)):
            raise KeyError(f"it has no column {absent[0]!r}")
        table = file.read(columns=None if columns is None else list(columns))
        # Text is decoded late: without this check damaged text would fail after this block.
        table.validate(full=True)
        frame: pd.DataFrame = table.to_pandas()
    return frame


def read_sqlite(path: Path, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
    """Return the rows of a table of an SQLite database (a GeoPackage is one).

    Args:
        path: the file.
        table: name of the table; views and virtual tables, which can run programs of their own, are refused.
        columns: those read.

    Raises:
        MissingData: with the name of the file if it is absent, no database, damaged, lacks the table or a column, or
            takes too long; or if a link leads out of the data folder.
    """
    import sqlite3
    from contextlib import closing

    format_of(path, "SQLite database")
    # In brackets: names in double quotes that are no column would be read as text.
    names = ", ".join(f"[{column}]" for column in columns)
    steps = iter(range(MOST_STEPS))
    expected = f"a table {table!r} with the columns {', '.join(columns)}"
    # Immutable: no journal in the folder is replayed, and no file is written.
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with reading(path, expected), closing(sqlite3.connect(address, uri=True)) as database:
        database.execute("PRAGMA trusted_schema=OFF")
        database.set_progress_handler(lambda: next(steps, None) is None, 1000)
        kinds = database.execute("SELECT type FROM sqlite_master WHERE name=? AND rootpage > 0", (table,)).fetchall()
        if kinds != [("table",)]:
            raise MissingData(f"cannot read {path}: it has no {expected}; download it again")
        return database.execute(f"SELECT {names} FROM [{table}]").fetchall()


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root element of an XML file without a document type.

    Document types are refused, since the entities they declare can expand without limit or name other files.

    Raises:
        MissingData: with the name of the file if it is absent, not XML, damaged, cut short, or declares a document
            type; or if a link leads out of the data folder.
    """
    content = content_of(path, MOST_TEXT)

    def refuse(*_: object) -> None:
        raise MissingData(
            f"cannot read {path}: it declares a document type or entities, which annotations do not have; replace it"
        )

    with reading(path, "XML"):
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = refuse
        parser.EntityDeclHandler = refuse
        parser.Parse(content, True)
        return ElementTree.fromstring(content)


def read_boxes(path: Path) -> tuple[ElementTree.Element, list[tuple[float, ...]], list[str]]:
    """Return a Pascal VOC annotation: its root element, and the box and name of every object.

    Boxes are ``(xmin, ymin, xmax, ymax)`` in pixels, as stated.

    Raises:
        MissingData: see `read_xml`; also if a side of a box is absent or not a number.
    """
    root = read_xml(path)
    with reading(path, "Pascal VOC objects with a name and a bndbox"):
        objects = root.findall("object")
        sides = ("xmin", "ymin", "xmax", "ymax")
        boxes = [tuple(float(item.findtext(f"bndbox/{side}", "")) for side in sides) for item in objects]
    return root, boxes, [item.findtext("name", "") for item in objects]
