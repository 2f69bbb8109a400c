"""Memos save work and decide nothing: what is not what was written is made again."""

from __future__ import annotations

import json
import shutil

import pytest

from bench.store import Memos


def test_values_come_back_by_key(tmp_path):
    memos = Memos(tmp_path)
    memos.remember("statistics", {"a": 1}, {"s2.b04": (0.5, 2)})
    assert memos.recall("statistics", {"a": 1}) == {"s2.b04": [0.5, 2]}
    assert memos.recall("statistics", {"a": 2}) is None and memos.recall("hashes", {"a": 1}) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"s2.b04": [0.5, 2]}', "null"])
def test_what_cannot_be_read_is_removed(tmp_path, text):
    memos = Memos(tmp_path)
    path = memos.path("statistics", {"a": 1})
    memos.remember("statistics", {"a": 1}, 3)
    path.write_text(text)
    assert memos.recall("statistics", {"a": 1}) is None and not path.exists()
    memos.remember("statistics", {"a": 1}, 3)
    assert memos.recall("statistics", {"a": 1}) == 3


def test_a_changed_value_and_that_of_another_key_are_not_taken(tmp_path):
    memos = Memos(tmp_path)
    for number in (1, 2):
        memos.remember("statistics", {"a": number}, number)
    shutil.copy(memos.path("statistics", {"a": 1}), memos.path("statistics", {"a": 2}))
    assert memos.recall("statistics", {"a": 2}) is None
    path = memos.path("statistics", {"a": 1})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"content": 7}))
    assert memos.recall("statistics", {"a": 1}) is None


def test_a_cache_that_is_a_file_remembers_nothing(tmp_path):
    (tmp_path / "cache").write_text("x")
    memos = Memos(tmp_path / "cache")
    memos.remember("statistics", {"a": 1}, 3)
    assert memos.recall("statistics", {"a": 1}) is None and list(memos.verify()) == []
