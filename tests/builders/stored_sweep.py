"""A small sweep over the toy suite in this process that leaves one of every kind of stored file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.catalogue.weights import WeightSources
from bench.config import RunConfig
from bench.core import ModelEntry, Normalise
from bench.executors.process import execute
from bench.input.splits import Splits
from bench.protocols import finetune, knn, probe
from bench.runs import plan as planning
from bench.runs.session import Session
from bench.store import FeatureCache, Store
from tests.builders.suite_and_model import BANDS, ToySplit, toy_entry, toy_suite, toy_weights

MACHINE_BOUND = ("cost", "environment", "checksum")
COUNT = {"train": 24, "val": 12, "test": 16}
PROTOCOLS = {"knn": knn.PROTOCOL, "probe": probe.PROTOCOL, "finetune": finetune.PROTOCOL}
SETTINGS: dict[str, dict[str, Any]] = {
    "probe": {"c": (1.0,), "steps": 5},
    "finetune": {"steps": 4, "evaluations": 2, "learning_rates": (0.01,), "keep": True, "decoders": ("linear",)},
}


def entry() -> ModelEntry:
    return toy_entry(normalise=Normalise(kind="dataset"), weights=toy_weights())


def small_suite():
    def open_split(root, task, split, bands):
        return ToySplit(task, split, COUNT[split], bands)

    return toy_suite(open=open_split, splits=COUNT)


def sweep(folder: Path) -> dict[str, str]:
    """Carry out what is not stored below a folder; return digest -> ``done``, ``stored`` or the error."""
    ended = execute(*prepared(folder))
    return {record.digest: record.error or ("done" if done else "stored") for _, record, done in ended}


def prepared(folder: Path) -> tuple[planning.Plan, Session]:
    """Return the plan of the sweep below a folder, and its session."""
    suite, model = small_suite(), entry()
    weights = folder / "cache" / "weights" / "toy" / "model.bin"
    if not weights.parent.exists():
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"weights of the toy model " * 40)
    config = RunConfig(
        suite="toy",
        tasks=("kind",),
        fractions=(0.5, 1.0),
        subsets=1,
        seeds=(0,),
        results=folder / "results",
        settings=SETTINGS,
    )
    data = Splits(suite=suite, root=folder)
    shelf = WeightSources(folder=None, cache=folder / "cache")
    plan = planning.make(
        config,
        suite,
        [model],
        PROTOCOLS,
        bands=BANDS,
        explicit=True,
        split_hash=lambda task: data.split_hash(task, BANDS),
        weights=shelf.planned_digest,
    )
    session = Session(
        config=config,
        data=data,
        store=Store(config.results),
        cache=FeatureCache(folder / "cache"),
        shelf=shelf,
        device="cpu",
    )
    return plan, session


def outcomes(folder: Path) -> dict[str, Any]:
    """Return what a sweep has left that is the same on every machine: records, arrays, label subsets."""
    contents: dict[str, Any] = {}
    for path in sorted((folder / "results" / "toy" / "records").glob("*.json")):
        content = {name: value for name, value in json.loads(path.read_text()).items() if name not in MACHINE_BOUND}
        contents[path.stem] = {**content, "npz": path.with_suffix(".npz").read_bytes()}
    for path in sorted((folder / "results" / "toy" / "subsets").glob("*.txt")):
        contents[path.name] = path.read_text()
    return contents
