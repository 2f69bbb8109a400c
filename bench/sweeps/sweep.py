"""Sweep: look up what a configuration names, plan its runs, show the plan, and carry it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from bench.catalogue.weights import TO_BE_FETCHED
from bench.config import RunConfig
from bench.core import ModelEntry, Record, Task
from bench.core.errors import BadSetting, MissingData, MissingWeights
from bench.core.wording import shortened
from bench.input.content import Contents
from bench.input.splits import Splits
from bench.runs.groups import Part, groups_of, part_of
from bench.runs.identity import still_true
from bench.runs.plan import Plan, Run, make
from bench.sweeps.console import print_line
from bench.sweeps.execution import carry_out_all
from bench.sweeps.expected import Expected, expected
from bench.sweeps.opening import check_data, check_embeddings, open_data, size_notes
from bench.sweeps.plan_text import show_plan
from bench.sweeps.resolved import Resolved, resolve
from bench.sweeps.worker_seat import Seat

REASONS = 8  # reasons that a message lists
EARLIER = 400  # stored runs whose seconds an estimate reads


def _plan(request: Resolved, data: Splits | None, *, fetch_weights: bool) -> tuple[Plan, list[str]]:
    """Return the plan, and notes on missing data."""
    missing: list[str] = []
    hashes: dict[str, str] = {}

    def split_hash(task: Task) -> str:
        if task.name not in hashes:
            try:
                hashes[task.name] = data.split_hash(task, request.bands) if data else "no data"
            except MissingData as error:
                if fetch_weights:
                    raise
                missing.append(str(error))
                hashes[task.name] = "no data"
        return hashes[task.name]

    unfetched: dict[str, MissingWeights] = {}

    def weights(entry: ModelEntry) -> str:
        if entry.name in unfetched:
            raise unfetched[entry.name]
        return request.shelf.planned_digest(entry)

    def planned() -> Plan:
        return make(
            request.config,
            request.suite,
            request.entries,
            request.protocols,
            bands=request.bands,
            explicit=request.explicit,
            split_hash=split_hash,
            weights=weights,
        )

    plan = planned()
    if fetch_weights and (wanted := [run.entry for run in plan.runs if run.key.weights.startswith(TO_BE_FETCHED)]):
        for entry in {entry.name: entry for entry in wanted}.values():
            try:
                request.shelf.find(entry)
            except MissingWeights as error:
                unfetched[entry.name] = error
        plan = planned()
    if request.config.part:
        models = [entry.name for entry in request.entries]
        plan = replace(plan, runs=part_of(plan.runs, Part.read(request.config.part), models))
    return plan, list(dict.fromkeys(missing))


def _stored(request: Resolved, plan: Plan) -> dict[str, Record]:
    """Return digest -> record for the stored runs of a plan; a damaged record counts as missing."""
    records = {}
    for run in plan.runs:
        try:
            record = request.store.get(run.key)
        except MissingData:
            continue
        if record is not None:
            records[run.key.digest] = record
    return records


def _todo(request: Resolved, plan: Plan, stored: Mapping[str, Record]) -> list[Run]:
    """Return the runs to carry out: those without a record, and with ``retry`` those that failed."""
    again = ("failed",) if request.config.retry else ()
    return [run for run in plan.runs if run.key.digest not in stored or stored[run.key.digest].status in again]


def _expected(request: Resolved, todo: Sequence[Run], contents: Contents | None) -> Expected:
    """Return what the runs still to do compute, and how long that is expected to take."""
    return expected(
        todo,
        request.suite,
        contents,
        records=request.store.recent(EARLIER),
        entries={entry.name: entry for entry in request.entries},
        storage=request.config.storage,
        device=request.config.device,
    )


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A configuration that was planned and, unless dry, carried out.

    Attributes:
        request: the configuration, looked up.
        plan: its runs, and what was refused.
        failed: run in words -> error.
        unfinished: runs that are left without a record, because every worker has ended.
    """

    request: Resolved
    plan: Plan
    failed: Mapping[str, str] = field(default_factory=dict)
    unfinished: Sequence[Run] = ()


def sweep(
    config: RunConfig, out: Console, *, dry: bool = False, watch: bool = False, seat: Seat | None = None
) -> Sweep:
    """Plan a configuration, show the plan, and carry it out and store it unless `dry`.

    Args:
        config: what to run.
        out: where progress is printed.
        dry: only plan.
        watch: only show how the workers that carry it out get on.
        seat: the place of this process among the workers of a sweep, if it is one.

    Raises:
        BenchError: the request cannot be fulfilled; nothing was run.
    """
    request = resolve(config)
    if request.suite.generated:
        print_line(out, (f"{request.suite.name}: generated data", "bold yellow"), ", not satellite images")
    data, notes = None, []
    try:
        data = open_data(request.suite, config, request.bands, out, may_fetch=not (dry or watch))
    except MissingData as error:
        if not dry:
            raise
        notes.append(str(error))
    plan, missing = _plan(request, data, fetch_weights=not (dry or watch))
    check_embeddings(plan.runs, None if missing else data)
    stored = _stored(request, plan)
    contents = Contents(data=data, cache=request.cache) if data is not None and not missing else None
    if contents:
        stored, changes = still_true(stored, plan.runs, contents)
        notes += changes
    todo = _todo(request, plan, stored)
    if contents:
        data_notes = check_data if todo else size_notes  # a part of the data is named even where all runs are stored
        notes += data_notes(contents.data, request.bands, _tasks(todo or plan.runs))
    if todo and request.executor.watched and not seat:
        workers = request.executor.workers(request.placement)
        notes.append(f"{len(groups_of(todo))} groups of runs for {workers} workers, executor={config.executor}")
    statuses = {digest: record.status for digest, record in stored.items()}
    costs = _expected(request, todo, contents) if todo else None
    show_plan(out, plan, statuses, cost=costs.text() if costs else "", notes=notes or missing, whole=dry)
    if dry or data is None:
        return Sweep(request=request, plan=plan)
    if not plan.runs:
        reasons = list(dict.fromkeys(refusal.reason for refusal in plan.refused)) or ["no model is available"]
        text = shortened(reasons, REASONS, hint="--dry shows them")
        raise BadSetting(f"nothing to run on {request.suite.name}: {text}")
    if costs is None:
        return Sweep(request=request, plan=plan)
    part = replace(plan, runs=tuple(todo), refused=(), unavailable={})
    failed, unfinished = carry_out_all(request, part, data, out, costs.estimate, watch=watch, seat=seat)
    return Sweep(request=request, plan=plan, failed=failed, unfinished=unfinished)


def _tasks(runs: Sequence[Run]) -> list[Task]:
    return list({run.task.name: run.task for run in runs}.values())
