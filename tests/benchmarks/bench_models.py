"""Throughput of wrapped models, every layer tapped, against the bare network on the same batch; prints ratios.

Both sides run in turn, and the median of the rounds' ratios counts: the speed of a shared machine drifts, but little
from one call to the next. At random init: weights do not change the cost.

    python tests/benchmarks/bench_models.py [--batch 8] [--rounds 12] [names ...]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.catalogue import models as model_catalogue
from bench.networks.backbones import stack_sensors

# How the bare network is called, by the adapter: with the wrapped model and its images.
BARE: dict[str, Callable[[Any, dict[str, torch.Tensor]], object]] = {
    "ssl4eo_moco_small": lambda b, x: b.network.forward_features(x["s2"][:, 0]),
    "imagenet_resnet50": lambda b, x: b.network.forward_features(x["rgb"][:, 0]),
    "imagenet_convnext_tiny": lambda b, x: b.network.forward_features(x["rgb"][:, 0]),
    "imagenet_swin_tiny": lambda b, x: b.network.forward_features(x["rgb"][:, 0]),
    "imagenet_mobilenet_large": lambda b, x: b.network.blocks(b.network.bn1(b.network.conv_stem(x["rgb"][:, 0]))),
    "satlas_swin_tiny": lambda b, x: b.network.norm(b.network.features(x["s2"][:, 0])),
    "dinov2_small": lambda b, x: b.network.forward_features(x["rgb"][:, 0]),
    "dinov3_small": lambda b, x: b.network.forward_features(x["rgb"][:, 0]),
    "dofa_base": lambda b, x: b.network.forward_features(stack_sensors(x, b.bands), b.wavelengths.tolist()),
}


def ratio(name: str, batch: int, rounds: int) -> float:
    """Return the seconds of the wrapped model over those of the bare one."""
    entry = model_catalogue.entries()[name]
    bands = entry.bands[:3] if entry.any_bands else entry.bands
    backbone: Any = entry.load(entry, None, 0, bands)
    sensor = bands[0].sensor
    images = {sensor: torch.randn(batch, 1, len(bands), entry.image_size, entry.image_size)}
    layers = range(len(backbone.layers))
    sides = (lambda: backbone(images, layers), lambda: BARE[name](backbone, images))
    seconds = []
    with torch.inference_mode():
        for turn in range(rounds + 1):
            spent = [0.0, 0.0]
            for side in (0, 1) if turn % 2 else (1, 0):
                start = time.perf_counter()
                sides[side]()
                spent[side] = time.perf_counter() - start
            seconds.append(spent)
    # The first round warms up. Rounds come in pairs, one in each order.
    ratios = [wrapped / bare for wrapped, bare in seconds[1:]]
    median = statistics.median(ratios)
    fastest = [batch / min(side) for side in zip(*seconds[1:], strict=True)]
    print(
        f"{name:26s} wrapped {fastest[0]:7.1f} images/s, bare {fastest[1]:7.1f}, "
        f"ratio of seconds {median:.3f} (at most 1.03; rounds from {min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )
    return median


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("names", nargs="*", default=list(BARE))
    given = parser.parse_args()
    ratios = [ratio(name, given.batch, given.rounds) for name in given.names]
    print(f"largest ratio {max(ratios):.3f}")


if __name__ == "__main__":
    main()
