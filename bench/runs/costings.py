"""The estimate of a plan: what its runs compute, what is cached, and what earlier runs took. Imports no torch."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.config import validate
from bench.core import ModelEntry, Record, Suite, Task, lookup
from bench.core.errors import BenchError
from bench.features.work import Job
from bench.input.recipe import InputRecipe
from bench.input.splits import LEARNING
from bench.protocols.contract.protocol import Protocol
from bench.runs.estimate import Costing, Estimate, RunFacts, Speeds, costing, facts_of
from bench.runs.plan import Run
from bench.runs.provenance import machine

Counts = Callable[[Run], Mapping[str, int]]
"""Run -> number of samples of every split that it reads."""
Cached = Callable[[Run, str, bool, bool], bool]
"""(run, split, grids, some layers) -> whether the features are cached."""


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Passes of frozen backbones that runs need, one per model, seed, and task where tokens are kept.

    Attributes:
        computed: number of those to be computed, in part or whole.
        images: that they run over.
        cached: number of those that the cache holds.
    """

    computed: int
    images: int
    cached: int


def estimate(
    runs: Sequence[Run], suite: Suite, counts: Counts, cached: Cached, *, earlier: Speeds, kind: str
) -> tuple[Estimate, Passes]:
    """Return the estimate of runs, and the backbone passes they need; each pass is part of the first run that needs it.

    Args:
        runs: those still to do, in order.
        suite: their suite.
        counts: gives the samples of their splits.
        cached: tells which features are there.
        earlier: speeds of stored runs.
        kind: of device, see `bench.runs.estimate.GUESSES`.
    """
    costings: dict[str, Costing] = {}
    there: dict[tuple[Any, ...], bool] = {}  # a set of features -> whether it holds all layers
    passes: dict[tuple[Any, ...], int] = {}  # a pass -> images of it that are to be computed
    for run in runs:
        whole = counts(run)
        job = Job(
            entry=run.entry,
            suite=suite,
            task=run.task,
            recipe=run.recipe,
            channels=len(run.recipe.channels),
            images=_learnt_from(whole, run.task, run.key.fraction),
            tests=tuple(name for name in whole if name not in LEARNING),
        )
        work = run.protocol.work(job, run.settings)
        images = {}
        for split in () if run.entry.vectors else work.splits:
            owner = (run.entry.name, run.key.init_seed, run.recipe, run.task.name if run.task.dense else "", work.grids)
            place = (*owner, split, whole[split])
            passes.setdefault(owner, 0)
            if place in there and (there[place] or work.some_layers):
                continue
            there[place] = not work.some_layers
            if not cached(run, split, work.grids, work.some_layers):
                images[split] = whole[split]
                passes[owner] += whole[split]
        costings[run.key.digest] = costing(facts_of(run), job, work, images, kind)
    computed = sum(count > 0 for count in passes.values())
    summary = Passes(computed=computed, images=sum(passes.values()), cached=len(passes) - computed)
    return Estimate(runs=costings, earlier=earlier), summary


def speeds_of(records: Iterable[Record], entries: Mapping[str, ModelEntry], kind: str) -> Speeds:
    """Return the speeds of stored runs that this machine made on a kind of device; what is not known is left out.

    Args:
        records: of any suites.
        entries: further models by name, from users' files.
        kind: of device.
    """
    speeds, here = Speeds(), {"platform": platform.platform(), "machine": machine()}
    for record in records:
        environment = record.environment
        if record.status != "ok" or any(environment.get(name, value) != value for name, value in here.items()):
            continue
        if "platform" not in environment or str(environment.get("device", "")).partition(":")[0] != kind:
            continue
        try:
            past = _past(record, entries, kind)
        except (BenchError, KeyError, TypeError, ValueError):  # of a suite, model or setting that is no longer there
            continue
        speeds.learn_record(record.cost, past, record.digest)
    return speeds


def device_kind(device: str) -> str:
    """Return ``cpu``, ``mps`` or ``cuda`` for a device as configured, without asking torch."""
    kind = device.partition(":")[0]
    return ("cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu") if kind == "auto" else kind


def _learnt_from(whole: Mapping[str, int], task: Task, fraction: float) -> dict[str, int]:
    """Return the samples of every split that a run uses: of those it learns from, about as many as its subset holds."""
    images = dict(whole)
    for name in LEARNING:
        if name in images:
            most = round(fraction * images[name]) if fraction > 0 else round(-fraction) * max(1, len(task.classes))
            images[name] = max(1, min(images[name], most))
    return images


def _past(record: Record, entries: Mapping[str, ModelEntry], kind: str) -> Costing:
    """Return the costing of a stored run.

    Raises:
        BenchError: its suite, its protocol or its settings are no longer known.
        KeyError: its model or its task is not known.
    """
    key = record.key
    suite, protocol = suite_catalogue.load(key.suite), lookup.noun("bench.protocols", key.protocol, Protocol)
    entry = entries.get(key.model) or model_catalogue.entries()[key.model]
    task = {task.name: task for task in suite.tasks}[key.task]
    own = {name: value for name, value in key.settings.items() if name not in ("layers", "storage")}
    settings = validate(protocol.settings, own, where=f" of protocol {key.protocol}")
    read = {name.removeprefix("n_"): int(count) for name, count in record.facts.items() if name.startswith("n_")}
    facts = key.recipe
    job = Job(
        entry=entry,
        suite=suite,
        task=task,
        recipe=InputRecipe(
            channels=(),
            absent=facts["absent"],
            masked=(),
            normalise=facts["normalise"],
            clip=None,
            size=(int(facts["size"][0]), int(facts["size"][1])),
            windows=facts["windows"],
            patch=facts["patch"],
            fold_dates=facts["fold_dates"],
            joined=facts.get("joined", False),
        ),
        channels=len(facts["bands"]),
        images=_learnt_from(suite.splits, task, key.fraction) | read,
        tests=tuple(name for name in {**suite.splits, **read} if name not in LEARNING),
    )
    named = RunFacts(
        suite=key.suite,
        task=key.task,
        protocol=key.protocol,
        fraction=key.fraction,
        architecture=entry.parent if entry.origin == "random" else entry.name,
        arm=tuple(protocol.arm_facts(settings).values()),
    )
    return costing(named, job, protocol.work(job, settings), {}, kind)
