"""Atomic writes, and what a system's refusal reads like."""

from __future__ import annotations

import errno
import os

import pytest

from bench.core.errors import Unwritable
from bench.store.files import discard, read_json, set_aside, write_atomic, writing
from tests.builders.stored import unwritable


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_refusals_are_sentences(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unwritable, match="a file lies where a folder is needed"):
        write_atomic(tmp_path / "file" / "below" / "it", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unwritable, match="is a folder where a file is needed"):
        write_atomic(tmp_path / "folder", b"x")
    with pytest.raises(Unwritable, match="name is too long"):
        write_atomic(tmp_path / ("x" * 300), b"x")
    with unwritable(tmp_path / "folder") as folder, pytest.raises(Unwritable, match="permission is denied"):
        write_atomic(folder / "x", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EROFS, "read-only"),
        (errno.EDQUOT, "no space is left"),
        (errno.ENOLCK, "supports no file locks"),
    ],
)
def test_errors_of_the_system_say_what_to_do(tmp_path, monkeypatch, code, words):
    def fsync(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Unwritable, match=words) as caught:
        write_atomic(tmp_path / "file", b"x")
    assert str(tmp_path / "file") in str(caught.value) and list(tmp_path.iterdir()) == []


def test_other_errors_pass(tmp_path):
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_json_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "gone.json") is None


def test_files_links_and_folders_are_discarded(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    assert discard(tmp_path / "link") and (tmp_path / "kept" / "file").exists()
    assert discard(tmp_path / "kept") and discard(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


def test_setting_aside_is_a_rename_that_can_be_told_from_others(tmp_path):
    (tmp_path / "set").mkdir()
    aside = set_aside(tmp_path / "set")
    assert aside is not None and aside.is_dir() and not (tmp_path / "set").exists()
    assert set_aside(tmp_path / "set") is None
