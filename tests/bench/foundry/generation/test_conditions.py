"""Conditions: written and read back, classes numbered anew, degradations that follow the sample, splits kept apart."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core import BadSetting, UnknownName
from bench.foundry.generation.conditions import Condition, conditioned, read_condition
from tests.builders.suite_and_model import toy_suite

SUITE = toy_suite()
TASK = next(task for task in SUITE.tasks if task.kind == "classification")


def opened(condition, split="train", tmp_path=None, reserve=0):
    suite, task = conditioned(SUITE, TASK, condition, reserve=reserve)
    return suite.open(tmp_path, task.name, split, suite.bands)


@pytest.mark.parametrize("text", ["classes:0.2+blur:1.5+noise:10", "gain:0.7/1", "loss:focal", "plain"])
def test_a_condition_is_written_as_it_is_read(text):
    assert str(read_condition(text)) == text
    assert read_condition("classes:0-2.5") == Condition(classes=(0, 1, 2, 5))


@pytest.mark.parametrize("text", ["blur:x", "blur:-1", "blur:1+blur:2", "classes:3-1", "noise:1/2", "gain:nan"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(BadSetting, match="condition"):
        read_condition(text)
    with pytest.raises(UnknownName, match="clases"):
        read_condition("clases:1")


def test_unknown_classes_are_named(tmp_path):
    with pytest.raises(BadSetting, match="has the classes 0 "):
        conditioned(SUITE, TASK, Condition(classes=(0, 9)))


def test_classes_are_kept_and_numbered_anew(tmp_path):
    whole, part = opened(Condition(), tmp_path=tmp_path), opened(Condition(classes=(0, 2)), tmp_path=tmp_path)
    kept = [row for row, label in enumerate(whole.targets()) if label != 1]
    assert part.ids == [whole.ids[row] for row in kept]
    assert part.targets().tolist() == [int(whole.targets()[row] == 2) for row in kept]
    assert part[0].target == part.targets()[0]


def test_degradations_change_pixels_and_noise_follows_the_sample(tmp_path):
    clean = opened(Condition(), tmp_path=tmp_path)[3].images["s2"]
    noisy = opened(Condition(noise=5.0), tmp_path=tmp_path)
    assert np.array_equal(noisy[3].images["s2"], noisy[3].images["s2"])
    gap = noisy[3].images["s2"] - clean
    assert 4 < gap.std() < 6 and not np.allclose(gap, noisy[4].images["s2"] - opened(Condition())[4].images["s2"])
    blurred = opened(Condition(blur=2.0), tmp_path=tmp_path)[3].images["s2"]
    assert blurred[0, 0].std() < 0.6 * clean[0, 0].std()
    gains = opened(Condition(gain=(0.5, 2.0)), tmp_path=tmp_path)[3].images["s2"]
    assert np.allclose(gains, clean * np.array([0.5, 2.0], np.float32)[:, None, None])


def test_a_reserve_moves_training_samples_to_the_test_split(tmp_path):
    condition = Condition(classes=(0, 1))
    train, test = (opened(condition, split, tmp_path, reserve=10) for split in ("train", "test"))
    whole = opened(condition, "train", tmp_path)
    assert np.bincount(train.targets()).tolist() == [10, 10]
    assert not set(train.ids) & set(test.ids) and set(whole.ids) < set(train.ids) | set(test.ids)
    assert len(test) == len(opened(condition, "test", tmp_path)) + len(whole) - 20
    suite, _ = conditioned(SUITE, TASK, condition, reserve=10)
    assert suite.name != SUITE.name
