"""All pairs of 2 x 13 layers by debiased linear CKA against the fastest public package and the bare products; ratios.

    python tests/benchmarks/bench_similarity.py [--rows 2048] [--width 768] [--layers 13] [--rounds 7]

Features are those of two models: a shared part with a spectrum over four decades, noise that grows with depth, and a
channel of large mean. The package is pytorch-cka (1.1.3), compared where it can be imported; it needs `torch` alone,
so ``pip install --no-deps --target DIR pytorch-cka==1.1.3`` and ``PYTHONPATH=DIR`` do. It takes one Gram matrix a
layer in float32 and clips negative values to 0, as do we for the comparison of values only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.similarity.cka_maps import cheaper_form, cka_jackknife, cka_map
from analysis.similarity.measures import linear_cka, mutual_knn, procrustes, rsa, svcca
from analysis.similarity.resampling import row_blocks
from analysis.similarity.streaming import CkaStream
from tests.builders.timing import in_turns


def layers(count: int, rows: int, width: int, seed: int) -> list[torch.Tensor]:
    """Return (rows, width) float32 features of each layer."""
    shared = torch.Generator().manual_seed(0)
    spectrum = torch.logspace(0, -2, width)
    common = torch.randn(rows, width, generator=shared) * spectrum
    own = torch.Generator().manual_seed(seed)
    stack = []
    for layer in range(count):
        turn = torch.linalg.qr(torch.randn(width, width, generator=own))[0]
        x = (common + 0.1 * layer / count * torch.randn(rows, width, generator=own) * spectrum.sqrt()) @ turn
        x[:, layer] += 20
        stack.append(x)
    return stack


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, taken in turns, after one round thrown away."""
    spent = in_turns(runs, rounds)
    return {name: statistics.median(each) for name, each in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, value in (("rows", 2048), ("width", 768), ("layers", 13), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    x, y = (layers(options.layers, options.rows, options.width, seed) for seed in (1, 2))
    plain = [layer.numpy() for layer in x], [layer.numpy() for layer in y]
    blocks = row_blocks(options.rows, 20, np.random.default_rng(0))
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: cka_map(x, y),
        "ours, numpy arrays": lambda: cka_map(*plain),
        "ours, 20-block jackknife": lambda: cka_jackknife(x, y, blocks=blocks),
        "bare Gram products": lambda: [layer @ layer.T for layer in (*x, *y)],
    }
    try:
        from cka import cka_from_features
    except ImportError as error:
        print(f"pytorch-cka cannot be imported ({error}): compared with the bare products only")
        theirs = None
    else:
        theirs = cka_from_features(torch.stack(x), torch.stack(y)).double().numpy()
        runs["pytorch-cka"] = lambda: cka_from_features(torch.stack(x), torch.stack(y))
    print(f"2 x {options.layers} layers, n = {options.rows}, p = {options.width}, {cheaper_form(x, y)} form")
    wide = [layer.double() for layer in x], [layer.double() for layer in y]
    reference = np.array([[linear_cka(layer, column) for column in wide[1]] for layer in wide[0]])
    for name, computed in (("ours", cka_map(x, y)), ("ours, numpy arrays", cka_map(*plain))):
        print(f"{name}: largest error {abs(computed - reference).max():.1e} (at most 1e-6)")
    if theirs is not None:
        print(f"pytorch-cka: largest error {abs(theirs - reference.clip(0, 1)).max():.1e}")
    # One thread first: on a machine that others use too, the wait of threads for each other drowns all else.
    every = torch.get_num_threads()
    for threads in sorted({1, every}):
        torch.set_num_threads(threads)
        with threadpool_limits(threads):
            spent = medians(runs, options.rounds)
        print(f"{threads} threads, seconds and ratio to ours:")
        for name, seconds in spent.items():
            print(f"  {name}: {seconds:.3f} s, {seconds / spent['ours']:.2f}")
    torch.set_num_threads(every)
    first, second = wide[0][3], wide[1][5]

    def stream() -> object:
        sums = CkaStream(rows_kept=0)
        for start in range(0, options.rows, 256):
            sums.add([first[start : start + 256]], [second[start : start + 256]])
        return sums.cka()

    singles: dict[str, Callable[[], object]] = {
        "linear_cka": lambda: linear_cka(first, second),
        "linear_cka streamed by 256 rows": stream,
        "procrustes": lambda: procrustes(first, second),
        "svcca": lambda: svcca(first, second, variance=0.9),
        "mutual_knn": lambda: mutual_knn(first, second),
        "rsa": lambda: rsa(first, second),
        "bare": lambda: (first.T @ second, first.T @ first, second.T @ second),
    }
    of_one = medians(singles, 3)
    print("one pair in float64, over the three bare products of the feature form:")
    print(", ".join(f"{name} {seconds / of_one['bare']:.1f}" for name, seconds in of_one.items() if name != "bare"))


if __name__ == "__main__":
    main()
