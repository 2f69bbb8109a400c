"""The peak of a block is that of the block: what it held counts, what an earlier block held does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.runs import memory

LARGE = 192 << 20
SCRIPT = """
import sys
import numpy as np
from bench.runs import memory

if sys.argv[1] == "sampled":
    memory._reset, memory.PAUSE = lambda: False, 0.0005


def held(size):
    with memory.PeakMemory() as peak:
        values = np.ones(size, np.uint8)
        del values
    return peak.peak_bytes


print(held(1 << 20), held(int(sys.argv[2])), held(1 << 20))
"""


@pytest.mark.parametrize("way", ["reset", "sampled"])
def test_the_peak_counts_what_the_block_held_and_nothing_earlier(way):
    """In a process of its own: one that has held much before has memory to spare that is still resident."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, way, str(LARGE)], capture_output=True, text=True, check=True)
    small, large, after = map(int, done.stdout.split())
    assert large - small > 0.5 * LARGE
    assert abs(after - small) < 0.4 * LARGE


def test_a_missing_status_file_gives_zero(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    assert memory._status("VmHWM") == 0
    (tmp_path / "status").write_text("Name: x\nVmHWM:    2048 kB\nVmRSS:\t 7 kB\n")
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    assert (memory._status("VmHWM"), memory._status("VmRSS"), memory._status("VmSwap")) == (2048 * 1024, 7 * 1024, 0)
