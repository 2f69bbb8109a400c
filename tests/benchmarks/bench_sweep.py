"""Layer sweep against one bare forward pass of the same images, both in one run; prints ratios.

A 12-block ViT-S/16 at 224 pixels, 2,000 images of 10 classes. Ours is the whole of it: reading, resizing, the pass, the
store, then every layer x 3 pools x 21 values of C, chosen on validation and scored on test; then 6 label fractions x 5
subsets on top. All labels are one subset, not five, and the embedding has no class token: that makes 21,840 fits of the
24,570 that 13 layers x 3 pools x 21 x 30 would be. Images are EuroSAT RGB where the real data are at hand, else the
generated demo tiles.

    python tests/benchmarks/bench_sweep.py [--images 2000]
"""

from __future__ import annotations

import argparse
import os
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
from bench.catalogue.weights import WeightSources
from bench.config import RunConfig
from bench.core import Suite
from bench.executors.process import execute
from bench.input.prepare import prepare
from bench.input.recipe import match
from bench.input.splits import Splits
from bench.protocols import probe
from bench.runs import plan as planning
from bench.runs.session import Session
from bench.store import FeatureCache, Store
from suites.reading.samples import Samples

FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def thinned(suite: Suite, images: int) -> Suite:
    """Return the suite with so many images in all, every class in its share."""
    inner = suite.open

    def open_split(root, task, split, bands):
        whole = inner(root, task, split, bands)
        labels = whole.targets()
        want = int(images * SHARES[split])
        order = np.concatenate([np.flatnonzero(labels == k)[: -(-want // 10)] for k in np.unique(labels)])
        rows = np.sort(order)[:want]
        return Samples(
            ids=[whole.ids[i] for i in rows],
            blocks=[whole.blocks[i] for i in rows],
            read=lambda i: whole[rows[i]],
            read_targets=lambda: labels[rows],
        )

    import dataclasses

    return dataclasses.replace(suite, open=open_split)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=2000)
    images = parser.parse_args().images
    shared = Path(os.environ.get("GEOBENCH_SHARED", Path(__file__).parents[3] / "shared"))
    real = (shared / "data" / "eurosat_rgb").is_dir()
    suite = thinned(load_suite("eurosat_rgb" if real else "demo"), images)
    print(f"{images} images of {suite.name}{'' if real else ' (generated data)'}, {torch.get_num_threads()} threads")
    entry = model_catalogue.entries()["imagenet_vit_small.random"]
    bands, task = select_bands(suite, ()), suite.tasks[0]
    recipe = match(entry, suite, task, bands)
    data = Splits(suite=suite, root=shared / "data")
    splits = [data.split(task, name, recipe.reads) for name in ("train", "val", "test")]
    ready = torch.cat(
        [
            prepare(
                {
                    "s2": torch.from_numpy(
                        np.stack([split[i].images["s2"] for i in range(start, min(start + 32, len(split)))])
                    )
                },
                recipe,
                {},
            )["rgb"]
            for split in splits
            for start in range(0, len(split), 32)
        ]
    )
    backbone = entry.load(entry, None, 0, recipe.bands)
    network = backbone.network
    with torch.inference_mode():
        network(ready[:32, 0])
        start = time.perf_counter()
        for first in range(0, len(ready), 32):
            network(ready[first : first + 32, 0])
        bare = time.perf_counter() - start
    del ready
    print(f"bare forward pass: {bare:.1f} s ({images / bare:.1f} images/s)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        spent, fits = 0.0, 0
        for fractions in ((1.0,), FRACTIONS):
            config = RunConfig(suite=suite.name, models=(entry.name,), fractions=fractions, results=Path(folder))
            planned = planning.make(
                config,
                suite,
                [entry],
                {"probe": probe.PROTOCOL},
                bands=bands,
                explicit=True,
                split_hash=lambda task: "x",
                weights=lambda entry: "random",
            )
            session = Session(
                config=config,
                data=data,
                store=Store(Path(folder)),
                cache=FeatureCache(Path(folder)),
                shelf=WeightSources(folder=None, cache=Path(folder)),
                device="cpu",
            )
            start = time.perf_counter()
            done = [record for _, record, new in execute(planned, session) if new]
            spent += time.perf_counter() - start
            assert all(record.status == "ok" for record in done), [record.error for record in done]
            fits += int(sum(record.cost["fits"] for record in done))
            extraction = sum(record.cost["extraction_seconds"] for record in done)
            target = 1.5 if len(fractions) == 1 else 3.0
            print(
                f"fractions {fractions}: {fits:,} fits, {spent:.1f} s in all ({extraction:.1f} s of it extraction), "
                f"ratio to the bare pass {spent / bare:.2f} (at most {target})",
                flush=True,
            )
            for record in done[-1:]:
                print(
                    f"  {record.key.fraction:g} of labels: last {record.scores['test']['last']['accuracy']:.3f}, "
                    f"best on val {record.scores['test']['best-on-val']['accuracy']:.3f}"
                )
        cells = 13 * 3 * (1 + 5 * 5)
        print(f"over re-running the backbone for each of {cells} cells: 1/{cells * bare / spent:.0f} (under 1/50)")


if __name__ == "__main__":
    main()
