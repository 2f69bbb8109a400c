"""Execution: carry out the runs of a plan by an executor, or watch others do so, and show progress."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from bench.core import Record
from bench.executors import process
from bench.executors.contract.following import follow
from bench.executors.contract.status import StatusWatcher
from bench.input.splits import Splits
from bench.runs.estimate import Estimate
from bench.runs.plan import Plan, Run
from bench.runs.session import Session, resolve_device
from bench.sweeps.console import print_line
from bench.sweeps.pace import EstimatedPace, Pace
from bench.sweeps.resolved import Resolved
from bench.sweeps.watch import PoolWatcher
from bench.sweeps.watchers import Watcher, Watchers, run_text, watcher
from bench.sweeps.worker_seat import Seat


def carry_out_all(
    request: Resolved,
    plan: Plan,
    data: Splits,
    out: Console,
    estimate: Estimate,
    *,
    watch: bool = False,
    seat: Seat | None = None,
) -> tuple[dict[str, str], list[Run]]:
    """Carry out the runs of a plan.

    Args:
        request: suite, models and folders.
        plan: the runs to be carried out.
        data: the suite's splits.
        out: where progress is printed.
        estimate: of the runs.
        watch: only show how the workers that carry them out get on.
        seat: the place of this process among the workers of a sweep, if it is one.

    Returns:
        Run in words -> error, for those that failed; and the runs left without a record, because no worker is left.

    Raises:
        Unwritable: the results or the cache cannot be written.
    """
    for place in (request.config.results, request.cache.root):
        place.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made is reported before any work
    pooled = watch or (request.executor.watched and seat is None)
    pace = _pooled_pace(request, estimate) if pooled else EstimatedPace(estimate)
    shown: Watcher = watcher(out, len(plan.runs), pace)
    if pooled:
        shown = PoolWatcher(out, len(plan.runs), pace, store=request.store, suite=request.suite.name)
    session = Session(
        config=request.config,
        data=data,
        store=request.store,
        cache=request.cache,
        shelf=request.shelf,
        device=resolve_device(request.config.device),
        watcher=Watchers((shown, StatusWatcher(seat.status, run_text))) if seat else shown,
        begun=seat.begun if seat else request.store.now(),
    )
    failed, left = {}, {run.key.digest: run for run in plan.runs}
    with shown:
        for run, record, _ in _records(request, plan, session, watch=watch, seat=seat):
            del left[run.key.digest]
            if pooled:
                shown.finished(run, record)
            pace.done(run.key.digest)  # another process may have carried it out
            if record.status == "failed":
                failed[run_text(run)] = record.error
    for finding in session.identical():
        print_line(out, (finding.about, "red"), f" {finding.text}")
    return failed, list(left.values())


def _records(
    request: Resolved, plan: Plan, session: Session, *, watch: bool, seat: Seat | None
) -> Iterator[tuple[Run, Record, bool]]:
    if watch:
        return follow(plan, session, lambda: True)
    if seat:
        return process.execute(plan, session, begin=seat.begin)
    return request.executor.execute(plan, session, request.placement)


def _pooled_pace(request: Resolved, estimate: Estimate) -> Pace:
    """Return the pace of several workers: seconds of one worker as the unit of work."""
    workers = request.executor.workers(request.placement)
    return Pace({name: estimate.seconds(name) for name in estimate.runs}, expected=1 / max(1, workers))
