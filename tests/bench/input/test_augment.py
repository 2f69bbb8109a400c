"""Views are the symmetries of the square, one per epoch, and move images and targets alike."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core import BadSetting, Sample
from bench.input.augment import VIEWS, names_of, view_of, viewed


def sample(side=4, wide=4):
    image = np.arange(side * wide, dtype=np.float32).reshape(1, 1, side, wide)
    return Sample(images={"s2": image}, target=image[0, 0].copy())


def test_eight_epochs_see_a_square_in_every_symmetry():
    seen = [viewed(sample(), "dense_regression", view_of(epoch, (4, 4))) for epoch in range(8)]
    assert len({each.images["s2"].tobytes() for each in seen}) == 8
    assert all(np.array_equal(each.images["s2"][0, 0], each.target) for each in seen)
    assert np.array_equal(seen[0].target, sample().target) and view_of(8, (4, 4)) == VIEWS[0]


def test_images_that_are_no_square_keep_their_shape():
    seen = [viewed(sample(4, 6), "dense_regression", view_of(epoch, (4, 6))) for epoch in range(4)]
    assert len({each.target.tobytes() for each in seen}) == 4
    assert {each.target.shape for each in seen} == {(4, 6)}
    assert [view_of(epoch, (1, 1)) for epoch in range(3)] == [0, 0, 0]


def test_targets_that_are_absent_stay_absent_and_boxes_move():
    blank = sample()._replace(target=None)
    assert viewed(blank, "segmentation", 4).target is None
    boxed = sample()._replace(target={"boxes": np.array([[0, 1, 1, 3]], np.float32), "labels": np.array([0])})
    assert viewed(boxed, "detection", 4).target["boxes"].tolist() == [[3, 1, 4, 3]]


def test_views_stand_alone():
    assert names_of("classification", ("views",)) == ("views",)
    with pytest.raises(BadSetting, match="views stand alone"):
        names_of("classification", ("views", "crop"))
