"""Tokenising a network's weights against a memcpy of the same bytes, on one core and in one run; ratios.

python tests/benchmarks/bench_tokens.py [--network vit_base_patch16_224] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.foundry.tokens.codec import detokenise, tokenise
from bench.foundry.tokens.dense import dense_tokens
from tests.builders.timing import in_turns


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="vit_base_patch16_224")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    state = timm.create_model(options.network).state_dict()
    size = sum(value.numel() * value.element_size() for value in state.values())
    source = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    plain, power = tokenise(state), tokenise(state, scale="power")
    runs: dict[str, Callable[[], object]] = {
        "memcpy": source.copy,
        "tokenise, scale=none": lambda: tokenise(state),
        "tokenise, scale=power": lambda: tokenise(state, scale="power"),
        "tokenise, scale=moments": lambda: tokenise(state, scale="moments"),
        "detokenise, scale=none": lambda: detokenise(plain),
        "detokenise, scale=power": lambda: detokenise(power),
        "published tokens": lambda: dense_tokens(state),
    }
    spent = in_turns(runs, options.rounds)
    print(f"{options.network}: {size / 1e6:.0f} MB of weights, one core; GB/s, and seconds over those of the memcpy")
    for name, seconds in spent.items():
        ratio = statistics.median(ours / copy for ours, copy in zip(seconds, spent["memcpy"], strict=True))
        print(f"  {name}: {size / 1e9 / statistics.median(seconds):.2f} GB/s, {ratio:.2f}")


if __name__ == "__main__":
    main()
