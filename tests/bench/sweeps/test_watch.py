"""The table of workers, at several widths, and the lines of a log."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.executors.contract.status import Status
from bench.store import Store
from bench.sweeps.pace import Pace
from bench.sweeps.watch import PoolWatcher, table_text

STATUSES = [
    Status(number=0, host="node-07", state="waiting", waited=10, total=100, alive=True),
    Status(number=1, host="[red]", state="running", doing="tiny_mae landcover probe", since=30, done=4, failed=1,
           images_per_second=1234.4, total=100, alive=True),
    Status(number=2, host="node-09", state="running", alive=False),
]  # fmt: skip


def test_the_table_names_what_each_worker_does():
    lines = table_text(STATUSES, 140).splitlines()[1:]
    assert "tiny_mae landcover probe" in lines[0] and "1,234" in lines[0] and "[red]" in lines[0] and "30 s" in lines[0]
    assert "waiting" in lines[1] and "10%" in lines[1]
    assert "died" in lines[2]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(len(line) for line in table_text(STATUSES, width).splitlines()) <= width


def test_a_log_gets_a_line_per_run(tmp_path):
    out = io.StringIO()
    watcher = PoolWatcher(
        Console(file=out, width=200), 2, Pace({"0a": 1.0, "0b": 1.0}), store=Store(tmp_path), suite="x"
    )
    run = SimpleNamespace(
        key=SimpleNamespace(
            digest="0a", model="m", task="t", protocol="probe", settings={}, fraction=1.0, subset=0, seed=0
        )
    )
    with watcher:
        watcher.finished(run, SimpleNamespace(status="ok", error=""))
        watcher.finished(run, SimpleNamespace(status="failed", error="no memory"))
    text = out.getvalue()
    assert "1/2 done (m t probe" in text and "1 to go" in text
    assert "failed m t probe" in text and "no memory" in text
    view = io.StringIO()
    Console(file=view, width=120).print(watcher.view())
    assert "2 of 2 runs done, 1 of them failed" in view.getvalue()
