"""The time left follows the speed of the whole run, by work, not by count."""

from __future__ import annotations

import pytest

from bench.sweeps.pace import Pace, duration


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (2e5, "2.3 days")]
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text


def test_a_short_run_at_the_end_does_not_change_the_pace():
    clock = Clock()
    pace = Pace({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, clock=clock)
    assert pace.left() is None and pace.text() == ""
    clock.now += 100
    pace.done("a")
    assert pace.left() == 300
    clock.now += 2
    pace.done("b")
    assert pace.left() == 102
    assert pace.text() == "about 2 min left"


def test_work_counts_not_runs():
    clock = Clock()
    pace = Pace({"pass": 90.0, "probe": 5.0, "knn": 5.0}, clock=clock)
    clock.now += 90
    pace.done("pass")
    assert pace.left() == pytest.approx(10)


def test_what_is_expected_serves_until_something_is_done():
    clock = Clock()
    pace = Pace({"a": 10.0, "b": 30.0}, expected=2.0, clock=clock)
    assert pace.left() == 80
    clock.now += 30
    assert pace.left() == 50
    clock.now += 100
    assert pace.left() == 0
    pace.done("a")
    assert pace.left() == 390


def test_what_is_not_known_or_done_twice_counts_nothing():
    clock = Clock()
    pace = Pace({"a": 1.0, "free": 0.0}, clock=clock)
    clock.now += 10
    for name in ("other", "free", "free"):
        pace.done(name)
        assert pace.left() is None
    pace.done("a")
    pace.done("a")
    assert pace.left() == 0
