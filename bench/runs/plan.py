"""RunConfig + entries + suite -> ordered runs, with a reason for each refusal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.catalogue.suites import select_tasks
from bench.config import RunConfig, Settings, validate
from bench.core import Band, ModelEntry, RunKey, Suite, Task
from bench.core.errors import Incompatible, MissingWeights, UnknownName
from bench.core.lookup import match as match_names
from bench.input.recipe import InputRecipe, match
from bench.protocols.contract.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: everything needed to carry it out.

    Attributes:
        key: its identity.
        entry, task, recipe: the model, the task, and how its images are prepared.
        protocol: how the model is adapted and scored.
        settings: its settings, defaults filled in.
        layers: layer patterns to probe, empty for all.
    """

    key: RunKey
    entry: ModelEntry
    task: Task
    recipe: InputRecipe
    protocol: Protocol = field(compare=False)
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
    """Plan of a sweep: its runs, refusals and unavailable models.

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


class Cell(NamedTuple):
    """One protocol with one model on one task: the part of a plan that its runs share.

    Attributes:
        task, protocol, settings: the task, the protocol's name, its settings with the defaults.
        recipe: how images become the model's input.
    """

    task: Task
    protocol: str
    recipe: InputRecipe
    settings: Settings


def make(
    config: RunConfig,
    suite: Suite,
    entries: Sequence[ModelEntry],
    protocols: Mapping[str, Protocol],
    *,
    bands: tuple[Band, ...],
    explicit: bool,
    split_hash: Callable[[Task], str],
    weights: Callable[[ModelEntry], str],
) -> Plan:
    """Return the plan of a configuration.

    Args:
        config: what was asked for.
        suite: its facts.
        entries: the models, in order.
        protocols: name -> protocol, in order.
        bands: those of the suite that are in use.
        explicit: the models were named one by one, so one that cannot be had is an error.
        split_hash: task -> hash over the ids of all its splits.
        weights: entry -> SHA-256 of its weights, ``random`` or ``none``, without fetching them; see
            `bench.catalogue.weights.WeightSources.planned_digest`.

    Raises:
        UnknownName: a task or layer that does not exist.
        MissingWeights: a model asked for by name whose weights cannot be had.
    """
    tasks = select_tasks(suite, config.tasks)
    settings = {
        name: validate(protocol.settings, config.settings.get(name, {}), where=f" of protocol {name}")
        for name, protocol in protocols.items()
    }
    check_layers(config.layers, entries)
    runs: list[Run] = []
    refused: list[Refusal] = []
    unavailable: dict[str, str] = {}
    for entry in entries:
        cells, reasons = _crossed(config, suite, entry, tasks, bands, protocols, settings)
        refused += reasons
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
        for cell in cells:
            runs += _runs(config, suite, entry, cell, protocols[cell.protocol], split_hash(cell.task), digest)
    return Plan(runs=tuple(runs), refused=tuple(refused), unavailable=unavailable, bands=bands)


def _crossed(
    config: RunConfig,
    suite: Suite,
    entry: ModelEntry,
    tasks: Sequence[Task],
    bands: tuple[Band, ...],
    protocols: Mapping[str, Protocol],
    settings: Mapping[str, Settings],
) -> tuple[list[Cell], list[Refusal]]:
    """Return the cells of one model, and the refusals of those that make no sense."""
    cells: list[Cell] = []
    refused: list[Refusal] = []
    for task in tasks:
        recipe, reason = None, ""
        try:
            recipe = match(
                entry, suite, task, bands, absent=config.absent, precision=config.precision, rgb_as=config.rgb_as
            )
        except Incompatible as error:
            reason = str(error)
        for name, protocol in protocols.items():
            if protocol.once and any(cell.protocol == name for cell in cells):
                continue
            against = reason or ("" if protocol.runs_network else lacking_layers(config.layers, entry))
            for arm in () if against or recipe is None else protocol.arms(settings[name], task):
                if not protocol.serves(entry, settings[name], arm):
                    continue
                if refusal := protocol.refuses(entry, suite, task, arm):
                    refused.append(Refusal(model=entry.name, task=task.name, protocol=name, reason=refusal))
                else:
                    assert recipe is not None
                    cells.append(Cell(task, name, recipe, arm))
            if against:
                refused.append(Refusal(model=entry.name, task=task.name, protocol=name, reason=against))
    done = {cell.protocol for cell in cells if protocols[cell.protocol].once}
    return cells, [refusal for refusal in refused if refusal.protocol not in done]


def layer_names(entry: ModelEntry) -> list[str]:
    """Return the names that layers of an entry can have, as far as its facts determine them.

    A model of two sensors can have a joint encoder on top of its `depth`; not every network has a final norm.
    """
    if entry.vectors:
        return ["embedding"]
    sensors = {band.sensor for band in entry.bands}
    deepest = entry.depth * (2 if len(sensors) > 1 else 1)
    return ["embedding", *(f"block_{i}" for i in range(1, deepest + 1)), *(["norm"] if deepest else [])]


def lacking_layers(patterns: Sequence[str], entry: ModelEntry) -> str:
    """Return why an entry cannot be probed at the layers that patterns name, or ``""``."""
    known = [*layer_names(entry), "last"]
    for pattern in patterns:
        try:
            match_names([pattern], known, kind="layer")
        except UnknownName:
            blocks = f" to block_{entry.depth}" if entry.depth > 1 else ""
            first = f", block_1{blocks}" if entry.depth else ""
            return f"{entry.name} has no layer {pattern}; it has embedding{first} (layers= takes globs, and last)"
    return ""


def check_layers(patterns: Sequence[str], entries: Sequence[ModelEntry]) -> None:
    """Find misspelt layers: those that no model has.

    Raises:
        UnknownName: a pattern that names no layer of any entry.
    """
    known = dict.fromkeys(name for entry in entries for name in layer_names(entry))
    match_names(patterns, [*known, "last"], kind="layer")


def _runs(
    config: RunConfig,
    suite: Suite,
    entry: ModelEntry,
    cell: Cell,
    protocol: Protocol,
    split_hash: str,
    weights: str,
) -> list[Run]:
    """Return the runs of a cell: one per label set, label subset and seed."""
    task, name, recipe, settings = cell
    defaults = protocol.settings()
    own: dict[str, object] = {
        key: value
        for key, value in settings.model_dump(mode="json").items()
        if value != defaults.model_dump(mode="json")[key]
    }
    if config.layers:
        own["layers"] = list(config.layers)
    if config.storage != "float16":
        own["storage"] = config.storage
    seeds = config.seeds if protocol.reads_labels or weights == "random" else ()
    runs = []
    for fraction in config.label_sets if protocol.reads_labels else (1.0,):
        for subset in range(1 if fraction == 1 else config.subsets):
            for seed in seeds or protocol.seeds:
                key = RunKey(
                    suite=suite.name,
                    suite_version=suite.version,
                    split_hash=split_hash,
                    task=task.name,
                    model=entry.name,
                    model_version=entry.version,
                    weights=weights,
                    recipe=recipe.facts(),
                    protocol=name,
                    protocol_version=protocol.version_for(suite, task, recipe, settings),
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
