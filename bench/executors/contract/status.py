"""Status files: what each worker of a sweep is doing, for whoever watches."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.core import Record
from bench.core.errors import Damaged, Unwritable
from bench.core.owners import owner_is_gone, owner_tag
from bench.runs.plan import Run
from bench.store import write_atomic
from bench.store.seals import parse_json

EVERY = 2.0  # seconds between two writings
SILENT = 60.0  # seconds after which a worker on another machine that has written nothing is shown as silent
RATE_WINDOW = 10.0  # seconds over which images per second are measured


@dataclass(frozen=True, kw_only=True)
class Status:
    """What one worker does.

    Attributes:
        number: of the worker, from 0.
        owner: see `bench.core.owners.owner_tag`.
        host, process: where it runs.
        state: ``starting``, ``running``, ``waiting``, ``done``, ``stopped`` or ``failed``.
        doing: the run under way, in words.
        since: seconds since that began, when this was written.
        done, failed: runs carried out by this worker.
        images_per_second: of the backbone passes, over the last seconds.
        waited, total: seconds spent waiting for other workers, and altogether.
        age: seconds since this was written, by the clock of the results folder.
        alive: False where the process has ended; None where it runs on another machine.
    """

    number: int
    owner: str = ""
    host: str = ""
    process: int = 0
    state: str = "starting"
    doing: str = ""
    since: float = 0.0
    done: int = 0
    failed: int = 0
    images_per_second: float = 0.0
    waited: float = 0.0
    total: float = 0.0
    age: float = 0.0
    alive: bool | None = None

    @property
    def text(self) -> str:
        """The state in words; a worker that shows no life is named as such."""
        if self.state in ("done", "stopped", "failed"):
            return self.state
        if self.alive is False:
            return "died"
        if self.alive is None and self.age > SILENT:
            return f"no sign of life for {self.age:.0f} s"
        return self.state


class StatusFile:
    """Keeps the status file of this worker up to date from a thread of its own; a context.

    Args:
        path: the file.
        number: of the worker.
        clock: gives seconds.
    """

    def __init__(self, path: Path, number: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock, self._start = path, clock, clock()
        self._status = Status(number=number, owner=owner_tag(), host=socket.gethostname(), process=os.getpid())
        self._begun, self._waiting_since, self._waited = clock(), 0.0, 0.0
        self._images: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="status", daemon=True)

    def __enter__(self) -> StatusFile:
        self.write()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._ended.set()
        self._thread.join()
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt)
        self._set(state="done" if kind is None else "stopped" if stopped else "failed", doing="")
        self.write()

    def _keep(self) -> None:
        while not self._ended.wait(EVERY):
            self.write()

    def write(self) -> None:
        """Write the file; a disk that refuses is left for the run itself to notice."""
        now = self._clock()
        with self._lock:
            self._images = [(when, count) for when, count in self._images if now - when < RATE_WINDOW]
            seen = sum(count for _, count in self._images)
            waiting = now - self._waiting_since if self._status.state == "waiting" else 0.0
            status = replace(
                self._status,
                since=now - self._begun,
                images_per_second=seen / min(RATE_WINDOW, max(now - self._start, 1.0)),
                waited=self._waited + waiting,
                total=now - self._start,
            )
        content = {name: value for name, value in asdict(status).items() if name not in ("age", "alive")}
        with suppress(Unwritable):
            write_atomic(self._path, json.dumps(content).encode())

    def _set(self, **changes: object) -> None:
        with self._lock:
            if self._status.state == "waiting":
                self._waited += self._clock() - self._waiting_since
            self._status = replace(self._status, **changes)  # type: ignore[arg-type]

    def running(self, text: str) -> None:
        """Note that a run begins."""
        self._set(state="running", doing=text)
        self._begun = self._clock()

    def waiting(self, text: str) -> None:
        """Note that other workers hold all that is left."""
        if self._status.state == "waiting":
            return
        self._set(state="waiting", doing=text)
        self._begun = self._waiting_since = self._clock()

    def images(self, count: int) -> None:
        """Note images of a backbone pass that are done."""
        with self._lock:
            self._images.append((self._clock(), count))

    def finished(self, record: Record) -> None:
        """Note that a run has its record."""
        status = self._status
        failed = record.status == "failed"
        self._set(state="running", doing="", done=status.done + 1, failed=status.failed + failed)


class StatusWatcher:
    """Passes on how the sweep of this worker goes to its status file; see `bench.runs.session.Progress`.

    Args:
        file: the status file.
        text: run -> the run in words.
    """

    def __init__(self, file: StatusFile, text: Callable[[Run], str]) -> None:
        self._file, self._text = file, text

    def started(self, run: Run) -> None:
        """Note that a run begins."""
        self._file.running(self._text(run))

    def extracting(self, model: str, split: str, images: int) -> None:
        """Note nothing: the run is named already."""

    def extracted(self, images: int) -> None:
        """Note images that are done."""
        self._file.images(images)

    def waiting(self, groups: int) -> None:
        """Note that other workers hold all that is left."""
        self._file.waiting(f"{groups} groups of runs are claimed by other workers")

    def finished(self, run: Run, record: Record) -> None:
        """Note that a run has its record."""
        self._file.finished(record)


def read_statuses(paths: Sequence[Path], now: float) -> list[Status]:
    """Return the statuses that can be read, in the order of the files.

    Args:
        paths: status files; those that are not there yet are left out.
        now: the time by the clock of their file system.
    """
    statuses = []
    for path in paths:
        try:
            content, age = parse_json(path), now - path.stat().st_mtime
            if not isinstance(content, dict):
                continue
            status = Status(**content)
        except (OSError, Damaged, TypeError):
            continue
        gone = owner_is_gone(status.owner)
        statuses.append(replace(status, age=max(0.0, age), alive=None if gone is None else not gone))
    return statuses
