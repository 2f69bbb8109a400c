"""Claims that hold on shared file systems: one process does a piece of work, and the claim of a dead process expires.

A claim is a file that its holder refreshes (`filelock.SoftFileLease`). Locks of the operating system do not reach other
machines on many shared file systems; creating a file does. A holder that was paused for longer than the lease may still
run when another has taken over, so nothing rests on a lease alone: results are published by a rename that never
replaces.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import AcquireReturnProxy, LeaseSettingsMismatch, SoftFileLease, Timeout

from bench.core.errors import Unwritable
from bench.core.owners import owner_tag
from bench.core.wording import os_error_remedy
from bench.store.files import discard, make_folder, set_aside, writing

LEASE_SECONDS = 120.0  # a holder on another machine that shows no life for so long is taken to be dead
GRACE_SECONDS = 5.0  # what a holder may take to write a claim that it has created
POLL_SECONDS = 0.25
_WHOLE = re.compile(
    rb"filelock/\d+\npid=\d+\nhost=[^\n]+\nmode=lease\ntoken=\w+\nduration=(\d+(?:\.\d+)?)\n.*", re.DOTALL
)


def claim(path: Path, *, wait: bool = True, seconds: float = LEASE_SECONDS) -> AcquireReturnProxy | None:
    """Return the claim at `path`, taken; it ends with a ``with`` around it. None where another holds it and not `wait`.

    Args:
        path: file of the claim, ``NAME.lease``; it exists only while a process holds the claim.
        wait: wait until the other process is done, or dead.
        seconds: see `LEASE_SECONDS`; the same for all who claim `path`.

    Raises:
        Unwritable: no file can be made there.
    """
    make_folder(path.parent)
    lease = SoftFileLease(path, lease_duration=seconds, thread_local=False)
    watch = _Watch(path)
    while True:
        with writing(path):
            try:
                return lease.acquire(timeout=0)
            except (Timeout, LeaseSettingsMismatch):  # held, perhaps by a program that knows another duration
                pass
            except IsADirectoryError:
                _remove_folder(path)
                continue
        watch.remove_if_dead()
        if not wait:
            return None
        time.sleep(POLL_SECONDS)


@contextmanager
def claimed(path: Path, *, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold the claim at `path` meanwhile; see `claim`."""
    held = claim(path, seconds=seconds)
    assert held is not None
    with held:
        yield


class _Watch:
    """Observer of a claim that another process holds; removes a claim that no process can hold any more.

    `filelock` takes over from dead processes of this machine and, while it waits, from claims that stay the same for
    their duration. Two kinds it leaves in the way for ever: those it cannot read (a process killed between creating its
    claim and writing it leaves an empty file), and those of another duration.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int, bytes] | None = None
        self._since = 0.0

    def remove_if_dead(self) -> None:
        """Remove the claim if it has stayed the same for longer than its holder, if there is one, would leave it so.

        Raises:
            Unwritable: a folder that holds something is in its place.
        """
        try:
            status = self._path.lstat()
            if stat.S_ISDIR(status.st_mode):
                _remove_folder(self._path)
                return
            content = self._path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            state = (status.st_ino, status.st_mtime_ns, content)
            if state != self._state:
                age = file_clock(self._path.parent) - status.st_mtime
                self._state, self._since = state, time.monotonic() - age
        except OSError:
            return
        if time.monotonic() - self._since <= _patience(content):
            return
        aside = set_aside(self._path)
        if aside is not None:
            _put_back_or_discard(aside, self._path, content)


def _remove_folder(path: Path) -> None:
    """Remove an empty folder in the place of a claim.

    Raises:
        Unwritable: it holds something.
    """
    try:
        path.rmdir()
    except OSError as error:
        raise Unwritable(
            f"{path} is a folder where a claim belongs ({os_error_remedy(error)}); move it away"
        ) from error


def _patience(content: bytes) -> float:
    """Return for how many seconds a claim of this content may stay the same before it counts as dead."""
    match = _WHOLE.fullmatch(content)
    return 2 * min(float(match[1]), 3600.0) if match else GRACE_SECONDS


def _put_back_or_discard(aside: Path, path: Path, content: bytes) -> None:
    """Discard what was set aside; if it is a claim that came in between, put it back unless another is there by now."""
    try:
        if aside.read_bytes() != content:
            path.hardlink_to(aside)
    except OSError:
        pass
    discard(aside)


def file_clock(folder: Path) -> float:
    """Return the time by the clock of a folder's file system, which need not be this machine's.

    Raises:
        OSError: nothing can be written there.
    """
    probe = folder / f".{owner_tag()}.part"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        discard(probe)


def is_abandoned(path: Path, now: float, *, seconds: float = LEASE_SECONDS) -> bool:
    """Return whether the claim at `path` has not been refreshed for twice its duration.

    Args:
        path: the claim.
        now: see `file_clock`.
        seconds: see `claim`.
    """
    try:
        return now - path.stat().st_mtime > 2 * seconds
    except OSError:
        return False
