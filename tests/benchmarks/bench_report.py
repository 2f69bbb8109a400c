"""Seconds and peak memory of a whole report of 10,000 records, from a store on disk, with its helping processes.

The records are generated (`tests.builders.records`): suites x tasks x models x (probe and kNN at fractions and subsets,
fine-tuned arms and seeds). They are made once and kept where asked.

    python tests/benchmarks/bench_report.py [--records 10000] [--suites 1|3] [--at DIR] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.report.write import write_reports
from bench.core import Record
from bench.store import Store
from tests.builders.records import MODELS, TASKS, Model, make, make_arm

SUITES = ("orchard", "meadow", "heath")
REPEATS = 3  # of 3,360 records each: as many suites, or as many seeds in one suite
FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5)
SUBSETS = 5
SEEDS = 3


def models() -> list[Model]:
    """Sixteen models: those of the fixtures and more like them."""
    more = [Model(f"elm_{i}", 0.7 + 0.015 * i, 0.3 + 0.06 * i, 14, parameters=10**7 * (i + 1)) for i in range(9)]
    return [*MODELS, *more]


def repeated(store: Store, record: Record, arrays: dict[str, np.ndarray], suites: int, subsets: int = 1) -> int:
    """Store a record once a repeat and subset, under keys of their own: reading equal outcomes costs the same."""
    for repeat in range(REPEATS):
        for subset in range(subsets):
            seed = record.key.seed + 10 * (repeat // suites)
            key = replace(record.key, suite=SUITES[repeat % suites], subset=subset, seed=seed)
            store.put(replace(record, key=key), arrays)
    return REPEATS * subsets


def fill(root: Path, wanted: int, suites: int) -> int:
    """Put so many records below root; return how many there are."""
    store, count = Store(root), 0
    for model in models():
        for task in TASKS:
            for protocol in ("probe", "knn"):
                for fraction in (*FRACTIONS, 1.0):
                    record, arrays = make(model, task, protocol=protocol, fraction=fraction)
                    count += repeated(store, record, arrays, suites, SUBSETS if fraction < 1 else 1)
            for decoder in ("linear", "upernet"):
                for tuning in ("frozen", "lora", "full"):
                    for seed in range(SEEDS):
                        record, arrays = make_arm(model, task, decoder=decoder, tuning=tuning, seed=seed)
                        count += repeated(store, record, arrays, suites)
            if count >= wanted:
                return count
    return count


def main() -> None:
    """Print seconds and peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--suites", type=int, default=1, choices=(1, 3))
    parser.add_argument("--at", type=Path)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    root = given.at or Path(tempfile.mkdtemp())
    try:
        count = len(list(root.glob("*/records/*.json"))) or fill(root, given.records, given.suites)
        profile = cProfile.Profile()
        start, worked = time.perf_counter(), time.process_time()
        if given.profile:
            profile.enable()
        paths = write_reports(Store(root), root)
        if given.profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
        seconds, processor = time.perf_counter() - start, time.process_time() - worked
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        beside = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"{count} records, {len(paths)} files: {seconds:.1f} s, peak memory {peak:.2f} GiB")
        print(
            f"{processor:.1f} s of processor time here; the largest process beside {beside:.2f} GiB, much of it shared"
        )
    finally:
        if given.at is None:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
