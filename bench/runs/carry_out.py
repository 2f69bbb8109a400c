"""Carry out one run: open its context, run its protocol, store the record. A failure is a record too."""

from __future__ import annotations

import time
from pathlib import Path

from bench.core import Outcome, Record
from bench.core.errors import BenchError, Unwritable
from bench.finetuning import distributed
from bench.runs import provenance
from bench.runs.context import FeatureReader, open_context
from bench.runs.memory import PeakMemory
from bench.runs.plan import Run
from bench.runs.scored import with_scores
from bench.runs.session import Session


def carry_out(run: Run, session: Session) -> Record:
    """Return the record of a run, carried out now and stored.

    Whatever the run draws at random follows its key: the global generators of torch, NumPy and Python are seeded from
    it for the time of the run, and restored afterwards.

    Raises:
        Unwritable: the cache or the results folder cannot be written.
    """
    from bench.networks.randomness import seeded_draws

    session.watcher.started(run)
    start = time.perf_counter()
    reader = FeatureReader(run, session)
    outcome: Outcome | None = None
    error = ""
    with PeakMemory(session.device) as memory, seeded_draws(run.key.seed, session.device):
        try:
            session.ready(run)
            reader.facts.update(session.data_facts(run))
            outcome = with_scores(run.task, run.protocol.run(open_context(reader)))
        except Unwritable:
            raise  # the fault of a folder, not of the run: nothing about the run is known, and nothing is stored
        except BenchError as problem:
            error = f"{type(problem).__name__}: {problem}"
        except (Exception, SystemExit) as problem:  # a user's loader may try to end the program
            error = f"{type(problem).__name__}: {problem} ({_place(problem)})"
    costs = reader.costs | {
        "seconds": time.perf_counter() - start,
        "parameters": float(run.entry.parameters),
        "peak_bytes": float(memory.peak_bytes),
        **(outcome.cost if outcome else {}),
    }
    record = Record(
        key=run.key,
        status="ok" if outcome else "failed",
        facts=provenance.facts(run, session.data.suite, network=session.fingerprint(run)) | reader.facts,
        scores=outcome.scores if outcome else {},
        choices=outcome.choices if outcome else {},
        curves=outcome.curves if outcome else (),
        notes=(*outcome.notes, *session.weight_notes(run), *session.size_notes(run)) if outcome else (),
        arrays=sorted(outcome.arrays) if outcome else (),
        cost={name: round(value, 4) for name, value in costs.items()},
        environment=provenance.environment()
        | {
            "command": session.config.replay(),
            "device": session.device,
            "channels_last": session.config.channels_last,
            "compile": session.config.compile,
        },
        error=error,
    )
    if distributed.rank() == 0:
        session.store.put(record, outcome.arrays if outcome else {})
    session.watcher.finished(run, record)
    return record


def _place(problem: BaseException) -> str:
    """Return the file and line that raised an error."""
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "unknown place"
