"""Killed at any moment and run again, or run twice at once: the same records, each made once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE_BOUND = ("cost", "environment", "checksum")


def start(folder: Path) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.builders.toy_sweep", str(folder)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def records(folder: Path) -> dict[str, dict]:
    contents = {}
    for path in sorted((folder / "results" / "toy" / "records").glob("*.json")):
        content = json.loads(path.read_text())
        for name in MACHINE_BOUND:
            content.pop(name)
        contents[path.stem] = {**content, "npz": path.with_suffix(".npz").read_bytes()}
    return contents


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    stored = records(folder)
    assert len(stored) == 15 and all(content["status"] == "ok" for content in stored.values()), out
    return folder, stored


@pytest.mark.slow
def test_killed_at_random_moments_gives_the_same_records(whole, tmp_path):
    _, expected = whole
    moments = random.Random(0)
    kills = 0
    while True:
        process = start(tmp_path)
        try:
            _, err = process.communicate(timeout=2.5 + moments.uniform(0, 2.5) + 0.5 * kills)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, err
        break
    assert kills >= 1
    assert records(tmp_path) == expected


def test_a_second_run_does_nothing(whole):
    folder, expected = whole
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*.json")}
    process = start(folder)
    out, _ = process.communicate(timeout=120)
    assert out.count("stored") == len(expected) and "done" not in out
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*.json")}


@pytest.mark.slow
def test_two_processes_do_each_run_once(whole, tmp_path):
    _, expected = whole
    both = [start(tmp_path), start(tmp_path)]
    out = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    done = [line.split()[0] for text in out for line in text.splitlines() if line.endswith("done")]
    assert sorted(done) == sorted(expected)
    assert records(tmp_path) == expected


def test_a_damaged_record_and_a_damaged_cache_are_made_again(whole, tmp_path):
    import shutil

    folder, expected = whole
    shutil.copytree(folder, tmp_path / "copy")
    copy = tmp_path / "copy"
    victim = sorted((copy / "results" / "toy" / "records").glob("*.json"))[0]
    victim.write_text(victim.read_text()[:50])
    for path in (copy / "cache" / "features").glob("*/block_2.mean.npy"):
        content = bytearray(path.read_bytes())
        content[-3] ^= 255
        path.write_bytes(bytes(content))
    time.sleep(0.01)
    out, err = start(copy).communicate(timeout=120)
    assert out.count(" done") == 1, err
    assert records(copy) == expected
