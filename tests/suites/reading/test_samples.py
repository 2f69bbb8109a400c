"""Opened splits and the checks that suites make when they open one."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core import Sample
from bench.core.errors import Incompatible, MissingData, UnknownName
from suites.reading import Samples, by_sensor, check_request, columns_of, require_counts, share_of
from tests.builders.suite_and_model import toy_suite


def samples(image=None, **changed):
    shape = np.zeros((1, 2, 4, 4), np.float32) if image is None else image
    facts = {
        "ids": ["a", "b"], "blocks": ["x", "x"], "read": lambda index: Sample(images={"s2": shape}, target=index),
        "read_targets": lambda: np.arange(2),
    }  # fmt: skip
    return Samples(**facts | changed)


def test_samples_are_read_by_index():
    split = samples()
    assert len(split) == 2 and split[1].target == 1 and split[-1].target == 1 and split.targets().tolist() == [0, 1]
    with pytest.raises(IndexError):
        split[2]


def test_ids_and_blocks_are_checked():
    with pytest.raises(MissingData, match="a split lists a twice; ids must be unique"):
        samples(ids=["a", "b", "a"], blocks=["x"] * 3)
    with pytest.raises(MissingData, match="a split has 2 ids and 3 blocks, expected one block per id"):
        samples(blocks=["x"] * 3)


def test_a_missing_time_axis_is_a_sentence():
    with pytest.raises(Incompatible, match=r"sample b: .* s2 has shape \(2, 4, 4\), expected \(T, C, H, W\); add"):
        samples(np.zeros((2, 4, 4)))[1]
    with pytest.raises(Incompatible, match=r"shape \(4, 4\), expected \(T, C, H, W\)$"):
        samples(np.zeros((4, 4)))[1]


def test_declared_sizes_are_compared_on_request():
    suite = toy_suite(splits={"train": 120, "val": 60, "test": 90, "extra": 0})
    require_counts(suite, {"train": 120, "extra": 7})
    with pytest.raises(MissingData, match=r"toy: train has 119 samples and SUITE\.splits declares 120; test has 91"):
        require_counts(suite, {"train": 119, "val": 60, "test": 91})


def test_requests_are_checked_against_the_suite():
    suite = toy_suite()
    assert check_request(suite, "mask", "val", suite.bands).name == "mask"
    for task, split, bands in (("x", "val", ()), ("mask", "vla", ()), ("mask", "val", toy_bands("s2.b99"))):
        with pytest.raises(UnknownName):
            check_request(suite, task, split, bands)


def toy_bands(*names):
    from bench.core import Band

    return tuple(Band(name=name, unit="dn") for name in names)


def test_bands_are_found_in_their_files():
    bands = toy_bands("s2.b08", "s1.vv", "s2.b02")
    assert by_sensor(bands, ["s1.vv", "s2.b02", "s2.b08"]) == {"s2": [2, 1], "s1": [0]}
    assert columns_of(bands, {"s1": toy_bands("s1.vh", "s1.vv"), "s2": toy_bands("s2.b02", "s2.b08")}) == {
        "s2": [1, 0],
        "s1": [1],
    }


def test_shares_are_the_same_everywhere():
    assert share_of("tile_17") == 0.8100258981433526
    assert min(map(share_of, map(str, range(99)))) >= 0 and max(map(share_of, map(str, range(99)))) < 1
