"""What generated weights buy: accuracies of arms over seeds, paired differences, and a verdict per claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

GENERATED = ("conditional", "flow", "hypernetwork", "refined")
"""Arms that learn more of a lineage than its Gaussian."""
CLAIMS: Mapping[str, tuple[str, ...]] = {
    "beats training from scratch": ("scratch",),
    "beats the prompt it starts from": ("prompt", "trunk"),
    "beats the trunk with noise of the same size": ("noise",),
    "beats a Gaussian over the same codes": ("gaussian",),
    "beats the reconstruction of a member from codes": ("pca",),
    "beats its own weights shuffled": ("shuffled",),
    "beats the nearest member (retrieval)": ("nearest",),
    "beats averages of the members (merging)": ("average", "task_vectors"),
    "beats the best member": ("best_member",),
}
"""Claim -> arms that the generated one must beat, every one of them."""
NOT_TESTED = (
    "beats pruning and distillation at equal size",
    "holds for segmentation and detection",
    "holds for large networks (ViT-L, Swin-B)",
    "comes from a latent space over many architectures",
)
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the records say of one claim.

    Attributes:
        claim: in words.
        against: the arm it was held against that was hardest to beat.
        difference: mean over seeds of generated minus that arm.
        low: lower end of the paired 95 % interval.
        high: upper end.
        words: ``supported``, ``not supported`` or ``not tested here``, with the reason.
    """

    claim: str
    against: str = ""
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    words: str = "not tested here"


def paired_interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, and lower and upper end of Student's 95 % interval, of paired differences over seeds.

    >>> paired_interval([0.1, 0.1, 0.1])
    (0.1, 0.1, 0.1)
    """
    values = np.asarray(differences, float)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return round(mean, 12), round(mean - half, 12), round(mean + half, 12)


def chosen_arm(frame: pd.DataFrame) -> str:
    """Return the generated arm with the best mean validation score; the test scores take no part.

    Args:
        frame: rows of one zoo and tuning with the columns arm, seed, val, test.
    """
    means = frame[frame["arm"].isin(GENERATED)].groupby("arm")["val"].mean()
    return str(means.idxmax())


def differences(frame: pd.DataFrame, first: str, second: str) -> list[float]:
    """Return the test score of one arm minus that of another for every seed that both have, by seed."""
    table = frame.pivot_table(index="seed", columns="arm", values="test")
    return [float(value) for value in (table[first] - table[second]).dropna()]


def verdicts(frame: pd.DataFrame) -> list[Verdict]:
    """Return the verdict of every claim for one zoo and tuning.

    A claim is supported where the interval of the paired difference lies above 0 for every arm it names; the one with
    the smallest lower end is shown. Fewer than ten seeds are no evidence.

    Args:
        frame: see `chosen_arm`.
    """
    arm, present = chosen_arm(frame), set(frame["arm"])
    results = []
    for claim, others in CLAIMS.items():
        rows = [(paired_interval(differences(frame, arm, other)), other) for other in others if other in present]
        if not rows:
            results.append(Verdict(claim=claim))
            continue
        (mean, low, high), against = min(rows, key=lambda row: row[0][1])
        seeds = min(len(differences(frame, arm, other)) for other in others if other in present)
        if seeds < 10:
            words = f"not supported: {seeds} seeds are too few"
        elif low > 0:
            words = "supported"
        elif high < 0:
            words = "not supported: it is worse"
        else:
            words = "not supported: no difference shown"
        results.append(Verdict(claim=claim, against=against, difference=mean, low=low, high=high, words=words))
    return [*results, *(Verdict(claim=claim) for claim in NOT_TESTED)]


def error_overlap(first: np.ndarray, second: np.ndarray, target: np.ndarray) -> float:
    """Return the overlap of two models' errors: samples that both get wrong over those that either does.

    >>> error_overlap(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array([1, 0, 0]))
    0.6666666666666666
    """
    wrong, other = first != target, second != target
    return float((wrong & other).sum() / max(1, (wrong | other).sum()))
