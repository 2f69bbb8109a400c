"""The process executor: carries out a plan in this process, or in several that train together."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.config import Settings
from bench.core import Record
from bench.core.errors import MissingData
from bench.executors.contract.executor import Executor
from bench.executors.contract.following import is_old_failure
from bench.finetuning import distributed
from bench.runs.carry_out import carry_out
from bench.runs.groups import Group, groups_of
from bench.runs.identity import changed_since
from bench.runs.plan import Plan, Run
from bench.runs.session import Session

LONGEST_WAIT = 5.0  # seconds between two looks at groups that other processes have claimed


class ProcessSettings(Settings):
    """The process executor has no settings of its own; ``workers=`` are the threads that read samples."""


def execute(
    plan: Plan, session: Session, settings: Settings | None = None, *, begin: float = 0.0
) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record and whether it was carried out now; runs of one model come together.

    Groups of runs are claimed as a whole, see `bench.runs.groups`. A group that another process has claimed is
    postponed until its records are there or that process is gone. An exception gives a failed record; an interrupt
    ends the sweep.

    Args:
        plan: the runs.
        session: places, data and the loaded model.
        settings: not used.
        begin: share of the plan, in [0, 1), after which this process starts: workers that start at different places
            seldom want the same group.
    """
    if distributed.world() > 1:
        yield from _together(plan, session)
        return
    groups = groups_of(plan.runs)
    first = int(begin * len(groups))
    left = groups[first:] + groups[:first]
    wait = 0.1
    while left:
        postponed = []
        for group in left:
            if (records := _records(group, session)) is not None:
                yield from ((run, record, False) for run, record in records)
                continue
            held = session.store.claim(session.data.suite.name, group.name)
            if held is None:
                postponed.append(group)
                continue
            with held:
                yield from _carry_out(group, session)
        if len(postponed) == len(left):
            session.watcher.waiting(len(postponed))
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        else:
            wait = 0.1
        left = postponed


def _records(group: Group, session: Session) -> list[tuple[Run, Record]] | None:
    """Return the runs of a group with their records, or None where one of them is still to be carried out."""
    records = []
    for run in group.runs:
        record = _stored(run, session)
        if record is None:
            return None
        records.append((run, record))
    return records


def _carry_out(group: Group, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    for run in group.runs:
        stored = _stored(run, session)
        yield run, stored or carry_out(run, session), stored is None


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
    """Return the stored record of a run, or None where it is to be carried out.

    What failed before this sweep began is tried again, once for all of its workers.
    """
    try:
        record = session.store.get(run.key)
    except MissingData:
        return None  # a damaged record is replaced
    if record is not None and is_old_failure(record, run, session):
        return None
    return None if record is not None and changed_since(record, run, session.contents) else record


def _check(settings: Settings) -> None:
    """Accept everything: this process is there."""


EXECUTOR = Executor(settings=ProcessSettings, check=_check, execute=execute, workers=lambda settings: 1, watched=False)
