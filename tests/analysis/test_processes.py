"""Work by processes beside this one: the same results in the same order, and failures that say what failed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from analysis import processes
from analysis.processes import ForkedWork, spare_processes
from analysis.report.write import begin
from tests.builders.records import orchard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


def test_results_come_in_order_from_other_processes():
    results = ForkedWork(lambda item: (item, os.getpid()), range(7), 3).results()
    assert [item for item, _ in results] == list(range(7))
    assert len({pid for _, pid in results}) == 3 and os.getpid() not in {pid for _, pid in results}
    here = ForkedWork(lambda item: (item, os.getpid()), range(7), 0).results()
    assert {pid for _, pid in here} == {os.getpid()}


def test_large_results_come_through():
    assert [len(result) for result in ForkedWork(lambda size: b"x" * size, [1 << 22] * 4, 2).results()] == [1 << 22] * 4


def test_an_error_elsewhere_is_raised_here():
    def work(item):
        if item == 3:
            raise KeyError("three")
        return item

    with pytest.raises(KeyError, match="three"):
        ForkedWork(work, range(5), 2).results()


def test_what_a_process_that_died_had_to_do_is_done_here():
    home = os.getpid()

    def work(item):
        if item == 2 and os.getpid() != home:
            os._exit(9)
        return item * item

    assert ForkedWork(work, range(5), 2).results() == [0, 1, 4, 9, 16]


def test_a_report_has_the_same_bytes_either_way():
    source = orchard()
    alone, helped = begin(source, "orchard").finish(), begin(source, "orchard", processes=2).finish()
    assert list(alone.files) == list(helped.files)
    assert [name for name in alone.files if alone.files[name] != helped.files[name]] == []


def test_nothing_is_forked_beside_torch_or_other_threads(monkeypatch):
    program = "import {}; from analysis.processes import spare_processes; print(spare_processes())"
    cores = min(len(os.sched_getaffinity(0)), processes.MOST)
    for name, wanted in (("torch", 0), ("numpy", cores if cores > 1 else 0)):
        run = subprocess.run([sys.executable, "-c", program.format(name)], capture_output=True, text=True)
        assert run.stdout.strip() == str(wanted), run.stderr
    monkeypatch.setattr(processes.threading, "active_count", lambda: 2)
    assert spare_processes() == 0
