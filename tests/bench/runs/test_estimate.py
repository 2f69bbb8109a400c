"""An estimate takes the seconds of earlier runs for those to come: the most similar first, this sweep's before all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.features.work import Job, Work
from bench.input.recipe import match
from bench.runs.estimate import Costing, Estimate, RunFacts, Speeds, costing
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite

SUITE = toy_suite()
FACTS = RunFacts(suite="toy", task="kind", protocol="probe", fraction=1.0, architecture="toy_small", arm=())


def job(**changes) -> Job:
    entry = toy_entry(parameters=1_000_000)
    facts = dict(entry=entry, suite=SUITE, task=SUITE.tasks[0], recipe=match(entry, SUITE, SUITE.tasks[0], BANDS))
    facts |= dict(channels=2, images={"train": 120, "val": 60, "test": 90}, tests=("test",))
    return Job(**{**facts, **changes})


def a_costing(images: int = 0, steps: float = 100.0, splits: tuple[str, ...] = ("train",), **facts) -> Costing:
    work = Work(splits=splits, steps=steps)
    return costing(replace(FACTS, **facts), job(), work, {"train": images} if images else {}, "cpu")


def cost(of: Costing, factor: float, images: int = 0) -> dict[str, float]:
    """Return the cost of a run that takes `factor` times what is guessed."""
    passes = factor * of.image * images
    return {"seconds": passes + factor * of.rest, "extraction_seconds": passes, "passes": float(images)}


def test_the_guess_serves_until_something_is_known():
    run = a_costing(images=120)
    estimate = Estimate(runs={"a": run})
    assert estimate.seconds("a") == pytest.approx(run.image * 120 + run.rest)
    assert estimate.basis() == "a rough guess until the first model has run"


def test_earlier_runs_of_known_speed_give_their_seconds_back():
    run, earlier = a_costing(images=1000, steps=1e5), Speeds()
    for number in range(3):
        earlier.learn_record(cost(run, 7.0, images=1000), run, f"run {number}")
    estimate = Estimate(runs={"a": run}, earlier=earlier)
    assert estimate.seconds("a") == pytest.approx(7 * (run.image * 1000 + run.rest))
    assert estimate.basis() == "from 3 earlier runs on this machine"


def test_a_cached_pass_costs_nothing():
    run, cached = a_costing(images=1000, steps=1e5), a_costing(steps=1e5)
    earlier = Speeds()
    earlier.learn_record(cost(run, 7.0, images=1000), run, "earlier")
    assert Estimate(runs={"a": cached}, earlier=earlier).total() == pytest.approx(7 * cached.rest)


def test_the_most_similar_runs_count():
    run, earlier = a_costing(steps=1e5), Speeds()
    earlier.learn_record(cost(run, 2.0), a_costing(steps=1e5, architecture="other"), "other model")
    assert Estimate(runs={"a": run}, earlier=earlier).total() == pytest.approx(2 * run.rest)
    earlier.learn_record(cost(run, 5.0), run, "same model")
    assert Estimate(runs={"a": run}, earlier=earlier).total() == pytest.approx(5 * run.rest)
    knn = a_costing(steps=1e5, protocol="knn")
    assert Estimate(runs={"a": knn}, earlier=earlier).total() == pytest.approx((2 + 5) / 2 * knn.rest)


def test_this_sweep_corrects_what_earlier_runs_tell():
    first, second = a_costing(steps=1e5), a_costing(steps=1e5, task="amount")
    earlier = Speeds()
    for run in (first, second):
        earlier.learn_record(cost(run, 2.0), run, run.rest_keys[0][4])
    estimate = Estimate(runs={"a": first, "b": second}, earlier=earlier)
    assert estimate.seconds("b") == pytest.approx(2 * second.rest)
    estimate.learn("a", cost(first, 6.0))  # the machine is three times slower than it was
    assert estimate.seconds("b") == pytest.approx(6 * second.rest)
    estimate.learn("unknown", cost(first, 100.0))
    assert estimate.seconds("b") == pytest.approx(6 * second.rest)


def test_only_a_part_of_what_is_planned_may_be_known():
    probe, knn, earlier = a_costing(images=10**6), a_costing(protocol="knn"), Speeds()
    earlier.learn_record(cost(knn, 3.0), knn, "knn")
    basis = Estimate(runs={"a": probe, "b": knn}, earlier=earlier).basis()
    assert basis == "from 1 earlier run on this machine, and partly a rough guess"


def test_costs_that_tell_nothing_are_left_out():
    run, speeds = a_costing(images=100), Speeds()
    speeds.learn_record({}, run, "a failed run")
    speeds.learn_record({"seconds": float("nan"), "passes": 100.0, "extraction_seconds": float("inf")}, run, "damaged")
    assert Estimate(runs={"a": run}, earlier=speeds).basis().startswith("a rough guess")


def test_a_larger_model_more_images_and_more_steps_take_longer():
    small, large = job(), job(entry=toy_entry(parameters=50_000_000))
    of = lambda a_job, work, images: Estimate(runs={"a": costing(FACTS, a_job, work, images, "cpu")}).total()  # noqa: E731
    read = Work(splits=("train",))
    assert of(large, read, {"train": 100}) > 10 * of(small, read, {"train": 100})
    assert of(large, read, {"train": 200}) > 1.5 * of(large, read, {"train": 100})
    assert of(small, Work(steps=4000), {}) > 2 * of(small, Work(steps=400), {})
    assert of(large, Work(forwards=1000), {}) > 10 * of(small, Work(forwards=1000), {})
