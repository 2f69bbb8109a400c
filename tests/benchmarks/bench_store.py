"""Opening a feature set that this machine has verified, against the first opening, which reads every file in full.

Both are done by a fresh `FeatureCache`, as a new process does them, from the system's cache of files: what a disk adds
makes the ratio larger.

    python tests/benchmarks/bench_store.py [--megabytes 1024]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.store import FeatureCache

LAYERS, WIDTH, KEY = 13, 768, {"benchmark": "store"}


def seconds_to_open(folder: Path) -> float:
    """Return the seconds that a new cache object takes to open the set and map its arrays."""
    cache = FeatureCache(folder)
    start = time.perf_counter()
    features = cache.open(KEY)
    assert features is not None
    for name in features.names:
        features[name]
    return time.perf_counter() - start


def main() -> None:
    """Print seconds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    rows = parser.parse_args().megabytes * 2**20 // (LAYERS * WIDTH * 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shapes = {f"block_{i}.mean": ((WIDTH,), "<f2") for i in range(LAYERS)}
        writer = FeatureCache(folder).writer(KEY, [f"sample_{i}" for i in range(rows)], shapes)
        for start in range(0, rows, 256):
            count = min(256, rows - start)
            writer.append({array: np.full((count, WIDTH), start % 100, np.float16) for array in shapes})
        writer.commit()
        first = seconds_to_open(folder)
        again = min(seconds_to_open(folder) for _ in range(5))
    size = rows * LAYERS * WIDTH * 2 / 2**30
    sys.stdout.write(f"{size:.2f} GiB, {rows:,} rows, {LAYERS} arrays: first {first:.3f} s, verified {again:.4f} s, ")
    sys.stdout.write(f"ratio {first / again:.0f}\n")


if __name__ == "__main__":
    main()
