"""Samples of an arm: stored features where the backbone does not change, images in windows, dates folded."""

from __future__ import annotations

import numpy as np
import torch

from bench.protocols import probe
from bench.runs.carry_out import carry_out
from tests.builders.arms import COUNTS, SUITE, a_run, an_arm, new_session, outcome
from tests.builders.suite_and_model import ToySplit, toy_suite


def test_stored_features_are_those_of_the_network(tmp_path):
    stored = an_arm(tmp_path / "a", "mask", decoders="upernet", taps="quarters")
    run = an_arm(tmp_path / "b", "mask", decoders="upernet", taps="quarters", augment=("none",))
    assert stored.stored and run.stored
    images = run.workbench.images("val")
    batch, taps = stored.val.read([3, 1])[0], images.read([3, 1])[0]
    task_model = run.build()
    task_model.backbone = run.workbench.own_backbone()
    for kept, other in zip(batch.taps, task_model.taps(taps), strict=True):
        torch.testing.assert_close(kept.grid, other.grid, rtol=2e-3, atol=2e-3)  # stored as float16
    assert torch.equal(batch.target, taps.target)


def test_a_frozen_decoder_runs_the_backbone_once_a_split(tmp_path, monkeypatch):
    from bench.networks.vit import ViTBackbone

    seen = []
    real = ViTBackbone.forward
    monkeypatch.setattr(
        ViTBackbone,
        "forward",
        lambda self, images, *a, **k: seen.append(len(images["s2"])) or real(self, images, *a, **k),
    )
    session = new_session(tmp_path)
    outcome(tmp_path, "mask", session=session, decoders="fcn", learning_rates=(1e-3, 3e-3))
    assert sum(seen) <= sum(COUNTS.values()) + 5  # one image more for the shapes of each split, and for the cost
    before = sum(seen)
    outcome(tmp_path, "mask", session=session, decoders="light", taps="last")
    assert sum(seen) - before <= 2


def test_several_dates_are_folded_as_asked_and_ragged_series_go_together(tmp_path):
    class Series(ToySplit):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            dates = 2 + index % 3
            image = np.repeat(sample.images["s2"], dates, 0)
            image[1:] = 1500
            when = np.array([[2020, 1 + 3 * i, 5] for i in range(dates)], np.int32)
            return sample._replace(images={"s2": image}, when=when)

    suite = toy_suite(tasks=SUITE.tasks[:1], splits=COUNTS, dates=0, open=lambda r, t, s, b: Series(t, s, COUNTS[s], b))
    scores = {}
    for dates in ("mean", "max", "ltae"):
        session = new_session(tmp_path / dates, suite)
        settings = {"dates": dates, "decoders": "attentive", "steps": 60}
        record, _ = outcome(tmp_path, session=session, suite=suite, **settings)
        scores[dates] = record.scores["test"]["last"]["accuracy"]
    assert min(scores.values()) > 0.4 and len(set(scores.values())) > 1, scores


def test_taps_by_profile_need_the_probe_and_take_its_best_layers(tmp_path):
    session = new_session(tmp_path)
    failed = carry_out(a_run("kind", taps="profile"), session)
    assert failed.status == "failed" and "with protocols=[probe,finetune]" in failed.error
    probed = carry_out(a_run("kind", protocol=probe), session)
    record, _ = outcome(tmp_path, "kind", session=session, taps="profile")
    best = max(probed.curves, key=lambda row: row["val"])["val"]
    chosen = {row["layer"]: row["val"] for row in probed.curves}[record.choices["profile"]["layer"]]
    assert chosen == best
