"""Label subsets are nested, stratified, independent of file order and the same for all models."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core import Task
from bench.input.subsets import draw, first_by_hash, strata

CLASSES = Task(name="t", kind="classification", classes=("a", "b", "c"), metric="accuracy")
VALUES = Task(name="t", kind="regression", metric="r2")
MASKS = Task(name="t", kind="segmentation", classes=("a", "b", "c"), metric="miou")
FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    return [f"id{i}" for i in range(1000)], rng.choice(3, 1000, p=[0.7, 0.25, 0.05])


def test_nested_and_stratified(labels):
    ids, classes = labels
    for subset in range(5):
        smaller: set[int] = set()
        for fraction in FRACTIONS:
            rows = set(draw(CLASSES, ids, classes, fraction, subset).rows.tolist())
            assert smaller <= rows
            smaller = rows
            counts = np.bincount(classes[sorted(rows)], minlength=3)
            np.testing.assert_allclose(counts, fraction * np.bincount(classes), atol=1)
    assert len(smaller) == 1000


def test_subsets_differ_and_do_not_depend_on_file_order(labels):
    ids, classes = labels
    first, second = (draw(CLASSES, ids, classes, 0.1, subset) for subset in (0, 1))
    assert set(first.rows) != set(second.rows)
    order = np.random.default_rng(1).permutation(1000)
    again = draw(CLASSES, [ids[i] for i in order], classes[order], 0.1, 0)
    assert {ids[order[i]] for i in again.rows} == {ids[i] for i in first.rows}


def test_a_class_too_small_for_the_fraction_is_kept_and_named(labels):
    ids, _ = labels
    classes = np.zeros(1000, int)
    classes[0], classes[1:30] = 2, 1
    subset = draw(CLASSES, ids, classes, 0.01, 0)
    assert set(classes[subset.rows]) == {0, 1, 2}
    assert "less than one sample of b, c" in subset.notes[0]


def test_regression_bins_and_presence():
    values = np.arange(100.0)[:, None]
    assert np.bincount(strata(VALUES, values)).tolist() == [10] * 10
    rows = draw(VALUES, [str(i) for i in range(100)], values, 0.1, 0).rows
    assert sorted(values[rows, 0] // 10) == list(range(10))
    presence = np.array([[1, 1, 0]] * 8 + [[1, 0, 1]] * 2 + [[0, 0, 0]])
    # Of the classes a mask shows, the rarest decides; nothing shown is a stratum of its own.
    assert strata(MASKS, presence).tolist() == [1] * 8 + [2] * 2 + [-1]


def test_few_shot_subsets_hold_k_of_each_class_and_nest(labels):
    ids, classes = labels
    for subset in (0, 1):
        smaller: set[int] = set()
        for shots in (1, 5, 10, 20):
            rows = set(draw(CLASSES, ids, classes, -shots, subset).rows.tolist())
            assert np.bincount(classes[sorted(rows)], minlength=3).tolist() == [shots] * 3
            assert smaller < rows
            smaller = rows


def test_a_class_with_fewer_than_k_samples_gives_all_and_is_named(labels):
    ids, _ = labels
    classes = np.zeros(1000, int)
    classes[:3] = 2
    subset = draw(CLASSES, ids, classes, -5.0, 0)
    assert np.bincount(classes[subset.rows]).tolist() == [5, 0, 3]
    assert subset.notes == ("fewer than 5 samples of c: all of them are kept",)


def test_the_images_are_the_same_whoever_asks():
    ids = [f"image {i}" for i in range(50)]
    rows = first_by_hash(ids, np.arange(50), 10)
    order = np.random.default_rng(0).permutation(50)
    again = first_by_hash([ids[i] for i in order], np.arange(50), 10)
    assert {ids[i] for i in rows} == {ids[order[i]] for i in again}
    assert set(rows) < set(first_by_hash(ids, np.arange(50), 20))
