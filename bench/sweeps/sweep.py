"""One configuration from words to records: look everything up, plan, show the plan, carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.catalogue.download import fetch
from bench.catalogue.suites import select_bands
from bench.catalogue.weights import TO_BE_FETCHED, WeightSources
from bench.config import RunConfig
from bench.core import ModelEntry, Suite, Task, label_fraction_text, lookup
from bench.core.errors import BadSetting, MissingData, MissingWeights
from bench.executors.local import execute
from bench.input.splits import Splits
from bench.protocols.contract.protocol import Protocol
from bench.runs.plan import Plan, make, passes
from bench.runs.session import Session, resolve_device
from bench.store import FeatureCache, Store, default_cache
from bench.sweeps.console import RATES, LiveWatcher, show_plan


@dataclass
class Resolved:
    """A configuration with everything it names looked up."""

    config: RunConfig
    suite: Suite
    entries: list[ModelEntry]
    explicit: bool
    protocols: dict[str, Protocol]
    store: Store
    cache: FeatureCache
    shelf: WeightSources


def resolve(config: RunConfig) -> Resolved:
    """Return a configuration's suite, models, protocols and places.

    Raises:
        UnknownName: any of them does not exist.
    """
    suite = suite_catalogue.load(config.suite)
    protocols = {name: lookup.noun("bench.protocols", name, Protocol) for name in config.protocols}
    entries, explicit = model_catalogue.select(config.models, config.entries)
    cache = config.cache or default_cache()
    return Resolved(
        config=config,
        suite=suite,
        entries=entries,
        explicit=explicit,
        protocols=protocols,
        store=Store(config.results),
        cache=FeatureCache(cache),
        shelf=WeightSources(folder=config.weights, cache=cache, download=config.download),
    )


def _data(request: Resolved, out: Console, *, fetch_it: bool) -> Splits:
    """Return the suite's data, opened as far as ids go; fetched if missing and allowed."""
    data = Splits(suite=request.suite, root=request.config.data)
    bands = select_bands(request.suite, request.config.bands)
    folder = request.config.data / request.suite.folder
    unfinished = folder / ".download"
    try:
        data.split(request.suite.tasks[0], "train", bands)
    except MissingData as error:
        # What somebody put there is theirs: only nothing at all, or a download of our own that broke off, is fetched.
        mine = not folder.exists() or unfinished.exists()
        if not (fetch_it and mine and request.config.download and request.suite.download):
            raise
        out.print(f"[dim]{error}\nfetching {request.suite.url or request.suite.name} ...[/]")
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        try:
            request.suite.download(request.config.data, fetch)
        except MissingData as second:
            raise MissingData(f"{error}\nand it cannot be fetched: {second}") from None
        unfinished.unlink()
    return data


def _plan(request: Resolved, data: Splits | None, *, fetch_weights: bool) -> tuple[Plan, int, str]:
    """Return the plan, the number of images, and what is missing."""
    bands = select_bands(request.suite, request.config.bands)
    missing: list[str] = []
    hashes: dict[str, str] = {}

    def split_hash(task: Task) -> str:
        if task.name not in hashes:
            try:
                hashes[task.name] = data.split_hash(task, bands) if data else "no data"
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
    images = sum(request.suite.splits.values())
    if data and not missing and plan.runs:
        task = plan.runs[0].task
        names = ("train", "val", *data.test_names(task, bands))
        images = sum(len(data.split(task, name, bands)) for name in names)
    return plan, images, "; ".join(dict.fromkeys(missing))


def _show(request: Resolved, plan: Plan, images: int, note: str, out: Console, *, whole: bool) -> dict[str, str]:
    stored: dict[str, str] = {}
    rates = []
    for run in plan.runs:
        try:
            record = request.store.get(run.key)
        except MissingData:
            continue  # a damaged record is made again
        if record:
            stored[run.key.digest] = record.status
            if record.cost.get("passes") and record.cost.get("extraction_seconds"):
                work = sum(passes(request.suite, [run], int(record.cost["passes"])).values())
                rates.append(work / record.cost["extraction_seconds"])
    kind = request.config.device.partition(":")[0].replace("auto", "cpu")
    rate = sorted(rates)[len(rates) // 2] if rates else RATES[kind]
    todo = [run for run in plan.runs if stored.get(run.key.digest) != "ok"]
    costs = passes(request.suite, todo, images)
    show_plan(out, plan, stored, costs=costs, rate=rate, images=images, note=note, whole=whole)
    return stored


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What became of a configuration.

    Attributes:
        request: the configuration, looked up.
        plan: what was to be done.
        failed: run in words -> error.
    """

    request: Resolved
    plan: Plan
    failed: Mapping[str, str] = field(default_factory=dict)


def sweep(config: RunConfig, out: Console, *, dry: bool = False) -> Sweep:
    """Return what became of a configuration: planned, shown, and unless `dry` carried out and stored.

    Raises:
        BenchError: a bad request; nothing was run.
    """
    request = resolve(config)
    if request.suite.generated:
        out.print(f"[bold yellow]{request.suite.name}: generated data[/], not satellite images")
    data, note = None, ""
    try:
        data = _data(request, out, fetch_it=not dry)
    except MissingData as error:
        if not dry:
            raise
        note = str(error)
    plan, images, missing = _plan(request, data, fetch_weights=not dry)
    stored = _show(request, plan, images, note or missing, out, whole=dry)
    if dry or data is None:
        return Sweep(request=request, plan=plan)
    if not plan.runs:
        reasons = "; ".join(dict.fromkeys(refusal.reason for refusal in plan.refused)) or "no model is available"
        raise BadSetting(f"nothing to run on {request.suite.name}: {reasons}")
    return Sweep(request=request, plan=plan, failed=_execute(request, plan, data, stored, out))


def _execute(request: Resolved, plan: Plan, data: Splits, stored: Mapping[str, str], out: Console) -> dict[str, str]:
    """Carry out what is not stored; return the failures by run."""
    todo = [run for run in plan.runs if stored.get(run.key.digest) != "ok"]
    if request.config.retry is False:
        todo = [run for run in todo if run.key.digest not in stored]
    if not todo:
        return {}
    watcher = LiveWatcher(out, len(todo))
    session = Session(
        config=request.config,
        data=data,
        store=request.store,
        cache=request.cache,
        shelf=request.shelf,
        device=resolve_device(request.config.device),
        watcher=watcher,
    )
    failed = {}
    part = Plan(runs=tuple(todo), refused=(), unavailable={}, bands=plan.bands)
    with watcher.progress:
        for run, record, _ in execute(part, session):
            if record.status == "failed":
                key = run.key
                name = f"{key.model} {key.task} {key.protocol} {label_fraction_text(key.fraction)} subset {key.subset}"
                failed[f"{name} seed {key.seed}"] = record.error
    for finding in session.identical():
        out.print(f"[red]{finding.about}[/] {finding.text}")
    return failed
