"""The estimate of a plan: passes counted once, cached ones as none, speeds from records of this machine alone."""

from __future__ import annotations

import dataclasses
import platform

import pytest

from bench.catalogue import models, suites
from bench.core import Record
from bench.input.recipe import match
from bench.input.splits import LEARNING
from bench.protocols import finetune, knn, probe
from bench.runs.carry_out import carry_out
from bench.runs.costings import device_kind, estimate, speeds_of
from bench.runs.estimate import Speeds
from bench.runs.feature_passes import CachedPasses
from bench.runs.provenance import machine
from tests.builders.sessions import a_run, new_session
from tests.builders.suite_and_model import COUNTS, toy_entry, toy_suite

NEVER = lambda run, split, grids, some: False  # noqa: E731
HERE = {"platform": platform.platform(), "machine": machine(), "device": "cpu"}


def estimated(runs, cached=NEVER, earlier=None):
    return estimate(runs, toy_suite(), lambda run: COUNTS, cached, earlier=earlier or Speeds(), kind="cpu")


def demo_record(model: str = "tiny_mae", protocol=probe, **changes) -> Record:
    """Return a record of the demo suite as this machine would have made it, 100 seconds of which were passes."""
    suite, entry = suites.load("demo"), models.entries()[model]
    run = a_run(0, protocol=protocol, entry=toy_entry())
    recipe = match(entry, suite, suite.tasks[0], suite.bands)
    key = dataclasses.replace(run.key, suite="demo", task=suite.tasks[0].name, model=model, recipe=recipe.facts())
    cost = {"seconds": 130.0, "extraction_seconds": 100.0, "passes": 1000.0}
    facts = {"n_train": 640, "n_val": 208, "n_test": 320}
    return Record(key=key, status="ok", facts=facts, cost=cost, environment=HERE | changes)


def test_a_pass_belongs_to_the_first_run_that_needs_it():
    runs = [a_run(0), a_run(0, protocol=knn), a_run(1), a_run(0, fraction=0.1), a_run(2)]
    costs, passes = estimated(runs)
    needed = [dict(costs.runs[run.key.digest].images) for run in runs]
    assert needed == [COUNTS, {}, {}, {}, COUNTS]  # image-level tasks share theirs, tokens are another
    assert (passes.computed, passes.images, passes.cached) == (2, 2 * sum(COUNTS.values()), 0)


def test_cached_passes_are_none_to_make():
    runs = [a_run(0), a_run(2)]
    costs, passes = estimated(runs, cached=lambda run, split, grids, some: run.task.name == "kind")
    assert (passes.computed, passes.images, passes.cached) == (1, sum(COUNTS.values()), 1)
    assert costs.runs[runs[0].key.digest].passes == 0 < costs.runs[runs[1].key.digest].passes
    _, passes = estimated([runs[0]], cached=lambda run, split, grids, some: split in LEARNING)
    assert (passes.computed, passes.images, passes.cached) == (1, COUNTS["test"], 0)


def test_a_frozen_arm_reads_what_a_probe_has_stored():
    arm = a_run(2, protocol=finetune, decoders=("linear",))
    assert estimated([a_run(2), arm])[1].computed == 1
    _, passes = estimated([arm, a_run(2)])
    assert passes.images == 2 * sum(COUNTS.values())  # the arm keeps some layers, so that the probe makes all


@pytest.mark.parametrize("task", [0, 2])
def test_the_cache_is_asked_by_the_key_of_the_features(task, tmp_path):
    session, run = new_session(tmp_path), a_run(task)
    cached = CachedPasses(contents=session.contents, storage="float16")
    assert not cached.has(run, "train")
    carry_out(run, session)
    later = new_session(tmp_path)
    cached = CachedPasses(contents=later.contents, storage="float16")
    # Without a folder of its own, nothing is remembered of the suite's targets: tokens count as missing.
    assert [cached.has(run, split) for split in COUNTS] == [task == 0] * 3
    known = CachedPasses(contents=session.contents, storage="float16")
    assert all(known.has(run, split) for split in COUNTS)
    assert not known.has(run, "train", grids=True) or task == 2
    other = CachedPasses(contents=session.contents, storage="float32")
    assert not other.has(run, "train")


def test_speeds_come_from_records_of_this_machine_and_device():
    ratio = lambda *records: speeds_of(records, {}, "cpu").ratio(("pass",))  # noqa: E731
    known = ratio(demo_record())
    assert known is not None and known == pytest.approx(ratio(demo_record(), demo_record("tiny_mae.random")))
    assert ratio(demo_record(machine="another, 96 cores")) is None
    assert ratio(demo_record(platform="another")) is None
    assert ratio(demo_record(device="cuda:0")) is None and ratio(demo_record(device="cuda")) is None
    older = demo_record()
    older = dataclasses.replace(older, environment={k: v for k, v in HERE.items() if k != "machine"})
    assert ratio(older) == known  # records of earlier versions do not name the machine


def test_records_of_what_is_gone_are_left_out():
    record = demo_record()
    gone = [
        dataclasses.replace(record, key=dataclasses.replace(record.key, **{name: "gone"}))
        for name in ("suite", "task", "model", "protocol")
    ]
    gone.append(dataclasses.replace(record, key=dataclasses.replace(record.key, settings={"unknown": 1})))
    gone.append(dataclasses.replace(record, status="failed"))
    assert speeds_of(gone, {}, "cpu").ratio(("pass",)) is None


def test_planted_records_of_known_speed_give_their_seconds_back():
    """1,000 images took 100 s, so the 1,168 of a plan take 117 s; the rest took 30 s and takes 30 s."""
    suite, record = suites.load("demo"), demo_record()
    earlier = speeds_of([record], {}, "cpu")
    run = a_run(0)
    entry = models.entries()["tiny_mae"]
    recipe = match(entry, suite, suite.tasks[0], suite.bands)
    planned = dataclasses.replace(run, key=record.key, entry=entry, task=suite.tasks[0], recipe=recipe)
    counts = {"train": 640, "val": 208, "test": 320}
    costs, _ = estimate([planned], suite, lambda run: counts, NEVER, earlier=earlier, kind="cpu")
    assert costs.total() == pytest.approx(116.8 + 30.0)
    assert costs.basis() == "from 1 earlier run on this machine"


def test_the_kind_of_a_device_is_known_without_torch():
    assert device_kind("cpu") == "cpu" and device_kind("cuda:1") == "cuda" and device_kind("auto") in ("cpu", "cuda")
