"""A training gives the same numbers however it is run: killed and resumed, in parts, after other work."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bench.finetuning.fit
from bench.runs.carry_out import carry_out
from tests.builders.arms import a_run, new_session, outcome


def test_equal_seeds_give_equal_numbers_and_others_do_not(tmp_path):
    settings = {"tuning": "full", "steps": 10, "learning_rates": (1e-3,)}
    first, first_arrays = outcome(tmp_path / "a", **settings)
    again, again_arrays = outcome(tmp_path / "b", **settings)
    _, other = outcome(tmp_path / "c", seed=1, **settings)
    assert first.scores == again.scores
    for name in first_arrays:
        np.testing.assert_array_equal(first_arrays[name], again_arrays[name])
    assert not np.array_equal(first_arrays["history"], other["history"])


def test_global_random_numbers_change_nothing_and_are_left_alone(tmp_path):
    _, first = outcome(tmp_path / "a", steps=6)
    torch.manual_seed(99)
    np.random.seed(99)
    state = torch.get_rng_state()
    _, second = outcome(tmp_path / "b", steps=6)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(first["history"], second["history"])


def test_a_killed_run_goes_on_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.finetuning.loop.KEPT_SECONDS", 0.0)
    settings = {"tuning": "full", "steps": 24, "evaluations": 6, "patience": 0}
    whole, whole_arrays = outcome(tmp_path / "whole", **settings)
    session = new_session(tmp_path / "killed")
    evaluations = []
    real = bench.finetuning.fit.validation_score

    def killed(arm, task_model):
        evaluations.append(1)
        if len(evaluations) == 4:
            raise KeyboardInterrupt
        return real(arm, task_model)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bench.finetuning.fit.validation_score", killed)
        carry_out(a_run(**settings), session)
    assert list((tmp_path / "killed" / "cache" / "training").glob("*.pt"))
    counted = []
    monkeypatch.setattr("bench.finetuning.fit.validation_score", lambda *given: counted.append(1) or real(*given))
    again, again_arrays = outcome(tmp_path, session=session, **settings)
    assert len(counted) == 3  # evaluations 4 to 6; the first three were not made again
    assert again.scores == whole.scores
    np.testing.assert_array_equal(whole_arrays["history"], again_arrays["history"])
    assert not list((tmp_path / "killed" / "cache" / "training").glob("*.pt"))


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    settings = {"tuning": "full", "steps": 4, "augment": ("none",)}
    _, whole = outcome(tmp_path / "a", **settings)
    _, in_parts = outcome(tmp_path / "b", **settings, micro_batch=5)
    # The head's running statistics are those of the parts, so what follows differs a little.
    np.testing.assert_allclose(whole["history"][0, :, 1], in_parts["history"][0, :, 1], rtol=0.05)


def test_out_of_memory_halves_the_batch_once_and_says_so(tmp_path, monkeypatch):
    from bench.finetuning.task_model import TaskModel

    real = TaskModel.forward

    def greedy(self, batch):
        if self.training and len(batch.rows) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    monkeypatch.setattr(TaskModel, "forward", greedy)
    record, _ = outcome(tmp_path, tuning="full", steps=6)
    assert any("out of memory at 12 images a pass: 6 a pass since, the same a step" in note for note in record.notes)
    monkeypatch.setattr(
        TaskModel,
        "forward",
        lambda self, batch: (
            (_ for _ in ()).throw(torch.OutOfMemoryError("still")) if self.training else real(self, batch)
        ),
    )
    failed = carry_out(a_run(tuning="full", steps=6, seed=3), new_session(tmp_path / "never"))
    assert failed.status == "failed" and "OutOfMemoryError" in failed.error
