"""What the outcomes of a run say by class, by region and by confidence; sums, so that runs add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.statistics.additive_scores import ADDITIVE, class_statistics
from analysis.statistics.intervals import block_sums

BINS = 15  # as in `bench.metrics` for the calibration error
MOST_REGIONS = 64  # more of them are no table
SAMPLES_A_REGION = 2.0  # on average; below, a region is a sample under another name


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Sums over the runs of a cell at one layer.

    Attributes:
        classes: (K, 3) hits, truths and predictions of each class; None for values.
        bins: (3, 15) count, sum of confidence and right ones, by confidence; None where none is stored.
        regions: (G,) score in each region, summed over runs; None where there are too many or too small ones.
        names: (G,) of the regions.
        samples: (G,) of one run.
        runs: how many were added.
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


def _sum(one: np.ndarray | None, two: np.ndarray | None) -> np.ndarray | None:
    return None if one is None or two is None or one.shape != two.shape else one + two


def detail(
    kind: str,
    metric: str,
    outcome: Mapping[str, np.ndarray],
    place: int,
    classes: int,
    codes: np.ndarray,
    names: np.ndarray,
) -> Breakdown:
    """Return what one run's outcomes say at one layer.

    Args:
        kind: of task.
        metric: headline metric, by which regions are scored.
        outcome: arrays of a test split, see `bench.protocols.probe`.
        place: index of the layer.
        classes: number of classes K.
        codes: (n,) block of each sample.
        names: of all blocks.
    """
    layered = ("prediction", "confidence", "confusion", "errors")
    own = {name: values[[place]] if name in layered else values for name, values in outcome.items()}
    by_class = None
    if classes and kind in ("classification", "multilabel", "segmentation", "change"):
        by_class = class_statistics(own, classes).sum(0, dtype=np.int64)[0].reshape(3, classes).T
    bins = None
    if kind == "classification" and "confidence" in own:
        bins = _reliability(own["confidence"][0], own["prediction"][0] == own["target"])
    few = 2 <= len(names) <= MOST_REGIONS and len(codes) >= SAMPLES_A_REGION * len(names)
    if metric not in ADDITIVE or not few:
        return Breakdown(classes=by_class, bins=bins)
    statistics, score = ADDITIVE[metric]
    regions = score(block_sums(statistics(own, classes), codes, len(names)))[:, 0]
    samples = np.bincount(codes, minlength=len(names))
    return Breakdown(classes=by_class, bins=bins, regions=regions, names=names, samples=samples)


def _reliability(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return count, sum of confidence and right ones of each of 15 equal bins of confidence, (3, 15)."""
    sure = confidence.astype(np.float64)
    which = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    return np.stack([np.bincount(which, values, BINS) for values in (np.ones_like(sure), sure, right)])


def class_scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return intersection over union, F1, recall and precision of each class, (K,); NaN where there is nothing.

    Args:
        sums: (K, 3) hits, truths and predictions.
    """
    hit, truth, said = sums.astype(np.float64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "iou": np.where(truth + said > 0, hit / (truth + said - hit), np.nan),
            "f1": np.where(truth + said > 0, 2 * hit / (truth + said), np.nan),
            "recall": np.where(truth > 0, hit / truth, np.nan),
            "precision": np.where(said > 0, hit / said, np.nan),
        }
