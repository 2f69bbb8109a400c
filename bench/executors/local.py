"""The local executor: carries out a plan in this process, or in processes that train together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from bench.core import Record
from bench.core.errors import MissingData
from bench.finetuning import distributed
from bench.runs.carry_out import carry_out
from bench.runs.plan import Plan, Run
from bench.runs.session import Session, init_seed


def execute(plan: Plan, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record and whether it was done now; runs of one model come together.

    A run that another process holds is passed over and taken up at the end, when its record is there or the other
    process is gone. An exception is a failed record; an interrupt ends the sweep.
    """
    if distributed.world() > 1:
        yield from _together(plan, session)
        return
    postponed: list[Run] = []
    for _, runs in groupby(plan.runs, key=lambda run: (run.entry.name, run.recipe.bands, init_seed(run))):
        for run in runs:
            if record := _stored(run, session):
                yield run, record, False
                continue
            lock = session.store.claim(run.key)
            if lock is None:
                postponed.append(run)
                continue
            with lock:
                record = _stored(run, session)
                done = record is None
                record = record or carry_out(run, session)
            session.store.release(run.key)
            yield run, record, done
    for run in postponed:
        lock = session.store.claim(run.key, wait=True)
        assert lock is not None
        with lock:
            record = _stored(run, session)
            done = record is None
            record = record or carry_out(run, session)
        session.store.release(run.key)
        yield run, record, done


def _together(plan: Plan, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    """Carry out a plan in several processes: the first decides and keeps the records, trained runs are shared."""
    for run in plan.runs:
        record = _stored(run, session) if distributed.rank() == 0 else None
        if record := distributed.agreed(record):
            yield run, record, False
            continue
        if run.protocol.runs_network or distributed.rank() == 0:
            record = carry_out(run, session)
        yield run, distributed.agreed(record), True


def _stored(run: Run, session: Session) -> Record | None:
    try:
        record = session.store.get(run.key)
    except MissingData:
        return None  # a damaged record is made again
    if record is not None and record.status == "failed" and session.config.retry:
        return None
    return record
