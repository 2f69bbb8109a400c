"""Status files: what a worker does, as others see it."""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace

import pytest

from bench.executors.contract.status import Status, StatusFile, StatusWatcher, read_statuses

RUN = SimpleNamespace()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_writes_what_it_does(tmp_path):
    clock, path = Clock(), tmp_path / "worker-3.json"
    file = StatusFile(path, 3, clock)
    watcher = StatusWatcher(file, lambda run: "tiny_mae landcover probe")
    watcher.started(RUN)
    clock.now += 4
    watcher.extracted(64)
    clock.now += 1
    file.write()
    (status,) = read_statuses([path], time.time())
    assert (status.number, status.process, status.text) == (3, os.getpid(), "running")
    assert status.doing == "tiny_mae landcover probe" and status.since == 5
    assert status.images_per_second == pytest.approx(64 / 5) and status.alive is True
    watcher.finished(RUN, SimpleNamespace(status="failed"))
    watcher.waiting(2)
    clock.now += 15
    file.write()
    (status,) = read_statuses([path], time.time())
    assert (status.done, status.failed, status.text) == (1, 1, "waiting")
    assert status.waited == 15 and status.total == 20 and status.images_per_second == 0
    watcher.started(RUN)
    clock.now += 5
    file.write()
    assert read_statuses([path], time.time())[0].waited == 15


@pytest.mark.parametrize(("ends", "state"), [(None, "done"), (KeyboardInterrupt, "stopped"), (RuntimeError, "failed")])
def test_how_a_worker_ended_is_kept(tmp_path, ends, state):
    path = tmp_path / "worker-0.json"
    try:
        with StatusFile(path, 0):
            if ends:
                raise ends
    except (KeyboardInterrupt, RuntimeError):
        pass
    assert read_statuses([path], time.time())[0].text == state


def test_a_worker_that_is_gone_is_named():
    running = {"number": 0, "state": "running"}
    assert Status(**running, alive=False).text == "died"
    assert Status(**running, alive=True, age=500).text == "running"
    assert Status(**running, alive=None, age=500).text == "no sign of life for 500 s"
    assert Status(**running, alive=None, age=5).text == "running"


@pytest.mark.parametrize("content", ["", "[]", '{"number": 1, "other": 2}', "null", "\xff"])
def test_files_that_are_no_status_are_left_out(tmp_path, content):
    path = tmp_path / "worker-0.json"
    path.write_text(content)
    assert read_statuses([path, tmp_path / "none.json"], time.time()) == []


def test_what_is_written_is_json_of_plain_facts(tmp_path):
    with StatusFile(tmp_path / "s.json", 1):
        assert json.loads((tmp_path / "s.json").read_text())["state"] == "starting"
