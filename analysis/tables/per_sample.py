"""Breakdown of a run's outcomes by class, by region and by confidence, as sums that can be added over runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.statistics.additive_scores import ADDITIVE, class_statistics
from analysis.statistics.intervals import block_sums

BINS = 15  # as in `bench.metrics` for the calibration error
MOST_REGIONS = 64  # more do not fit into a table
SAMPLES_PER_REGION = 2.0  # on average; with fewer, regions are single samples


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Sums over the runs of a group at one layer.

    Attributes:
        classes: (K, 3) hits, truths and predictions of each class; None for regression.
        bins: (3, 15) count, sum of confidence and number of right predictions per bin of confidence; None without
            stored confidence.
        regions: (G,) score in each region, summed over runs; None if there are too many or too small regions.
        names: (G,) names of the regions.
        samples: (G,) samples per region, of one run.
        runs: number of runs added.
    """

    classes: np.ndarray | None = None
    bins: np.ndarray | None = None
    regions: np.ndarray | None = None
    names: np.ndarray | None = None
    samples: np.ndarray | None = None
    runs: int = 1

    def __add__(self, other: Breakdown) -> Breakdown:
        return Breakdown(
            classes=_sum(self.classes, other.classes),
            bins=_sum(self.bins, other.bins),
            regions=_sum(self.regions, other.regions),
            names=self.names,
            samples=self.samples,
            runs=self.runs + other.runs,
        )


def _sum(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return None if first is None or second is None or first.shape != second.shape else first + second


def break_down(
    kind: str,
    metric: str,
    outcome: Mapping[str, np.ndarray],
    place: int,
    classes: int,
    codes: np.ndarray,
    names: np.ndarray,
) -> Breakdown:
    """Return the breakdown of one run's outcomes at one layer.

    Args:
        kind: of task.
        metric: headline metric, with which regions are scored.
        outcome: arrays of a test split, see `bench.protocols.probe`.
        place: index of the layer.
        classes: number of classes K.
        codes: (n,) index of each sample's block.
        names: names of all blocks, which are the regions.
    """
    layered = ("prediction", "confidence", "confusion", "errors")
    at_layer = {name: values[[place]] if name in layered else values for name, values in outcome.items()}
    by_class = None
    if classes and kind in ("classification", "multilabel", "segmentation", "change"):
        by_class = class_statistics(at_layer, classes).sum(0, dtype=np.int64)[0].reshape(3, classes).T
    bins = None
    if kind == "classification" and "confidence" in at_layer:
        bins = _reliability(at_layer["confidence"][0], at_layer["prediction"][0] == at_layer["target"])
    few = 2 <= len(names) <= MOST_REGIONS and len(codes) >= SAMPLES_PER_REGION * len(names)
    if metric not in ADDITIVE or not few:
        return Breakdown(classes=by_class, bins=bins)
    statistics, score = ADDITIVE[metric]
    regions = score(block_sums(statistics(at_layer, classes), codes, len(names)))[:, 0]
    samples = np.bincount(codes, minlength=len(names))
    return Breakdown(classes=by_class, bins=bins, regions=regions, names=names, samples=samples)


def _reliability(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return count, sum of confidence and number of right predictions in 15 equal bins of confidence, (3, 15)."""
    wide = confidence.astype(np.float64)
    which = np.clip(np.ceil(wide * BINS).astype(int) - 1, 0, BINS - 1)
    return np.stack([np.bincount(which, values, BINS) for values in (np.ones_like(wide), wide, right)])


def class_scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return intersection over union, F1, recall and precision of each class, (K,); NaN where undefined.

    Args:
        sums: (K, 3) hits, truths and predictions.
    """
    hit, truth, predicted = sums.astype(np.float64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "iou": np.where(truth + predicted > 0, hit / (truth + predicted - hit), np.nan),
            "f1": np.where(truth + predicted > 0, 2 * hit / (truth + predicted), np.nan),
            "recall": np.where(truth > 0, hit / truth, np.nan),
            "precision": np.where(predicted > 0, hit / predicted, np.nan),
        }
