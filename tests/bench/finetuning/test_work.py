"""The work of an arm: what is trained decides what each step costs, and whether stored features serve."""

from __future__ import annotations

import pytest

from bench.features.work import Job
from bench.finetuning.settings import ArmSettings
from bench.finetuning.work import training_work
from bench.input.recipe import match
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite

SUITE = toy_suite()


def work(task: int = 0, trainings: int | None = None, **settings):
    entry, kind = toy_entry(parameters=1000), SUITE.tasks[task]
    job = Job(
        entry=entry,
        suite=SUITE,
        task=kind,
        recipe=match(entry, SUITE, kind, BANDS),
        channels=2,
        images={"train": 120, "val": 60, "test": 90},
        tests=("test",),
    )
    given = {"decoders": ("linear",), "steps": 100, "batch": 16, "learning_rates": (1e-3, 1e-2), "evaluations": 5}
    return training_work(job, ArmSettings(**{**given, **settings}), trainings)


def test_a_frozen_backbone_is_read_from_stored_features():
    frozen = work()
    assert frozen.splits == ("train", "val", "test") and frozen.some_layers and not frozen.grids
    assert frozen.forwards == 0 and frozen.steps == 200 and frozen.trains
    assert work(augment=("flips",)).splits == () and work(augment=("flips",)).forwards == 2 * 1600 + 2 * 5 * 60 + 90


@pytest.mark.parametrize(("tuning", "passes"), [("full", 3.0), ("scratch", 3.0), ("lora", 2.3), ("norms", 2.3)])
def test_a_tuned_backbone_is_run_forward_and_backward(tuning, passes):
    tuned = work(tuning=(tuning,))
    assert tuned.splits == () and tuned.forwards == pytest.approx(2 * 1600 * passes + 2 * 5 * 60 + 90)


def test_the_head_alone_is_trained_at_first():
    full, head_first = work(tuning=("full",)), work(tuning=("head-then-full",), head_share=0.5)
    assert full.forwards - head_first.forwards == 2 * 1600


def test_further_trainings_are_counted():
    assert work(tuning=("full",), trainings=3).steps == 300


def test_a_decoder_of_grids_needs_them_for_image_level_tasks():
    assert work(decoders=("attentive",)).grids and not work(task=2, decoders=("fcn",)).grids
    assert work(task=2, decoders=("fcn",)).head > work(task=2).head


def test_a_batch_is_no_larger_than_the_samples():
    assert work(tuning=("full",), batch=10_000).forwards == 2 * 100 * 120 * 3 + 2 * 5 * 60 + 90
