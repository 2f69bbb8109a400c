"""A small sweep over the toy suite in a process of its own, to be killed, doubled and compared."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.catalogue.weights import WeightSources
from bench.config import RunConfig
from bench.executors.process import execute
from bench.input.splits import Splits
from bench.protocols import knn, probe
from bench.runs import plan as planning
from bench.runs.session import Session
from bench.store import FeatureCache, Store
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite


def slow(entry, weights, seed, bands):
    from tests.builders.suite_and_model import load_toy

    backbone = load_toy(entry, weights, seed, bands)
    inner = backbone.forward

    def forward(*arguments, **more):
        time.sleep(0.02)
        return inner(*arguments, **more)

    backbone.forward = forward
    return backbone


def main(folder: Path) -> None:
    suite, entry = toy_suite(), toy_entry(load=slow)
    config = RunConfig(
        suite="toy",
        fractions=(0.2, 1.0),
        subsets=2,
        results=folder / "results",
        batch=8,
        settings={"probe": {"c": (0.1, 1.0), "alpha": (1.0, 10.0), "steps": 20}},
    )
    data = Splits(suite=suite, root=folder)
    planned = planning.make(
        config,
        suite,
        [entry],
        {"probe": probe.PROTOCOL, "knn": knn.PROTOCOL},
        bands=BANDS,
        explicit=True,
        split_hash=lambda task: data.split_hash(task, BANDS),
        weights=lambda entry: "none",
    )
    session = Session(
        config=config,
        data=data,
        store=Store(config.results),
        cache=FeatureCache(folder / "cache"),
        shelf=WeightSources(folder=None, cache=folder / "cache"),
        device="cpu",
    )
    for _, record, done in execute(planned, session):
        sys.stdout.write(f"{record.digest} {record.status} {'done' if done else 'stored'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
