"""The local executor: carries out a plan in this process, or in several that train together."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core import Record
from bench.core.errors import MissingData
from bench.finetuning import distributed
from bench.runs.carry_out import carry_out
from bench.runs.identity import changed_since
from bench.runs.plan import Plan, Run
from bench.runs.session import Session


def execute(plan: Plan, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record and whether it was carried out now; runs of one model come together.

    A run that another process has claimed is postponed to the end, when its record is there or that process is gone.
    An exception gives a failed record; an interrupt ends the sweep.
    """
    if distributed.world() > 1:
        yield from _together(plan, session)
        return
    postponed: list[Run] = []
    for run in plan.runs:
        if record := _stored(run, session):
            yield run, record, False
        elif claimed := _claim(run, session):
            yield run, *claimed
        else:
            postponed.append(run)
    for run in postponed:
        claimed = _claim(run, session, wait=True)
        assert claimed is not None
        yield run, *claimed


def _claim(run: Run, session: Session, *, wait: bool = False) -> tuple[Record, bool] | None:
    """Return a run's record and whether it was carried out now; None where another process has claimed the run."""
    held = session.store.claim(run.key, wait=wait)
    if held is None:
        return None
    with held:
        stored = _stored(run, session)
        record = stored or carry_out(run, session)
    return record, stored is None


def _together(plan: Plan, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    """Carry out a plan in several processes: process 0 decides and stores the records, all of them train."""
    for run in plan.runs:
        record = _stored(run, session) if distributed.rank() == 0 else None
        if record := distributed.agreed(record):
            yield run, record, False
            continue
        if run.protocol.runs_network or distributed.rank() == 0:
            record = carry_out(run, session)
        agreed = distributed.agreed(record)
        assert agreed is not None  # process 0 has carried out the run
        yield run, agreed, True


def _stored(run: Run, session: Session) -> Record | None:
    """Return the stored record of a run, or None where it is to be carried out."""
    try:
        record = session.store.get(run.key)
    except MissingData:
        return None  # a damaged record is replaced
    if record is not None and record.status == "failed" and session.config.retry:
        return None
    return None if record is not None and changed_since(record, run, session.contents) else record
