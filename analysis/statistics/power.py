"""Power: what the tasks, seeds and test sets at hand can show, computed before a ranking is interpreted."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct, norm, t

from analysis.statistics.rank_tests import critical_difference
from analysis.statistics.ranking import smallest_significant_tau


def paired_error(draws: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """Return the standard error of a difference, from paired bootstrap draws (resamples, ...) over the first axis.

    >>> round(float(paired_error(np.array([3.0, 5.0, 4.0]), np.array([1.0, 1.0, 1.0]))), 4)  # differences 2, 4 and 3
    1.0
    """
    return np.asarray(np.nanstd(draws - minus, axis=0, ddof=1))


def detectable(error: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true difference detected with a given power: (z(1 - alpha / 2) + z(power)) error.

    Two-sided, normal reference.

    Args:
        error: standard error of the difference, e.g. from `paired_error`, or the width of its 95 % interval / 3.92.
        alpha: probability of a false positive.
        power: probability of detecting the difference, above alpha.

    >>> round(detectable(0.01), 4)  # 1.960 + 0.842 standard errors
    0.028
    """
    if not alpha < power < 1:
        raise ValueError(f"power {power}; it must lie between alpha = {alpha} and 1")
    return float((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * error)


def error_on_these_tasks(test_errors: np.ndarray, seed_spread: np.ndarray | float = 0.0, seeds: int = 1) -> float:
    """Return the standard error of the difference of two models averaged over a fixed set of tasks.

    The error comes from the test sets and from training: sqrt(sum(e^2 + s^2 / seeds)) / N. It applies to these tasks
    only.

    Args:
        test_errors: (tasks,) standard errors of the paired difference on each, over test samples or blocks.
        seed_spread: standard deviation over seeds of that difference, one or (tasks,).
        seeds: runs averaged.

    >>> error_on_these_tasks(np.array([3.0, 4.0]))  # sqrt(9 + 16) / 2
    2.5
    """
    errors = np.asarray(test_errors, dtype=np.float64)
    spread = np.broadcast_to(np.asarray(seed_spread, dtype=np.float64), errors.shape)
    return float(np.sqrt((errors**2 + spread**2 / seeds).sum()) / len(errors))


def detectable_on_new_tasks(spread: float, tasks: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest mean difference over tasks of this kind that N of them detect with a given power.

    Tasks are a sample here: a two-sided t test with N - 1 degrees of freedom, its power from the noncentral t.

    Args:
        spread: standard deviation over tasks of the difference of two models.
        tasks: number of tasks N; the answer is infinite below 2.
        alpha: probability of a false positive.
        power: probability of detecting the difference, above alpha.

    >>> round(detectable_on_new_tasks(1.0, 10), 3)  # TTestPower of statsmodels: effect size 0.996 at 10 pairs
    0.996
    """
    if not alpha < power < 1:
        raise ValueError(f"power {power}; it must lie between alpha = {alpha} and 1")
    if tasks < 2:
        return float("inf")
    bound = float(t.ppf(1 - alpha / 2, tasks - 1))

    def missing(shift: float) -> float:
        # The far tail underflows to NaN, where it is negligible.
        rejected = nct.sf(bound, tasks - 1, shift) + np.nan_to_num(nct.cdf(-bound, tasks - 1, shift))
        return float(rejected) - power

    high = 1.0
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0.0, high)) * spread / sqrt(tasks)


def smallest_holm_p(models: int, tasks: int) -> float:
    """Return the smallest p that signed-rank tests of all pairs can reach after Holm's correction.

    The smallest two-sided signed-rank p is 2 / 2^N; the correction multiplies it by the number of pairs.

    >>> smallest_holm_p(3, 8)  # 3 pairs x 2 / 256
    0.0234375
    """
    return min(1.0, comb(models, 2) * 2.0 / 2.0**tasks)


def tasks_for_wilcoxon(models: int, alpha: float = 0.05) -> int:
    """Return the number of tasks from which signed-rank tests of all pairs can reach p < alpha after Holm's correction.

    >>> tasks_for_wilcoxon(6)  # 15 pairs: 15 x 2 / 2^10 = 0.029, and 0.059 with 9 tasks
    10
    """
    tasks = 1
    while smallest_holm_p(models, tasks) >= alpha:
        tasks += 1
    return tasks


def tasks_for_nemenyi(models: int, gap: float, alpha: float = 0.05) -> int:
    """Return the number of tasks from which a difference of mean ranks of `gap` exceeds the critical difference.

    >>> tasks_for_nemenyi(2, 0.5)  # 1.960 / sqrt(N) < 0.5 from N = 16 on
    16
    """
    return int(np.floor((critical_difference(models, 1, alpha) / gap) ** 2)) + 1


@dataclass(frozen=True, kw_only=True)
class RankPower:
    """What rankings of a number of models over a number of tasks can show.

    Attributes:
        models, tasks: the numbers.
        pairs: pairs of models.
        alpha: probability of a false positive.
        critical_difference: of mean ranks (Nemenyi).
        widest: the largest possible difference of mean ranks, models - 1.
        smallest_p: the smallest p that signed-rank tests of all pairs can reach after Holm's correction.
        wilcoxon_tasks: tasks needed for `smallest_p` to be below alpha.
        smallest_tau: the smallest absolute Kendall tau between two settings with p < alpha; NaN if none has.
        separates: whether a critical-difference diagram could separate more than a model that always wins from one that
            always loses: its critical difference is below half of `widest`.
    """

    models: int
    tasks: int
    pairs: int
    alpha: float
    critical_difference: float
    widest: float
    smallest_p: float
    wilcoxon_tasks: int
    smallest_tau: float
    separates: bool


def rank_power(models: int, tasks: int, *, alpha: float = 0.05) -> RankPower:
    """Return what rank tests could show with these numbers of models and tasks.

    Args:
        models: at least 2.
        tasks: at least 1.
        alpha: probability of a false positive.

    >>> power = rank_power(6, 10)
    >>> power.pairs, power.wilcoxon_tasks, round(power.critical_difference, 2), power.separates
    (15, 10, 2.38, True)
    """
    critical, widest = critical_difference(models, tasks, alpha), float(models - 1)
    return RankPower(
        models=models,
        tasks=tasks,
        pairs=comb(models, 2),
        alpha=alpha,
        critical_difference=critical,
        widest=widest,
        smallest_p=smallest_holm_p(models, tasks),
        wilcoxon_tasks=tasks_for_wilcoxon(models, alpha),
        smallest_tau=smallest_significant_tau(models, alpha),
        separates=critical < widest / 2,
    )
