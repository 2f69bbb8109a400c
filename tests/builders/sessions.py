"""Sessions and runs over the toy suite, without a command line."""

from __future__ import annotations

from bench.catalogue.weights import WeightSources
from bench.config import RunConfig
from bench.core import RunKey
from bench.input.recipe import match
from bench.input.splits import Splits
from bench.protocols import probe
from bench.runs.plan import Run
from bench.runs.session import Session
from bench.store import FeatureCache, Store
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite

SUITE, ENTRY = toy_suite(), toy_entry()


def new_session(folder, suite=SUITE, **more):
    return Session(
        config=RunConfig(suite="toy", **more),
        data=Splits(suite=suite, root=folder),
        store=Store(folder / "results"),
        cache=FeatureCache(folder / "cache"),
        shelf=WeightSources(folder=None, cache=folder / "cache"),
        device="cpu",
    )


def a_run(task: int = 0, protocol=probe, entry=ENTRY, suite=SUITE, layers=(), fraction=1.0, **settings) -> Run:
    chosen = suite.tasks[task]
    recipe = match(entry, suite, chosen, BANDS)
    key = RunKey(
        suite=suite.name,
        suite_version=1,
        split_hash="x",
        task=chosen.name,
        model=entry.name,
        model_version=1,
        weights="none",
        recipe=recipe.facts(),
        protocol=protocol.__name__.rpartition(".")[2],
        protocol_version=protocol.PROTOCOL.version_for(suite, chosen, recipe, protocol.Settings(**settings)),
        settings=settings,
        fraction=fraction,
        subset=0,
        seed=0,
    )
    return Run(
        key=key,
        entry=entry,
        task=chosen,
        recipe=recipe,
        protocol=protocol.PROTOCOL,
        settings=protocol.Settings(**settings),
        layers=layers,
    )
