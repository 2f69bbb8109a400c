"""Mean and standard deviation of each band over a training split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.core import Band, Split, sha256_of
from bench.core.errors import MissingData
from bench.input.content import band_values
from bench.store import FeatureCache


def statistics_key(split: Split, bands: tuple[Band, ...], facts: Mapping[str, object]) -> dict[str, object]:
    """Return the key that the statistics of a split are kept under; see `statistics`."""
    return {**facts, "ids": sha256_of(list(split.ids)), "bands": [band.name for band in bands]}


def statistics(
    split: Split, bands: tuple[Band, ...], cache: FeatureCache, facts: Mapping[str, object]
) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of each band over every finite pixel of a split, streamed in float64.

    Args:
        split: opened with `bands`.
        bands: in the order read.
        cache: keeps the result by content.
        facts: suite, version and split that the result belongs to.
    """
    key = statistics_key(split, bands, facts)
    if known := cache.memos.recall("statistics", key):
        return {name: (pair[0], pair[1]) for name, pair in known.items()}
    # Chan's parallel update: exact for any chunking, and safe where the mean dwarfs the spread.
    count, mean, spread = np.zeros(len(bands)), np.zeros(len(bands)), np.zeros(len(bands))
    for index in range(len(split)):
        sample = split[index]
        for column, values in enumerate(band_values(sample, bands).values()):
            finite = values[np.isfinite(values)].astype(np.float64)
            if not finite.size:
                continue
            total = count[column] + finite.size
            delta = finite.mean() - mean[column]
            spread[column] += finite.var() * finite.size + delta**2 * count[column] * finite.size / total
            mean[column] += delta * finite.size / total
            count[column] = total
    if not count.all():
        raise MissingData(f"{facts.get('suite')}: no finite value of {bands[int(np.argmin(count))].name} in training")
    deviation = np.sqrt(spread / count)
    result = {band.name: (float(mean[i]), float(deviation[i])) for i, band in enumerate(bands)}
    cache.memos.remember("statistics", key, result)
    return result
