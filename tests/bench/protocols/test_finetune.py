"""Fine-tuning learns what the toy suite plants, for every kind of task, and its record holds what a report needs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from bench.config import RunConfig
from bench.finetuning.settings import USUAL
from bench.protocols import finetune, probe
from bench.runs import plan as planning
from bench.runs.carry_out import carry_out
from tests.builders.arms import COUNTS, ENTRY, SUITE, TASKS, Split, a_run, new_session, outcome
from tests.builders.suite_and_model import toy_suite


@pytest.mark.parametrize(
    ("task", "settings", "least"),
    [
        ("kind", {"tuning": "full"}, 0.9),
        ("kind", {"decoders": "attentive"}, 0.8),
        ("amount", {"tuning": "full"}, 0.8),
        ("mask", {"decoders": "fcn"}, 0.8),
        ("mask", {"decoders": "linear", "tuning": "full", "loss": "dice"}, 0.8),
        pytest.param("boxes", {"tuning": "full", "steps": 80}, 0.5, marks=pytest.mark.slow),
        pytest.param("boxes", {"decoders": "fcos", "tuning": "full"}, 0.2, marks=pytest.mark.slow),
    ],
)
def test_it_learns_what_is_there(tmp_path, task, settings, least):
    record, arrays = outcome(tmp_path, task, **settings)
    assert record.scores["test"]["last"][SUITE.tasks[[t.name for t in SUITE.tasks].index(task)].metric] > least
    assert record.choices["last"]["pool"] == (settings.get("decoders") or USUAL.get(TASKS[task].kind, "linear"))
    assert record.facts["arm"]["tuning"] == settings.get("tuning", "frozen")
    assert record.cost["flops"] > 0 and record.cost["trained_parameters"] > 0
    assert arrays["history"].shape == (1, 4, 3) and np.isfinite(arrays["history"][0, 0]).all()
    assert len(arrays["panel.image"]) == len(arrays["panel.rows"]) == 6


def test_dense_values_keep_their_unit(tmp_path):
    record, arrays = outcome(tmp_path, "height", decoders="fcn", tuning="full", loss="huber")
    scores = record.scores["test"]["last"]
    assert scores["rmse"] < 5 and scores["r2"] > 0.7  # values are 10 and 30
    assert 5 < arrays["panel.prediction"].mean() < 30


def test_a_plan_has_a_run_for_each_arm_and_seed():
    config = RunConfig(
        suite="toy",
        protocols=("probe", "finetune"),
        tasks=("mask",),
        settings={"finetune": {"decoders": ["linear", "upernet"], "tuning": ["frozen", "lora"]}},
    )
    planned = planning.make(
        config, SUITE, [ENTRY], {"probe": probe.PROTOCOL, "finetune": finetune.PROTOCOL}, explicit=True,
        bands=SUITE.bands, split_hash=lambda task: "x", weights=lambda entry: "none",
    )  # fmt: skip
    arms = [run for run in planned.runs if run.protocol is finetune.PROTOCOL]
    assert len(arms) == 2 * 2 * 3 and len({run.key.digest for run in arms}) == 12
    assert [run.key.seed for run in planned.runs if run.protocol is probe.PROTOCOL] == [0]
    assert {(run.settings.decoders, run.settings.tuning) for run in arms} == {
        ((decoder,), (tuning,)) for decoder in ("linear", "upernet") for tuning in ("frozen", "lora")
    }


def test_boxes_of_stored_outcomes_give_the_stored_score(tmp_path):
    record, arrays = outcome(tmp_path, "boxes", decoders="fcos", steps=3, evaluations=1, batch=4)
    assert arrays["test.truth"].sum() == COUNTS["test"]
    detected = arrays["test.detected"][0]
    assert detected.shape[1] == 13 and set(np.unique(detected[:, 3:])) <= {0.0, 1.0}
    assert math.isfinite(record.scores["test"]["last"]["box_map"])


def test_predictions_are_written_where_their_images_lie(tmp_path):
    import rasterio

    from tests.builders.rasters import write_tif

    class Placed(Split):
        def source(self, index):
            return tmp_path / f"{self.ids[index]}.tif"

    suite = toy_suite(tasks=(TASKS["mask"],), splits=COUNTS, open=lambda root, t, s, b: Placed(t, s, COUNTS[s], b))
    for number in range(2000, 2000 + COUNTS["test"] - 1):
        write_tif(tmp_path / f"test_{number}.tif", np.zeros((1, 16, 16), np.uint8), crs="EPSG:32633", centre=(5e5, 4e6))
    session = new_session(tmp_path, suite)
    record, _ = outcome(tmp_path, "mask", session=session, suite=suite, decoders="fcn", write=True, steps=20)
    written = sorted((tmp_path / "results" / "toy" / "predictions" / record.digest / "test").glob("*.tif"))
    assert len(written) == COUNTS["test"] - 1
    with rasterio.open(written[3]) as file, rasterio.open(tmp_path / written[3].name) as source:
        assert file.crs == source.crs and file.transform == source.transform
        assert file.dtypes == ("uint8",) and set(np.unique(file.read(1))) <= {0, 1}
    assert any(note.startswith(f"cannot read {tmp_path / 'test_2023.tif'}") for note in record.notes)
    # A suite whose images lie nowhere says so, and the scores stand.
    plain, _ = outcome(tmp_path / "plain", "mask", decoders="fcn", write=True, steps=20)
    assert any("no georeferenced image" in note for note in plain.notes)


def test_two_dates_side_by_side_show_what_changed(tmp_path):
    class Pairs(Split):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            before = sample.images["s2"].copy()
            before[:, 0] = 1500
            when = np.array([[2020, 5, 1], [2020, 6, 1]], np.int32)
            return sample._replace(images={"s2": np.concatenate([before, sample.images["s2"]])}, when=when)

    task = dataclasses.replace(TASKS["mask"], kind="change")
    suite = toy_suite(tasks=(task,), splits=COUNTS, dates=2, open=lambda root, t, s, b: Pairs(t, s, COUNTS[s], b))
    session = new_session(tmp_path, suite)
    record, _ = outcome(tmp_path, "mask", session=session, suite=suite, decoders="fcn")
    assert record.key.recipe["joined"] and record.scores["test"]["last"]["miou"] > 0.75


def test_bfloat16_trains_to_about_the_same(tmp_path):
    run = a_run("mask", decoders="fcn", tuning="full")
    half = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, precision="bf16"))
    record = carry_out(half, new_session(tmp_path))
    assert record.status == "ok", record.error
    assert record.scores["test"]["last"]["miou"] > 0.8
