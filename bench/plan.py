"""RunConfig + entries + suite -> ordered runs, with a reason for each refusal and an estimate of the cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from bench.bands import Recipe, match
from bench.config import RunConfig, Settings, validate
from bench.core import Band, ModelEntry, RunKey, Suite, Task
from bench.errors import Incompatible, MissingWeights
from bench.lookup import match as match_names
from bench.prepare import window_grid

TO_BE_FETCHED = "to be fetched from "
"""Stands before the URL where a dry plan would have the hash of weights that are not here yet."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One cell of the cross: everything needed to carry it out.

    Attributes:
        key: its identity.
        entry, task, recipe: who, on what, seen how.
        protocol: the protocol's module.
        settings: its settings, defaults filled in.
        layers: layer patterns to probe, empty for all.
    """

    key: RunKey
    entry: ModelEntry
    task: Task
    recipe: Recipe
    protocol: ModuleType = field(compare=False)
    settings: Settings
    layers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A pair that will not run, and why."""

    model: str
    task: str
    protocol: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done.

    Attributes:
        runs: ordered by model, so that each is loaded once.
        refused: pairs that make no sense, with the reason.
        unavailable: model -> how to get its weights.
        bands: the suite's bands in use.
    """

    runs: tuple[Run, ...]
    refused: tuple[Refusal, ...]
    unavailable: Mapping[str, str]
    bands: tuple[Band, ...]


def select_bands(suite: Suite, patterns: Sequence[str]) -> tuple[Band, ...]:
    """Return the bands that patterns name (the suite's default if there are none); a bare sensor means all of its own.

    Raises:
        UnknownName: a pattern that names no band of the suite.
    """
    names = [band.name for band in suite.bands]
    sensors = {band.sensor for band in suite.bands}
    words = [f"{word}.*" if word in sensors else word for word in (patterns or suite.default_bands or ("*",))]
    chosen = set(match_names(words, names, kind=f"band of {suite.name}"))
    return tuple(band for band in suite.bands if band.name in chosen)


def select_tasks(suite: Suite, patterns: Sequence[str]) -> list[Task]:
    """Return the tasks that patterns name, all if there are none."""
    names = match_names(patterns or ("*",), [task.name for task in suite.tasks], kind=f"task of {suite.name}")
    return [task for task in suite.tasks if task.name in names]


def make(
    config: RunConfig,
    suite: Suite,
    entries: Sequence[ModelEntry],
    protocols: Mapping[str, ModuleType],
    *,
    explicit: bool,
    split_hash: Callable[[Task], str],
    weights: Callable[[ModelEntry], str],
) -> Plan:
    """Return the plan of a configuration.

    Args:
        config: what was asked for.
        suite: its facts.
        entries: the models, in order.
        protocols: name -> module, in order.
        explicit: the models were named one by one, so one that cannot be had is an error.
        split_hash: task -> hash over the ids of all its splits.
        weights: entry -> SHA-256 of its weights, ``random`` or ``none``; may fetch them.

    Raises:
        UnknownName: a task, band or layer that does not exist.
        MissingWeights: a model asked for by name whose weights cannot be had.
    """
    bands, tasks = select_bands(suite, config.bands), select_tasks(suite, config.tasks)
    settings = {
        name: validate(module.Settings, config.settings.get(name, {}), where=f" of protocol {name}")
        for name, module in protocols.items()
    }
    _check_layers(config.layers, entries)
    runs: list[Run] = []
    refused: list[Refusal] = []
    unavailable: dict[str, str] = {}
    for entry in entries:
        cells: list[tuple[Task, str, Recipe, Settings]] = []
        for task in tasks:
            for name, module in protocols.items():
                try:
                    recipe = match(
                        entry,
                        suite,
                        task,
                        bands,
                        absent=config.absent,
                        precision=config.precision,
                        rgb_as=config.rgb_as,
                    )
                except Incompatible as error:
                    refused.append(Refusal(model=entry.name, task=task.name, protocol=name, reason=str(error)))
                    continue
                for arm in module.arms(settings[name], task) if hasattr(module, "arms") else [settings[name]]:
                    if reason := module.refuses(entry, suite, task, arm):
                        refused.append(Refusal(model=entry.name, task=task.name, protocol=name, reason=reason))
                    else:
                        cells.append((task, name, recipe, arm))
        if not cells:
            continue
        if not explicit and entry.parent in unavailable and entry.origin == "random":
            continue  # the twin of a model that is not in the comparison controls nothing
        try:
            digest = weights(entry)
        except MissingWeights as error:
            if explicit:
                raise
            unavailable[entry.name] = str(error)
            continue
        for task, name, recipe, arm in cells:
            runs += _cells(config, suite, entry, task, recipe, protocols[name], arm, split_hash(task), digest)
    return Plan(runs=tuple(runs), refused=tuple(refused), unavailable=unavailable, bands=bands)


def _check_layers(patterns: Sequence[str], entries: Sequence[ModelEntry]) -> None:
    """Find misspelt layers before anything runs; what a single model lacks it says itself, when it is loaded.

    A two-sensor model has a joint encoder on top of its `depth`, hence the factor.
    """
    deepest = 2 * max((entry.depth for entry in entries), default=1)
    known = ["embedding", *(f"block_{i}" for i in range(1, deepest + 1)), "norm", "last"]
    match_names(patterns, known, kind="layer")


def _cells(
    config: RunConfig,
    suite: Suite,
    entry: ModelEntry,
    task: Task,
    recipe: Recipe,
    protocol: ModuleType,
    settings: Settings,
    split_hash: str,
    weights: str,
) -> list[Run]:
    defaults = protocol.Settings()
    own: dict[str, Any] = {
        key: value
        for key, value in settings.model_dump(mode="json").items()
        if value != defaults.model_dump(mode="json")[key]
    }
    if config.layers:
        own["layers"] = list(config.layers)
    if config.storage != "float16":
        own["storage"] = config.storage
    runs = []
    labelled = getattr(protocol, "LABELS", True)
    for fraction in config.label_sets if labelled else (1.0,):
        for subset in range(1 if fraction == 1 else config.subsets):
            for seed in (config.seeds if labelled or weights == "random" else ()) or getattr(protocol, "SEEDS", (0,)):
                key = RunKey(
                    suite=suite.name,
                    suite_version=suite.version,
                    split_hash=split_hash,
                    task=task.name,
                    model=entry.name,
                    model_version=entry.version,
                    weights=weights,
                    recipe=recipe.facts(),
                    protocol=protocol.__name__.rpartition(".")[2],
                    protocol_version=protocol.VERSION,
                    settings=own,
                    fraction=fraction,
                    subset=subset,
                    seed=seed,
                )
                runs.append(
                    Run(
                        key=key,
                        entry=entry,
                        task=task,
                        recipe=recipe,
                        protocol=protocol,
                        settings=settings,
                        layers=config.layers,
                    )
                )
    return runs


def passes(suite: Suite, runs: Sequence[Run], images: int) -> dict[tuple[str, int, bool], float]:
    """Return the backbone passes that runs need, each counted once: (model, seed, dense) -> multiply-adds.

    A pass of a transformer costs about one multiply-add a parameter and token.

    Args:
        suite: gives the size of an image.
        runs: those still to do.
        images: number of images of all splits.
    """
    costs: dict[tuple[str, int, bool], float] = {}
    for run in runs:
        seed = run.key.seed if run.key.weights in ("random", "none") else 0
        tokens = max(1, run.recipe.size[0] // run.recipe.patch) * max(1, run.recipe.size[1] // run.recipe.patch)
        windows = len(window_grid(run.recipe, suite.image_size))
        dates = max(1, suite.dates) if run.recipe.fold_dates else 1
        costs[run.entry.name, seed, run.task.dense] = float(images) * dates * windows * tokens * run.entry.parameters
    return costs
