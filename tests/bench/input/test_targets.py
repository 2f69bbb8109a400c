"""Targets of every kind are repaired where that changes no meaning, and refused by the id of their sample else."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core import Sample, Task
from bench.core.errors import MissingData
from bench.input.targets import SoundSplit, mask_type, sound_target, sound_targets, without_target

KIND = Task(name="kind", kind="classification", classes=("a", "b", "c"), metric="accuracy")
LABELS = Task(name="labels", kind="multilabel", classes=("a", "b"), metric="map")
AMOUNT = Task(name="amount", kind="regression", quantity="amount", unit="t", metric="r2")
MASK = Task(name="mask", kind="segmentation", classes=("off", "on"), metric="miou", ignore=-1)
WIDE = Task(name="mask", kind="segmentation", classes=("off", "on"), metric="miou", ignore=65535)
HEIGHT = Task(name="height", kind="dense_regression", quantity="height", unit="m", metric="rmse")
BOXES = Task(name="boxes", kind="detection", classes=("tree", "shrub"), metric="box_map")
SIZE = (2, 3)
CODES = np.array([[0, 1, -1], [1, 1, 0]])
NAN = np.nan


def box(boxes, labels):
    return {"boxes": np.asarray(boxes, float), "labels": np.asarray(labels)}


def same(first, other):
    if isinstance(other, dict):
        return all(same(first[name], other[name]) for name in other)
    return np.array_equal(first, other, equal_nan=np.asarray(other).dtype.kind == "f") and np.shape(first) == np.shape(
        other
    )


@pytest.mark.parametrize(
    ("task", "given", "wanted"),
    [
        (KIND, np.array([2.0]), 2),
        (KIND, np.uint8(1), 1),
        (AMOUNT, 3.5, np.array([3.5])),
        (AMOUNT, np.array([[1.0, 2.0]]), np.array([1.0, 2.0])),
        (AMOUNT, 7, np.array([7.0], np.float32)),
        (LABELS, np.array([[1, 0]]), np.array([1, 0])),
        (MASK, CODES.astype(np.float32), CODES),
        (MASK, CODES[None], CODES),
        (MASK, CODES[..., None].astype(np.int8), CODES),
        (MASK, CODES == 1, (CODES == 1).astype(int)),
        (WIDE, np.where(CODES < 0, 65535, CODES).astype(np.uint16), np.where(CODES < 0, 65535, CODES)),
        (HEIGHT, np.ones((1, *SIZE), int), np.ones(SIZE, np.float32)),
        (HEIGHT, np.array([[1, np.inf, NAN], [2, -np.inf, 0]]), np.array([[1, NAN, NAN], [2, NAN, 0]], np.float32)),
        (BOXES, box([], []), box(np.zeros((0, 4)), [])),
        (BOXES, box([1, 2, 3, 4], 1), box([[1, 2, 3, 4]], [1])),
        (BOXES, box([[1, 2, 3, 4]], [1.0]), box([[1, 2, 3, 4]], [1])),
    ],
)
def test_what_changes_no_meaning_is_repaired(task, given, wanted):
    assert same(sound_target(task, given, SIZE, "chip"), wanted)


@pytest.mark.parametrize(
    ("task", "given", "fault"),
    [
        (KIND, 3, r"label 3 is none of the 3 classes of kind; known are 0\.\.2"),
        (KIND, np.array([0, 1]), "a class is one number, not 2"),
        (KIND, NAN, "label nan is no class code"),
        (KIND, "forest", "made of numbers"),
        (LABELS, np.array([1, 0, 1]), "expected 2 of 0 or 1"),
        (LABELS, np.array([1, -1]), "expected 2 of 0 or 1"),
        (AMOUNT, np.array([np.inf]), "not finite"),
        (AMOUNT, np.array([1.0, -np.inf]), "not finite"),
        (MASK, CODES + 0.5, "label 0.5 is no class code"),
        (MASK, np.where(CODES < 0, NAN, CODES), "label nan is no class code"),
        (MASK, np.where(CODES < 0, 65537, CODES), "label 65537 is none of the 2 classes of mask"),
        (MASK, np.where(CODES < 0, 65535, CODES), r"known are 0\.\.1 and -1 \(ignored\)"),
        (MASK, CODES[:, :2], r"mask of shape \(2, 2\), expected \(2, 3\)"),
        (MASK, np.stack([CODES, CODES]), "mask of shape"),
        (HEIGHT, np.ones((4, 6)), "values of shape"),
        (BOXES, box([[1, 2, 1, 4]], [0]), "box 1 2 1 4 has no area"),
        (BOXES, box([[3, 2, 1, 4]], [0]), "has no area"),
        (BOXES, box([[1, 2, NAN, 4]], [0]), "is not finite"),
        (BOXES, box([[1, 2, 3, 4]], [2]), "label 2 is none of the 2 classes of boxes"),
        (BOXES, box([[1, 2, 3, 4]], [-1]), "label -1 is none"),
        (BOXES, box([[1, 2, 3, 4]], [0, 1]), r"boxes of shape \(1, 4\) and 2 labels"),
        (BOXES, box([[1, 2, 3]], [0]), r"boxes of shape \(1, 3\)"),
        (BOXES, CODES, "boxes .* and labels"),
    ],
)
def test_what_cannot_be_repaired_is_refused_with_what_is_allowed(task, given, fault):
    with pytest.raises(MissingData, match=f"chip 7: .*{fault}"):
        sound_target(task, given, SIZE, "chip 7")


def test_targets_of_a_whole_split_are_sound_or_named():
    ids = ["a", "b", "c"]
    assert sound_targets(AMOUNT, [1, 2, 3], ids, "toy").shape == (3, 1)
    assert sound_targets(KIND, np.array([[0.0], [2.0], [1.0]]), ids, "toy").tolist() == [0, 2, 1]
    values = np.array([[1.0], [NAN], [2.0]])
    assert without_target(AMOUNT, sound_targets(AMOUNT, values, ids, "toy")).tolist() == [False, True, False]
    ignoring = Task(name="kind", kind="classification", classes=("a", "b"), metric="accuracy", ignore=9)
    assert without_target(ignoring, sound_targets(ignoring, np.array([0, 9, 1]), ids, "toy")).tolist() == [0, 1, 0]
    presence = np.ones((3, 2), bool)
    assert sound_targets(MASK, presence, ids, "toy") is presence
    for task, targets, fault in [
        (KIND, [0, 1], "toy: 2 targets for 3 samples"),
        (KIND, [0, 5, 1], "toy b: label 5"),
        (AMOUNT, [[1.0], [2.0], [np.inf]], "toy c: target"),
        (LABELS, [[0, 1], [0, 2], [1, 1]], "toy b: labels"),
    ]:
        with pytest.raises(MissingData, match=fault):
            sound_targets(task, np.array(targets), ids, "toy")


def test_masks_are_kept_in_a_type_that_holds_every_code():
    assert mask_type(MASK) == "int16" and mask_type(WIDE) == "int64"


def test_a_split_gives_sound_samples_and_keeps_what_else_it_offers():
    class Opened:
        ids = blocks = ("x", "y")
        source = staticmethod(lambda row: f"{row}.tif")

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return Sample(images={"s2": np.zeros((1, 1, *SIZE))}, target=CODES[None] + 2 * index)

        def targets(self):
            return np.ones((2, 2), bool)

    split = SoundSplit(Opened(), MASK, "toy mask test")
    assert split[0].target.shape == SIZE and len(split) == 2 and split.source(1) == "1.tif"
    with pytest.raises(MissingData, match="toy mask test y: label 2 is none"):
        _ = split[1]
    del Opened.source
    assert split.source is None
