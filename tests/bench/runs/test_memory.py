"""The peak of a block is that of the block: what it held counts, what an earlier block held does not."""

from __future__ import annotations

import numpy as np
import pytest

from bench.runs import memory
from bench.runs.memory import PeakMemory

LARGE = 192 << 20


def held(size: int) -> int:
    """Return the peak of a block that fills an array of some bytes and lets it go."""
    with PeakMemory() as peak:
        values = np.ones(size, np.uint8)
        del values
    return peak.peak_bytes


@pytest.mark.parametrize("resettable", [True, False])
def test_the_peak_counts_what_the_block_held_and_nothing_earlier(monkeypatch, resettable):
    if not resettable:
        monkeypatch.setattr(memory, "_reset", lambda: False)
        monkeypatch.setattr(memory, "PAUSE", 0.0005)
    small = held(1 << 20)
    large = held(LARGE)
    after = held(1 << 20)
    assert large - small > 0.5 * LARGE
    assert abs(after - small) < 0.4 * LARGE


def test_a_missing_status_file_gives_zero(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    assert memory._status("VmHWM") == 0
    (tmp_path / "status").write_text("Name: x\nVmHWM:    2048 kB\nVmRSS:\t 7 kB\n")
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    assert (memory._status("VmHWM"), memory._status("VmRSS"), memory._status("VmSwap")) == (2048 * 1024, 7 * 1024, 0)
