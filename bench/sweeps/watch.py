"""How the workers of a sweep get on: one table on a terminal, lines in a log. Imports no torch."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.core import Record
from bench.core.errors import Unwritable
from bench.executors.contract.job import job_folders
from bench.executors.contract.status import Status, read_statuses
from bench.runs.plan import Run
from bench.store import Store
from bench.sweeps.console import print_line
from bench.sweeps.listings import print_rows
from bench.sweeps.pace import Pace, duration
from bench.sweeps.watchers import run_text

REFRESH = 1.0  # times per second
MOST_ROWS = 40  # workers that the table shows


class PoolWatcher:
    """Shows a sweep that other processes carry out; see `bench.sweeps.watchers.Watcher`.

    Args:
        out: where to.
        total: runs to be done.
        pace: of the whole sweep.
        store, suite: where the workers leave their records and status files.
    """

    def __init__(self, out: Console, total: int, pace: Pace, *, store: Store, suite: str) -> None:
        self._out, self._total, self._pace = out, total, pace
        self._store, self._suite = store, suite
        self._done, self._failed = 0, 0
        self._live = Live(console=out, refresh_per_second=REFRESH, get_renderable=self.view, transient=True)

    def __enter__(self) -> PoolWatcher:
        if self._out.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._out.is_terminal:
            self._live.stop()

    def started(self, run: Run) -> None:
        """Print nothing: workers begin runs."""

    def extracting(self, model: str, split: str, images: int) -> None:
        """Print nothing: passes over the labels, before the workers start, are short."""

    def extracted(self, images: int) -> None:
        """Print nothing."""

    def waiting(self, groups: int) -> None:
        """Print nothing."""

    def finished(self, run: Run, record: Record) -> None:
        """Count a run; in a log, print a line."""
        self._pace.done(run.key.digest)
        self._done += 1
        failed = record.status == "failed"
        self._failed += failed
        if failed:
            print_line(self._out, ("failed ", "red"), f"{run_text(run)}: {record.error}")
        elif not self._out.is_terminal:
            text = f"{time.strftime('%H:%M:%S')} {self._done}/{self._total} done ({run_text(run)}); {self._rest()}"
            print_line(self._out, text)

    def _rest(self) -> str:
        left = self._total - self._done
        return f"{left} to go" + (f", {self._pace.text()}" if left and self._pace.text() else "")

    def view(self) -> Text:
        """Return a line about the whole and the table of the workers."""
        statuses = self._statuses()
        rate = sum(status.images_per_second for status in statuses if status.text == "running")
        parts = [f"{self._done} of {self._total} runs done"]
        parts += [f"{self._failed} of them failed"] if self._failed else []
        parts += [f"{rate:,.0f} images per second"] if rate else []
        parts += [self._pace.text()] if self._done < self._total and self._pace.text() else []
        return Text.assemble((", ".join(parts), "bold"), "\n", table_text(statuses, self._out.width))

    def _statuses(self) -> Sequence[Status]:
        folders = job_folders(self._store.root, self._suite)
        if not folders:
            return []
        try:
            now = self._store.now()
        except Unwritable:
            now = time.time()
        return read_statuses(sorted(folders[0].glob("worker-*.json")), now)


def table_text(statuses: Sequence[Status], width: int) -> str:
    """Return the workers as a table of at most `width` columns, those at work first."""
    ordered = sorted(statuses, key=lambda status: (status.text != "running", status.number))
    out = Console(file=io.StringIO(), width=width, color_system=None)
    print_rows(
        out, [_row(status) for status in ordered[:MOST_ROWS]], keep=("state",), note="a wider terminal shows them"
    )
    if len(ordered) > MOST_ROWS:
        print_line(out, f"and {len(ordered) - MOST_ROWS} workers more")
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def _row(status: Status) -> dict[str, object]:
    at_work = status.text in ("running", "waiting")
    return {
        "worker": status.number,
        "state": status.text,
        "done": status.done,
        "failed": status.failed,
        "for": duration(status.since + status.age) if at_work else "",
        "doing": status.doing,
        "images/s": round(status.images_per_second),
        "waited": f"{status.waited / status.total:.0%}" if status.total else "",
        "host": status.host,
        "process": str(status.process),
    }
