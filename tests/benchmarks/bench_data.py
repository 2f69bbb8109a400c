"""Reading and preparing samples against running a ViT-S/16 on them, on the same cores in one run; prints ratios.

What is read is real where the real data are at hand (EuroSAT RGB, Sen1Floods11), and the generated demo. The first pass
over the files is thrown away, so that they are in the system's cache: a warm run, as every later pass is.

    python tests/benchmarks/bench_data.py [--images 192]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.catalogue.suites import select_bands
from bench.features.extraction import read_ahead
from bench.input.prepare import prepare
from bench.input.recipe import match
from bench.input.windows import window_grid

NETWORK = "imagenet_vit_small.random"


def ratio(name: str, root: Path, images: int) -> None:
    """Print seconds of reading and preparing over seconds of the network, for one suite."""
    suite = suite_catalogue.load(name)
    task, bands = suite.tasks[0], select_bands(suite, ())
    entry = model_catalogue.entries()["rcf" if "s2.b04" not in {band.name for band in bands} else NETWORK]
    recipe = match(entry, suite, task, bands)
    split = suite.open(root, task.name, "train", recipe.reads)
    count = min(images, len(split))

    def read() -> float:
        start = time.perf_counter()
        done = 0
        for _, samples in read_ahead(split, 0, 32, 2):
            stacked = {
                sensor: torch.from_numpy(np.stack([sample.images[sensor] for sample in samples]))
                for sensor in samples[0].images
            }
            prepare(stacked, recipe, {band.name: (0.0, 1.0) for band in recipe.reads})
            done += len(samples)
            if done >= count:
                break
        return (time.perf_counter() - start) / done

    read()
    data = read()
    vit = model_catalogue.entries()[NETWORK]
    network = vit.load(vit, None, 0, vit.bands)
    pixels = {"rgb": torch.randn(32, 1, 3, 224, 224)}
    with torch.inference_mode():
        network(pixels, [13])
        start = time.perf_counter()
        for _ in range(3):
            network(pixels, [13])
        model = (time.perf_counter() - start) / 96
    # An image larger than the network's input is covered by overlapping windows, as the harness does for masks.
    windows = 1
    if task.dense and max(suite.image_size) > 224:
        windows = len(
            window_grid(dataclasses.replace(recipe, size=(224, 224), patch=16, windows=True), suite.image_size)
        )
    model *= windows
    print(
        f"{name:14s} data {1e3 * data:6.2f} ms, ViT-S/16 {1e3 * model:6.2f} ms an image of "
        f"{windows} windows: ratio {data / model:.3f} (at most 0.2)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=192)
    images = parser.parse_args().images
    shared = Path(os.environ.get("GEOBENCH_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    real = [name for name in ("eurosat_rgb", "sen1floods11") if (shared / name).is_dir()]
    for name in [*real, "demo"]:
        ratio(name, shared, images)


if __name__ == "__main__":
    main()
