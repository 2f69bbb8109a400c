"""Resolved: a configuration with everything that it names looked up."""

from __future__ import annotations

from dataclasses import dataclass

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.catalogue.suites import select_bands
from bench.catalogue.weights import WeightSources
from bench.config import RunConfig, Settings, validate
from bench.core import Band, ModelEntry, Suite, lookup
from bench.core.errors import BadSetting
from bench.executors.contract.executor import Executor
from bench.protocols.contract.protocol import Protocol
from bench.store import FeatureCache, Store, default_cache


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
    executor: Executor
    placement: Settings


def resolve(config: RunConfig) -> Resolved:
    """Return a configuration's suite, models, protocols and places.

    Raises:
        UnknownName: one of the names does not exist.
        BadSetting: the executor is not installed, or lacks what is asked for.
    """
    executor, placement = executor_of(config)
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
        executor=executor,
        placement=placement,
    )


def executor_of(config: RunConfig) -> tuple[Executor, Settings]:
    """Return the executor of a configuration with its settings, after asking whether it can be had.

    Raises:
        UnknownName: there is no such executor or setting.
        BadSetting: settings of another executor are given, or it is not installed, or lacks what is asked for.
    """
    executor = lookup.noun("bench.executors", config.executor, Executor)
    for name, given in config.placement.items():
        if given and name != config.executor:
            word = f"{name}.{next(iter(given))}"
            raise BadSetting(f"{word} is given, but executor={config.executor}: add executor={name}")
    own = config.placement.get(config.executor, {})
    settings = validate(executor.settings, own, where=f" of executor {config.executor}")
    executor.check(settings)
    if executor.watched and config.devices > 1:
        raise BadSetting(f"devices={config.devices} with executor={config.executor}: train together in one process")
    return executor, settings
