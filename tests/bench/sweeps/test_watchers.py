"""A log has a line when a run begins and when it ends; a terminal has bars."""

from __future__ import annotations

import dataclasses
import re

import pytest
from rich.console import Console

from bench.core import Record
from bench.sweeps.pace import Pace
from bench.sweeps.watchers import LineWatcher, LiveWatcher, run_text, watcher
from tests.builders.sessions import a_run


@pytest.fixture
def runs():
    return (a_run(0), a_run(1))


def ended(run, error: str = "") -> Record:
    return Record(key=run.key, status="failed" if error else "ok", error=error)


def test_a_log_names_each_run_twice_with_the_time_left(runs):
    now = [0.0]
    pace = Pace({run.key.digest: 1.0 for run in runs}, clock=lambda: now[0])
    out = Console(width=80, markup=False, force_terminal=False)
    with out.capture() as captured, watcher(out, len(runs), pace) as watched:
        assert isinstance(watched, LineWatcher)
        for run in runs:
            watched.started(run)
            watched.extracting(run.key.model, "train", 16_200)
            watched.extracted(32)
            now[0] += 600
            watched.finished(run, ended(run, "ValueError: [/b] broke" if run is runs[-1] else ""))
    lines = captured.get().splitlines()
    assert len(lines) == 3 * len(runs) and all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    name = run_text(runs[0])
    assert lines[0].endswith(f"1/2 begins: {name}")
    assert lines[1].endswith("backbone pass: toy_small on train, 16,200 images")
    assert lines[2].endswith(f"1/2 done in 10 min ({name}); 1 to go, about 10 min left")
    assert "2/2 failed after 10 min: ValueError: [/b] broke" in lines[5] and lines[5].endswith("; 0 to go")


def test_a_terminal_shows_the_time_left_of_the_whole_run(runs):
    now = [0.0]
    pace = Pace({run.key.digest: 1.0 for run in runs}, clock=lambda: now[0])
    out = Console(width=100, markup=False, force_terminal=True, color_system=None)
    with out.capture() as captured, watcher(out, len(runs), pace) as watched:
        assert isinstance(watched, LiveWatcher)
        watched.started(runs[0])
        watched.extracting("[red]", "train", 10)
        now[0] += 600
        watched.finished(runs[0], ended(runs[0], "[/b] broke"))
        watched._progress.refresh()
    text = captured.get()
    assert "about 10 min left" in text and "[red] on train" in text and "[/b] broke" in text


def test_runs_that_differ_in_their_settings_differ_in_words(runs):
    key = dataclasses.replace(runs[0].key, settings={"decoders": ["fcn"], "layers": ["last"], "steps": 3})
    other = dataclasses.replace(runs[0], key=key)
    assert run_text(other) != run_text(runs[0]) and "decoders=fcn steps=3" in run_text(other)
