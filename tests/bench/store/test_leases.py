"""Claims: one holder at a time, the dead let go, and nothing unreadable stays in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.core.errors import Unwritable
from bench.store.leases import claim, claimed, file_clock, is_abandoned
from tests.builders.stored import unwritable

ROOT = Path(__file__).parents[3]
HOLD = "import sys, time; from pathlib import Path; from bench.store.leases import claim\n"
HOLD += "held = claim(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


@pytest.fixture
def holder(tmp_path):
    """A process that holds the claim at the path given."""
    started = []

    def start(path):
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline().strip() == "held"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_claim_is_gone_when_it_ends(tmp_path):
    path = tmp_path / "deep" / "x.lease"
    with claimed(path):
        assert path.exists() and claim(path, wait=False) is None
    assert list(path.parent.iterdir()) == []


def test_a_killed_holder_lets_go_at_once(tmp_path, holder):
    path = tmp_path / "x.lease"
    process = holder(path)
    assert claim(path, wait=False) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    start = time.monotonic()
    with claimed(path):
        assert time.monotonic() - start < 2


LIKE_ONE = b"filelock/2\npid=1\nhost=elsewhere\nmode=lease\ntoken=00\nduration=%d.0\nstart=1\n\n"
HELD_BY_OTHERS = {"of another machine": LIKE_ONE % 120, "of another duration": LIKE_ONE % 30}
UNREADABLE = {
    "empty": b"",
    "bytes": b"\x00\x01",
    "json": b"[1, 2]\n",
    "cut": LIKE_ONE[:40],
    "odd": b"filelock/2\nhello\n",
}


@pytest.mark.parametrize("name", [*HELD_BY_OTHERS, *UNREADABLE])
def test_the_abandoned_and_the_unreadable_do_not_stay_in_the_way(tmp_path, name):
    path = tmp_path / "x.lease"
    path.write_bytes((HELD_BY_OTHERS | UNREADABLE)[name])
    if name in HELD_BY_OTHERS:
        assert claim(path, wait=False) is None  # it may be alive
    old = time.time() - (10 if name in UNREADABLE else 300)
    os.utime(path, (old, old))
    held = claim(path, wait=False) or claim(path, wait=False)
    assert held is not None
    with held:
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_is_being_written_is_given_time(tmp_path):
    path = tmp_path / "x.lease"
    path.write_bytes(b"")
    assert claim(path, wait=False) is None and path.exists()


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    with unwritable(tmp_path / "folder") as folder, pytest.raises(Unwritable, match="permission is denied"):
        claim(folder / "x.lease")
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unwritable, match="a file lies where a folder is needed"):
        claim(tmp_path / "file" / "x.lease")


def test_age_is_measured_by_the_clock_of_the_file_system(tmp_path):
    path = tmp_path / "x"
    path.write_text("x")
    now = file_clock(tmp_path)
    assert not is_abandoned(path, now) and is_abandoned(path, now + 1000) and not is_abandoned(tmp_path / "gone", now)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
