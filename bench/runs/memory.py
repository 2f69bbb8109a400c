"""The peak memory of one run, in a process that carries out many."""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path

PAUSE = 0.05  # seconds between samples where the system's peak cannot be reset
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the largest amount of memory in use during a block, as `peak_bytes`.

    On a GPU: the most that torch held allocated there (`torch.cuda.max_memory_allocated`). Otherwise: the most resident
    memory of the process. Linux keeps that peak and can reset it (``/proc/self/clear_refs``); where it cannot be reset,
    resident memory is sampled every 50 ms. Memory that earlier runs left in use counts (a loaded model),
    the peak of an earlier run does not.

    Args:
        device: torch device of the run.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._sampled, self._stop = 0, threading.Event()
        self._thread: threading.Thread | None = None
        self.peak_bytes = 0

    def __enter__(self) -> PeakMemory:
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
        elif not _reset():
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        if self._device.startswith("cuda"):
            import torch

            self.peak_bytes = int(torch.cuda.max_memory_allocated(self._device))
        elif self._thread is None:
            self.peak_bytes = _status("VmHWM")
        else:
            self._stop.set()
            self._thread.join()
            self.peak_bytes = self._sampled

    def _sample(self) -> None:
        while True:
            self._sampled = max(self._sampled, _resident())
            if self._stop.wait(PAUSE):
                return


def _reset() -> bool:
    """Reset the system's peak of this process, and return whether it could be."""
    try:
        RESET.write_text("5")
        # Some sandboxes accept the write and keep the old peak.
        return 0 < _status("VmHWM") <= _status("VmRSS") * 1.05 + (1 << 20)
    except OSError:
        return False


def _status(name: str) -> int:
    """Return a memory figure of this process in bytes, 0 where the system does not state it."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _resident() -> int:
    """Return the resident memory of this process in bytes; its peak so far on systems without ``/proc``."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
