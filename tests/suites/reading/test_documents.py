"""Lists, tables and documents: damaged and hostile ones are sentences."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing

import pandas as pd
import pytest

from bench.core.errors import MissingData
from suites.reading import (
    documents as module,
)
from suites.reading import (
    read_boxes,
    read_json,
    read_lines,
    read_parquet,
    read_sqlite,
    read_table,
    read_text,
    read_xml,
)


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_lists(tmp_path):
    path = written(tmp_path / "a.txt", "\ufeffone \r\n\r\n two\n")
    assert read_lines(path) == ["one", "two"]
    for content, reason in (
        (b"", "lists nothing"), (b" \n", "lists nothing"), (b"\xff\xfe\0", "expected text in UTF-8"),
        (b"\n<!DOCTYPE html>", "an HTML page"),
    ):  # fmt: skip
        with pytest.raises(MissingData, match=rf"a\.txt.*{reason}"):
            read_lines(written(path, content))
    with pytest.raises(MissingData, match=r"x\.txt: there is no such file"):
        read_lines(tmp_path / "x.txt")
    assert read_text(written(path, "")) == ""


def test_tables(tmp_path):
    path = written(tmp_path / "a.csv", 'id,label,more\na,1,"x, y"\n')
    assert read_table(path, ("id", "label")) == [{"id": "a", "label": "1", "more": "x, y"}]
    for content, reason in (
        ("id,label\n", "has a header and no rows"),
        ("id,x\na,1\n", "has no column 'label', expected id, label; its header is id, x"),
        ("id,label\na\n", "line 2: expected 2 fields as in its header"),
        ("id,label\na,1\nb,2,3\n", "line 3: expected 2 fields"),
        ("id,label\na," + "x" * 1_000_000 + "\n", "a line has 1,000,002 characters"),
        ("x" * 1_000_000, "a line has 1,000,000 characters and begins with 'xxx"),
    ):
        with pytest.raises(MissingData, match=rf"a\.csv.*({reason})") as caught:
            read_table(written(path, content), ("id", "label"))
        assert len(str(caught.value)) < 1000


def test_json(tmp_path):
    path = written(tmp_path / "a.json", '{"a": [1, 2]}')
    assert read_json(path) == {"a": [1, 2]}
    assert read_json(written(path, "[1]"), list) == [1]
    for content, reason in (
        ("[" * 200_000, "nested too deeply"), ('{"a":' * 200_000, "nested too deeply"), ('{"a"', "a.json"),
        ("[1]", "holds one list, expected one object"), ("7", r"one single value \(int\)"), ("1" * 9000, "a.json"),
        ("", "a.json"),
    ):  # fmt: skip
        with pytest.raises(MissingData, match=rf"cannot read .*a\.json.*{reason}|{reason}"):
            read_json(written(path, content))


def test_documents_beyond_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_TEXT", 4)
    with pytest.raises(MissingData, match=r"a\.txt: it is of 5 bytes, and more than 4 are not read"):
        read_lines(written(tmp_path / "a.txt", "12345"))


def test_parquet(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [["x"], ["y", "z"]]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert list(read_parquet(tmp_path / "a.parquet", ["b"])["b"].iloc[1]) == ["y", "z"]
    whole = (tmp_path / "a.parquet").read_bytes()
    assert read_parquet(whole, None, "part").columns.tolist() == ["a", "b"]
    for content in (whole[:-9], whole[:40], b"", b"<html>", whole[:60] + b"\0" * 60 + whole[120:]):
        with pytest.raises(MissingData, match="part"):
            read_parquet(content, None, "part")
    with pytest.raises(MissingData, match=r"a\.parquet: .*c.*, expected the columns a, c"):
        read_parquet(tmp_path / "a.parquet", ["a", "c"])


def test_damaged_text_of_a_parquet_table_is_found_when_it_is_read(tmp_path):
    pd.DataFrame({"a": ["first", "second"]}).to_parquet(tmp_path / "a.parquet", compression=None)
    content = (tmp_path / "a.parquet").read_bytes()
    assert content.count(b"second") >= 1
    with pytest.raises(MissingData, match="cannot read part: "):
        read_parquet(content.replace(b"second", b"sec\xffnd"), ["a"], "part")


def test_a_parquet_table_runs_no_pickle(tmp_path):
    import pickle

    import pyarrow as pa
    from pyarrow import parquet

    class Payload:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "run"),))

    facts = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickle.dumps(Payload())}
    table = pa.table({"a": pa.array([1])}, schema=pa.schema([pa.field("a", pa.int64(), metadata=facts)]))
    parquet.write_table(table, tmp_path / "a.parquet")
    read_parquet(tmp_path / "a.parquet", ["a"])
    assert not (tmp_path / "run").exists()


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">'
    + "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("cdefgh", "defghi", strict=True))
    + "]><a>&i;</a>"
)


@pytest.mark.parametrize("text", [
    LAUGHS,
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_and_entities_are_refused(text, encoding, tmp_path):
    start = time.process_time()
    with pytest.raises(MissingData, match=r"a\.xml: it declares a document type or entities"):
        read_xml(written(tmp_path / "a.xml", text.encode(encoding)))
    assert time.process_time() - start < 5


def test_annotations(tmp_path):
    box = "<xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax>"
    path = written(
        tmp_path / "a.xml", f"<annotation><object><name>x</name><bndbox>{box}</bndbox></object></annotation>"
    )
    root, boxes, names = read_boxes(path)
    assert (root.tag, boxes, names) == ("annotation", [(1.0, 2.0, 3.0, 4.0)], ["x"])
    for content in ("", "<a>", "<html><p></html>", "no xml", f"<a><object><bndbox>{box[:20]}</bndbox></object></a>"):
        with pytest.raises(MissingData, match=r"cannot read .*a\.xml: "):
            read_boxes(written(path, content))


def database(path, *statements):
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


def test_sqlite_tables(tmp_path):
    path = database(tmp_path / "a b?.gpkg", "CREATE TABLE tiles (id, month)", "INSERT INTO tiles VALUES (1, 'Jan')")
    assert read_sqlite(path, "tiles", ("month", "id")) == [("Jan", 1)]
    endless = "WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r) SELECT id, id AS month FROM r"
    for statements in (
        [f"CREATE VIEW tiles AS {endless}"], ["CREATE VIRTUAL TABLE tiles USING fts5(id, month)"],
        ["CREATE TABLE x (id)"], ["CREATE TABLE tiles (id)"],
    ):  # fmt: skip
        with pytest.raises(MissingData, match=r"cannot read .*a\.gpkg: .*expected|has no a table 'tiles'"):
            read_sqlite(database(tmp_path / "a.gpkg", *statements), "tiles", ("id", "month"))
    with pytest.raises(MissingData, match=r"a\.gpkg: it is an HTML page"):
        read_sqlite(written(tmp_path / "a.gpkg", "<html>"), "tiles", ("id",))


def test_a_query_of_a_database_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 2)
    path = database(
        tmp_path / "a.gpkg",
        "CREATE TABLE tiles (id)",
        "INSERT INTO tiles "
        "WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r LIMIT 5000) SELECT id FROM r",
    )
    with pytest.raises(MissingData, match=r"a\.gpkg: interrupted"):
        read_sqlite(path, "tiles", ("id",))


def test_the_journal_of_a_database_is_not_replayed(tmp_path):
    path = database(tmp_path / "a.gpkg", "CREATE TABLE tiles (id)", "INSERT INTO tiles VALUES (1)")
    journal = written(tmp_path / "a.gpkg-journal", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0" * 504)
    before = path.read_bytes()
    assert read_sqlite(path, "tiles", ("id",)) == [(1,)]
    assert journal.exists() and path.read_bytes() == before
