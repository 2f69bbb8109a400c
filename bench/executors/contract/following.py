"""Following a sweep that other processes carry out: records as they appear in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bench.core import Record
from bench.core.errors import MissingData
from bench.runs.plan import Plan, Run
from bench.runs.session import Session

POLL = 1.0  # seconds between two looks at the store


def follow(
    plan: Plan, session: Session, alive: Callable[[], bool], *, poll: float = POLL
) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record as it appears; end when all are there, or when nobody is alive to make them.

    A failed record from before this sweep began counts as not there where it is tried again.

    Args:
        plan: the runs.
        session: store, and when the sweep began.
        alive: whether there are workers left.
        poll: seconds between two looks.
    """
    store, suite = session.store, session.data.suite.name
    left = {run.key.digest: run for run in plan.runs}
    while left:
        last_look = not alive()
        for digest in sorted(left.keys() & store.digests(suite)):
            run = left[digest]
            try:
                record = store.get(run.key)
            except MissingData:
                continue  # a worker replaces it
            if record is None or is_old_failure(record, run, session):
                continue
            del left[digest]
            yield run, record, True
        if last_look:
            return
        if left:
            time.sleep(poll)


def is_old_failure(record: Record, run: Run, session: Session) -> bool:
    """Return whether a record is of a failure before this sweep began, which this sweep is to try again."""
    return record.status == "failed" and session.config.retry and session.store.written(run.key) < session.begun
