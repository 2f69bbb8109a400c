"""A name is a file: found without importing the others, matched by patterns, suggested where it is misspelt."""

from __future__ import annotations

import pytest

from bench.core import UnknownName, lookup


def test_names_are_the_public_files_of_a_package():
    names = lookup.names("bench.protocols")
    assert {"probe", "knn", "finetune"} <= set(names) and "contract" not in names and names == sorted(names)
    assert "contract" in lookup.packages("bench.protocols")


def test_patterns_give_names_in_the_order_of_the_known():
    known = ["block_1", "block_2", "norm"]
    assert lookup.match(["norm", "block_*"], known, kind="layer") == known
    assert lookup.match(["block_[2]"], known, kind="layer") == ["block_2"]
    with pytest.raises(UnknownName, match=r"no layer 'blok_1'; did you mean block_1\?"):
        lookup.match(["blok_1"], known, kind="layer")


def test_a_module_that_is_none_lists_those_there_are():
    with pytest.raises(UnknownName, match=r"no protocol 'prob'; did you mean probe\? Known: .*knn"):
        lookup.module("bench.protocols", "prob", kind="protocol")
