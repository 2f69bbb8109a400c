"""Sweep: look up what a configuration names, plan its runs, show the plan, and carry it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.catalogue.suites import select_bands
from bench.catalogue.weights import TO_BE_FETCHED, WeightSources
from bench.config import RunConfig
from bench.core import Band, ModelEntry, Record, Suite, Task, lookup
from bench.core.errors import BadSetting, MissingData, MissingWeights
from bench.core.wording import shortened
from bench.executors.local import execute
from bench.input.content import Contents
from bench.input.splits import Splits
from bench.protocols.contract.protocol import Protocol
from bench.runs.identity import still_true
from bench.runs.plan import Plan, Run, make
from bench.runs.session import Session, resolve_device
from bench.store import FeatureCache, Store, default_cache
from bench.sweeps.console import print_line
from bench.sweeps.expected import Expected, expected
from bench.sweeps.opening import check_data, check_embeddings, open_data
from bench.sweeps.pace import EstimatedPace
from bench.sweeps.plan_text import show_plan
from bench.sweeps.watchers import run_text, watcher

REASONS = 8  # reasons that a message lists
EARLIER = 400  # stored runs whose seconds an estimate reads


@dataclass
class Resolved:
    """A configuration with the suite, models, protocols and folders that it names."""

    config: RunConfig
    suite: Suite
    bands: tuple[Band, ...]
    entries: list[ModelEntry]
    explicit: bool
    protocols: dict[str, Protocol]
    store: Store
    cache: FeatureCache
    shelf: WeightSources


def resolve(config: RunConfig) -> Resolved:
    """Return a configuration's suite, models, protocols and places.

    Raises:
        UnknownName: one of the names does not exist.
    """
    suite = suite_catalogue.load(config.suite)
    protocols = {name: lookup.noun("bench.protocols", name, Protocol) for name in config.protocols}
    entries, explicit = model_catalogue.select(config.models, config.entries)
    cache = config.cache or default_cache()
    return Resolved(
        config=config,
        suite=suite,
        bands=select_bands(suite, config.bands),
        entries=entries,
        explicit=explicit,
        protocols=protocols,
        store=Store(config.results),
        cache=FeatureCache(cache),
        shelf=WeightSources(folder=config.weights, cache=cache, download=config.download),
    )


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
    """

    request: Resolved
    plan: Plan
    failed: Mapping[str, str] = field(default_factory=dict)


def sweep(config: RunConfig, out: Console, *, dry: bool = False) -> Sweep:
    """Plan a configuration, show the plan, and carry it out and store it unless `dry`.

    Raises:
        BenchError: the request cannot be fulfilled; nothing was run.
    """
    request = resolve(config)
    if request.suite.generated:
        print_line(out, (f"{request.suite.name}: generated data", "bold yellow"), ", not satellite images")
    data, notes = None, []
    try:
        data = open_data(request.suite, config, request.bands, out, may_fetch=not dry)
    except MissingData as error:
        if not dry:
            raise
        notes.append(str(error))
    plan, missing = _plan(request, data, fetch_weights=not dry)
    check_embeddings(plan.runs, None if missing else data)
    stored = _stored(request, plan)
    contents = Contents(data=data, cache=request.cache) if data is not None and not missing else None
    if contents:
        stored, changes = still_true(stored, plan.runs, contents)
        notes += changes
    todo = _todo(request, plan, stored)
    if contents and todo:
        notes += check_data(contents.data, request.bands, _tasks(todo))
    statuses = {digest: record.status for digest, record in stored.items()}
    costs = _expected(request, todo, contents) if todo else None
    show_plan(out, plan, statuses, cost=costs.text() if costs else "", notes=notes or missing, whole=dry)
    if dry or data is None:
        return Sweep(request=request, plan=plan)
    if not plan.runs:
        reasons = list(dict.fromkeys(refusal.reason for refusal in plan.refused)) or ["no model is available"]
        text = shortened(reasons, REASONS, hint="--dry shows them")
        raise BadSetting(f"nothing to run on {request.suite.name}: {text}")
    failed = _execute(request, plan, data, todo, out, EstimatedPace(costs.estimate)) if costs else {}
    return Sweep(request=request, plan=plan, failed=failed)


def _tasks(runs: Sequence[Run]) -> list[Task]:
    return list({run.task.name: run.task for run in runs}.values())


def _execute(
    request: Resolved, plan: Plan, data: Splits, todo: Sequence[Run], out: Console, pace: EstimatedPace
) -> dict[str, str]:
    """Carry out runs and return run in words -> error, for those that failed."""
    for place in (request.config.results, request.cache.root):
        place.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made is reported before any work
    progress = watcher(out, len(todo), pace)
    session = Session(
        config=request.config,
        data=data,
        store=request.store,
        cache=request.cache,
        shelf=request.shelf,
        device=resolve_device(request.config.device),
        watcher=progress,
    )
    failed = {}
    part = Plan(runs=tuple(todo), refused=(), unavailable={}, bands=plan.bands)
    with progress:
        for run, record, _ in execute(part, session):
            pace.done(run.key.digest)  # another process may have carried it out
            if record.status == "failed":
                failed[run_text(run)] = record.error
    for finding in session.identical():
        print_line(out, (finding.about, "red"), f" {finding.text}")
    return failed
