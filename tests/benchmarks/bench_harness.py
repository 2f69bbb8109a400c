"""What the harness itself costs: a finished run again, listings, and memory that does not grow with the split.

python tests/benchmarks/bench_harness.py [--rows 100000]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.catalogue import models as model_catalogue
from bench.catalogue.suites import load as load_suite
from bench.catalogue.suites import select_bands
from bench.core import Layer, Record, Sample, Tap
from bench.features.extraction import Pass, extract
from bench.input.splits import Splits
from bench.protocols import knn, probe
from bench.runs import plan as planning
from bench.store import FeatureCache, Store
from suites.reading.samples import Samples
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite

COMMAND = str(Path(sys.executable).with_name("geobench-run"))


def timed(*words: str) -> float:
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - start


def listings() -> None:
    floor = min(timed(sys.executable, "-c", "import numpy, pydantic, rich.table, omegaconf") for _ in range(3))
    for words in ((COMMAND, "suite=demo", "--dry"), (COMMAND.replace("run", "list"), "models"), (COMMAND, "--help")):
        spent = min(timed(*words) for _ in range(3))
        name = " ".join([Path(words[0]).name, *words[1:]])
        print(f"{name}: {spent:.2f} s (under 1 s), {spent / floor:.1f} x its imports")


def again() -> None:
    """A finished run of 1,000 cells: records like those of a real one, then the command as a user types it."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "suite=demo",
            "models=[image_stats,rcf]",
            "tasks=[landcover,biomass]",
            "fractions=[0.1,0.25,0.5,0.75,0.9]",
            "subsets=5",
            "seeds=[0,1,2,3,4]",
            f"results={folder}",
            "protocols=[probe,knn]",
        ]
        from bench.config import run_config

        config = run_config(words, ["probe", "knn"])
        suite = load_suite("demo")
        data = Splits(suite=suite, root=Path())
        entries = [model_catalogue.entries()[name] for name in ("image_stats", "rcf")]
        bands = select_bands(suite, ())
        planned = planning.make(
            config,
            suite,
            entries,
            {"probe": probe.PROTOCOL, "knn": knn.PROTOCOL},
            bands=bands,
            explicit=True,
            split_hash=lambda task: data.split_hash(task, bands),
            weights=lambda entry: "none",
        )
        store, rng = Store(Path(folder)), np.random.default_rng(0)
        for run in planned.runs:
            store.put(*made_up(run, data, rng))
        first = timed(COMMAND, *words)
        spent = timed(COMMAND, *words)
        print(
            f"{len(planned.runs)} finished cells: {first:.2f} s with the report drawn, {spent:.2f} s again (under 5 s)"
        )


def made_up(run, data: Splits, rng: np.random.Generator) -> tuple[Record, dict[str, np.ndarray]]:
    from bench.runs.provenance import facts

    split = data.split(run.task, "test", run.recipe.reads)
    target = split.targets()
    regression = run.task.kind == "regression"
    predicted = target + rng.normal(size=target.shape) if regression else rng.permutation(target)
    row = {"layer": "embedding", "depth": 0.0, "pool": "mean", "setting": 1.0, "edge": False, "val": 0.5, "test": 0.5}
    arrays = {
        "test.prediction": predicted[None].astype(np.float32 if regression else np.int16),
        "test.target": target,
        "test.ids": np.array(split.ids),
        "test.blocks": np.array(split.blocks),
    }
    record = Record(
        key=run.key,
        status="ok",
        facts={**facts(run, data.suite), "n_test": len(target), "n_train": 64},
        scores={"test": {rule: {run.task.metric: 0.5} for rule in ("last", "best-on-val")}},
        choices={rule: {"index": 0, **row} for rule in ("last", "best-on-val")},
        curves=[row],
        arrays=sorted(arrays),
    )
    return record, arrays


class Wide(torch.nn.Module):
    """Thirteen layers of 384 channels, at no cost."""

    layers = tuple(Layer(name=f"block_{i}", channels=384, stride=16, depth=i / 12) for i in range(13))

    def forward(self, images, layers, *, when=None, where=None):
        x = images["s2"][:, 0].mean((1, 2, 3))
        value = x[:, None] + torch.arange(384.0)
        return [Tap((value + index)[..., None, None], value + index) for index in layers]


def memory(rows: int) -> None:
    """Peak memory of extraction for a small and a large split."""
    peaks = {}
    for count in (rows // 100, rows):
        code = f"from tests.benchmarks.bench_harness import extraction; extraction({count})"
        out = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
        )
        peaks[count] = float(out.stdout.split()[-1])
    small, large = peaks.values()
    print(
        f"peak memory of extraction: {small:.2f} GB at {rows // 100:,} images, {large:.2f} GB at {rows:,} x 13 x 384 "
        f"(under 2), ratio {large / small:.2f}"
    )


def extraction(count: int) -> None:
    image = np.full((1, 2, 16, 16), 1500, np.float32)
    split = Samples(
        ids=[str(i) for i in range(count)],
        blocks=[str(i) for i in range(count)],
        read=lambda i: Sample(images={"s2": image + i}, target=0),
        read_targets=lambda: np.zeros(count, int),
    )
    from bench.input.recipe import match

    suite = toy_suite()
    job = Pass(
        facts={"model": "wide"},
        split_name="train",
        split=split,
        recipe=match(toy_entry(), suite, suite.tasks[0], BANDS),
        dense=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        extract(job, Wide, FeatureCache(Path(folder)), {}, device="cpu", batch=256, workers=2)
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    listings()
    memory(parser.parse_args().rows)
    again()


if __name__ == "__main__":
    main()
