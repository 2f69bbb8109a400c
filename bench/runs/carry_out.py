"""For each planned run: is it stored? if not, load, run the protocol, put the Record. A failure is a Record too."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from bench.core import Outcome, Record
from bench.core.errors import BenchError
from bench.finetuning import distributed
from bench.runs import provenance
from bench.runs.context import open_context
from bench.runs.plan import Run
from bench.runs.session import Session


def carry_out(run: Run, session: Session) -> Record:
    """Return the record of a run, carried out now and stored."""
    start = time.perf_counter()
    costs: dict[str, float] = {"passes": 0.0, "extraction_seconds": 0.0}
    outcome: Outcome | None = None
    error = ""
    about = provenance.facts(run, session.data.suite)
    try:
        outcome = run.protocol.run(open_context(run, session, costs, about))
    except BenchError as problem:
        error = f"{type(problem).__name__}: {problem}"
    except (Exception, MemoryError) as problem:
        error = f"{type(problem).__name__}: {problem} ({_where(problem)})"
    costs |= {
        "seconds": time.perf_counter() - start,
        "parameters": float(run.entry.parameters),
        "peak_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024,
        **(outcome.cost if outcome else {}),
    }
    record = Record(
        key=run.key,
        status="ok" if outcome else "failed",
        facts=about,
        scores=outcome.scores if outcome else {},
        choices=outcome.choices if outcome else {},
        curves=outcome.curves if outcome else (),
        notes=outcome.notes if outcome else (),
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


def _where(problem: BaseException) -> str:
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "unknown place"
