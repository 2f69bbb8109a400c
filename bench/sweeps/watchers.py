"""Output while a sweep runs: progress bars on a terminal, lines elsewhere. Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from bench.core import Record, label_fraction_text
from bench.core.wording import printable
from bench.runs.plan import Run
from bench.runs.session import Progress as Watched
from bench.sweeps.console import print_line
from bench.sweeps.pace import Pace, duration


def run_text(run: Run) -> str:
    """Return a run in words, including its settings: ``tiny_mae landcover probe, 10 % labels, subset 0, seed 0``."""
    key = run.key
    own = " ".join(f"{name}={_joined(value)}" for name, value in key.settings.items() if name != "layers")
    parts = [f"{key.model} {key.task} {key.protocol}", own, f"{label_fraction_text(key.fraction)} labels"]
    return ", ".join([part for part in parts if part] + [f"subset {key.subset}", f"seed {key.seed}"])


def _joined(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class Watcher(Watched, Protocol):
    """Receiver of a sweep's progress; a context manager that shows progress while it is open."""

    def __enter__(self) -> Watcher: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def watcher(out: Console, total: int, pace: Pace) -> Watcher:
    """Return a watcher for a sweep of `total` runs: `LiveWatcher` on a terminal, else `LineWatcher`."""
    return LiveWatcher(out, total, pace) if out.is_terminal else LineWatcher(out, total, pace)


@dataclass(frozen=True)
class Watchers:
    """Several watchers as one; see `bench.runs.session.Progress`."""

    watchers: Sequence[Watched]

    def started(self, run: Run) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.started(run)

    def extracting(self, model: str, split: str, images: int) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.extracting(model, split, images)

    def extracted(self, images: int) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.extracted(images)

    def waiting(self, groups: int) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.waiting(groups)

    def finished(self, run: Run, record: Record) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.finished(run, record)


class TimeLeftColumn(ProgressColumn):
    """Column of the time left at the pace of the whole sweep, shown next to the sweep's bar."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:
        """Return the text of one task's cell."""
        return Text(self.pace.text() if task.fields.get("whole") else "", style="progress.remaining")


class LiveWatcher:
    """Progress bars on a terminal: finished runs with the time left, and the current backbone pass."""

    def __init__(self, out: Console, total: int, pace: Pace) -> None:
        self._out, self._pace = out, pace
        self._progress = Progress(
            SpinnerColumn("dots" if out.encoding.startswith("utf") else "line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeftColumn(pace),
            console=out,
            transient=True,
        )
        self._runs = self._progress.add_task("runs", total=total, whole=True)
        self._pass = self._progress.add_task("backbone", total=None, visible=False)

    def __enter__(self) -> LiveWatcher:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, run: Run) -> None:
        """Show the name of the run that begins."""
        self._progress.update(self._runs, description=printable(f"{run.key.model} {run.key.task} {run.key.protocol}"))

    def extracting(self, model: str, split: str, images: int) -> None:
        """Show a backbone pass that begins."""
        self._progress.reset(self._pass, total=images, visible=True, description=printable(f"  {model} on {split}"))

    def extracted(self, images: int) -> None:
        """Advance the backbone pass."""
        self._progress.advance(self._pass, images)

    def waiting(self, groups: int) -> None:
        """Name what is waited for."""
        self._progress.update(self._runs, description=f"waiting: {groups} groups are claimed by other processes")

    def finished(self, run: Run, record: Record) -> None:
        """Advance the runs, and print a failure at once."""
        self._pace.done(run.key.digest, record.cost if record.status == "ok" else None)
        self._progress.update(self._pass, visible=False)
        self._progress.advance(self._runs)
        if record.status == "failed":
            print_line(self._out, ("failed ", "red"), f"{run_text(run)}: {record.error}")


class LineWatcher:
    """Lines in a log: one when a run begins and one when it ends, with the time of day and the time left."""

    def __init__(self, out: Console, total: int, pace: Pace) -> None:
        self._out, self._total, self._pace = out, total, pace
        self._begun, self._done, self._waits = 0, 0, False
        self._start = pace.seconds()

    def __enter__(self) -> LineWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: lines need no cleaning up."""

    def _line(self, text: str) -> None:
        print_line(self._out, f"{time.strftime('%H:%M:%S')} {text}")

    def started(self, run: Run) -> None:
        """Print that a run begins."""
        self._begun, self._start, self._waits = self._begun + 1, self._pace.seconds(), False
        self._line(f"{self._begun}/{self._total} begins: {run_text(run)}")

    def extracting(self, model: str, split: str, images: int) -> None:
        """Print that a backbone pass begins."""
        self._line(f"  backbone pass: {model} on {split}, {images:,} images")

    def extracted(self, images: int) -> None:
        """Print nothing."""

    def waiting(self, groups: int) -> None:
        """Print once that all that is left is claimed by other processes."""
        if not self._waits:
            self._line(f"waiting for other processes, which have claimed the {groups} groups of runs that are left")
        self._waits = True

    def finished(self, run: Run, record: Record) -> None:
        """Print that a run has ended, how, and the time left."""
        self._pace.done(run.key.digest, record.cost if record.status == "ok" else None)
        self._done += 1
        took = duration(self._pace.seconds() - self._start)
        left = self._total - self._done
        rest = f"{left} to go" + (f", {self._pace.text()}" if left and self._pace.text() else "")
        end = f"failed after {took}: {record.error}" if record.status == "failed" else f"done in {took}"
        self._line(f"{self._done}/{self._total} {end} ({run_text(run)}); {rest}")
