"""The learning rate is chosen on validation; one that diverges is left out."""

from __future__ import annotations

from bench.runs.carry_out import carry_out
from tests.builders.arms import TASKS, a_run, new_session, outcome
from tests.builders.suite_and_model import BANDS


def test_poisoned_test_labels_move_no_choice(tmp_path):
    settings = {"learning_rates": (1e-3, 3e-3), "steps": 20}
    clean, _ = outcome(tmp_path / "a", **settings)
    session = new_session(tmp_path / "b")
    session.data.split(TASKS["kind"], "test", BANDS).poison = True
    poisoned, _ = outcome(tmp_path, session=session, **settings)
    assert clean.choices == poisoned.choices


def test_a_rate_that_diverges_is_left_out_by_name(tmp_path):
    settings = {"tuning": "full", "steps": 30, "learning_rates": (1e-3, 1e30), "augment": ("none",)}
    record, _ = outcome(tmp_path, **settings)
    assert record.choices["last"]["setting"] == 1e-3
    assert any(note.startswith("learning rate 1e+30 left out: the loss is") for note in record.notes)
    failed = carry_out(a_run(**{**settings, "learning_rates": (1e30,)}), new_session(tmp_path / "all"))
    assert failed.status == "failed" and "no learning rate trains toy_small" in failed.error
