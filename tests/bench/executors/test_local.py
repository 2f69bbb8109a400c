"""Workers in processes of their own: the records of one process, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from bench.config import validate
from bench.core.errors import BadSetting
from bench.executors.local import EXECUTOR, LocalSettings, environment
from tests.builders.pool import leases, run_pool, stored, write_folder

pytestmark = pytest.mark.xdist_group("local_executor")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:
    """Return the records that one process makes."""
    folder = tmp_path_factory.mktemp("alone")
    write_folder(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        done, text = run_pool(folder)
    finally:
        os.chdir(before)
    records = stored(folder / "results")
    assert len(records) == 12 and not done.failed, text
    return records


def test_two_workers_make_the_records_of_one_process(alone, tmp_path, monkeypatch):
    write_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    done, text = run_pool(tmp_path, executor="local", placement={"local": {"workers": 2}})
    assert not done.failed and not done.unfinished, text
    assert "4 groups of runs for 2 workers" in text and "12/12 done" in text
    assert stored(tmp_path / "results") == alone
    statuses = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("worker-*.json")]
    assert sum(status["done"] for status in statuses) == 12  # each run was carried out once
    assert leases(tmp_path / "results") == []


@pytest.mark.slow
def test_killed_workers_lose_nothing(alone, tmp_path, monkeypatch):
    """Workers are killed at random moments; they are started again, and what they held is taken over."""
    write_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAUSE", "0.1")
    over, killed = threading.Event(), []

    def kill() -> None:
        moments = random.Random(0)
        while not over.wait(moments.uniform(0.5, 1.5)) and len(killed) < 4:
            for path in sorted((tmp_path / "results").rglob("worker-*.json")):
                status = json.loads(path.read_text())
                if status["doing"] and status["process"] not in killed:
                    os.kill(status["process"], signal.SIGKILL)
                    killed.append(status["process"])
                    break

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        done, text = run_pool(tmp_path, executor="local", placement={"local": {"workers": 2, "restarts": 10}})
    finally:
        over.set()
        killer.join()
    assert killed and not done.failed and not done.unfinished, text
    assert stored(tmp_path / "results") == alone


@pytest.mark.slow
def test_workers_that_die_for_good_leave_runs_that_the_next_sweep_makes(alone, tmp_path, monkeypatch):
    write_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAUSE", "0.2")

    def kill_all() -> None:
        while not (paths := sorted((tmp_path / "results").rglob("worker-*.json"))):
            time.sleep(0.05)
        os.kill(json.loads(paths[0].read_text())["process"], signal.SIGKILL)

    killer = threading.Thread(target=kill_all)
    killer.start()
    done, _ = run_pool(tmp_path, executor="local", placement={"local": {"workers": 1, "restarts": 0}})
    killer.join()
    assert done.unfinished
    done, text = run_pool(tmp_path)
    assert not done.failed and not done.unfinished, text
    assert stored(tmp_path / "results") == alone


def test_a_worker_gets_its_gpu_or_its_share_of_the_cores():
    four = [environment(number, workers=4, gpus=["2", "5"], cores=16, threads=0) for number in range(4)]
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables in four] == ["2", "5", "2", "5"]
    assert {variables["OMP_NUM_THREADS"] for variables in four} == {"4"}
    alone = environment(0, workers=3, gpus=[], cores=2, threads=0)
    assert "CUDA_VISIBLE_DEVICES" not in alone and alone["OMP_NUM_THREADS"] == "1"
    assert environment(0, workers=3, gpus=[], cores=2, threads=7)["OMP_NUM_THREADS"] == "7"


def test_workers_beyond_what_the_machine_has_are_refused():
    with pytest.raises(BadSetting, match="cores; at most four workers per core"):
        EXECUTOR.check(LocalSettings(workers=256))
    with pytest.raises(BadSetting, match="workers"):
        validate(LocalSettings, {"workers": 1000})
    assert EXECUTOR.workers(LocalSettings(workers=3)) == 3
