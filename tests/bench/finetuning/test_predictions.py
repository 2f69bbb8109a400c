"""Predictions for images larger than the network takes: in windows, every pixel once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.core import Sample
from bench.finetuning.predictions import outputs
from tests.builders.arms import COUNTS, TASKS, Split, a_run, a_workbench, new_session, outcome
from tests.builders.suite_and_model import BANDS, toy_suite


def large(task, split, bands):
    """Images of 32 x 40 pixels, four times the toy's."""

    class Large(Split):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            image = np.tile(sample.images["s2"], (1, 1, 2, 3))[..., :32, :40]
            target = np.tile(sample.target, (2, 3))[:32, :40] if self.task == "mask" else sample.target
            return Sample(images={"s2": image}, target=target)

    return Large(task, split, COUNTS[split], bands)


@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_large_images_are_trained_in_windows_and_every_pixel_is_scored_once(tmp_path, tuning):
    suite = toy_suite(
        tasks=(TASKS["mask"],), splits=COUNTS, image_size=(32, 40), open=lambda root, t, s, b: large(t, s, b)
    )
    session = new_session(tmp_path, suite)
    record, arrays = outcome(tmp_path, "mask", session=session, suite=suite, decoders="fcn", tuning=tuning, steps=60)
    assert record.key.recipe["windows"]
    valid = sum(int((large("mask", "test", BANDS)[i].target >= 0).sum()) for i in range(COUNTS["test"]))
    assert arrays["test.confusion"].sum() == valid
    assert record.scores["test"]["last"]["miou"] > 0.75


def test_windows_put_together_are_the_image(tmp_path):
    suite = toy_suite(
        tasks=(TASKS["mask"],), splits=COUNTS, image_size=(32, 40), open=lambda root, t, s, b: large(t, s, b)
    )
    run = a_run("mask", suite=suite, decoders="fcn")
    batch = a_workbench(tmp_path, "mask", suite=suite, decoders="fcn").images("val").read([0, 1])[0]

    class Echo(torch.nn.Module):
        recipe = run.recipe

        def forward(self, window):
            return window.given.images["s2"][:, 0, :1]

    whole = outputs(Echo(), batch, run.task)
    assert torch.equal(whole[:, 0], batch.given.images["s2"][:, 0, 0, :32, :40])
