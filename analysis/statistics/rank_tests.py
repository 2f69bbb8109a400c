"""Tests over tasks: whether models differ at all, which ones do, and by how much one can be believed to lead another.

Scores are (tasks, models), one row a task, as in Demsar 2006 (JMLR 7, 1-30): each task counts once, however many seeds
and samples are behind its score. What so few tasks can show at all is in `analysis.statistics.power`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import chi2, f, studentized_range, wilcoxon

from analysis.statistics.depth_profiles import holm
from analysis.statistics.ranking import oriented, ranks


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """Friedman's test that all models rank alike over the tasks.

    Attributes:
        statistic: chi-square with models - 1 degrees of freedom, corrected for ties (Friedman 1937).
        p: from the chi-square; rough below 10 tasks.
        f: Iman and Davenport's F (1980), (N - 1) chi2 / (N (k - 1) - chi2); infinite where all tasks agree fully.
        f_p: its p, with k - 1 and (k - 1)(N - 1) degrees of freedom.
        permutation_p: share of random orders within tasks that agree as much, the observed one counted in; NaN where no
            generator was given. The one to quote with few tasks.
        w: Kendall's coefficient of concordance, statistic / (N (k - 1)): 0 no agreement, 1 the same order everywhere.
        mean_ranks: (models,), 1 the best.
        tasks, models: how many.
    """

    statistic: float
    p: float
    f: float
    f_p: float
    permutation_p: float
    w: float
    mean_ranks: np.ndarray
    tasks: int
    models: int


def _ranked(scores: np.ndarray, direction: str) -> np.ndarray:
    if np.ndim(scores) != 2 or np.shape(scores)[0] < 2 or np.shape(scores)[1] < 2:
        raise ValueError(f"scores of shape {np.shape(scores)}; (tasks, models) with at least 2 of each is needed")
    return ranks(scores, direction=direction)


def friedman(
    scores: np.ndarray,
    *,
    direction: str = "max",
    rng: np.random.Generator | None = None,
    permutations: int = 10_000,
) -> Friedman:
    """Return Friedman's test over the tasks, with Kendall's W.

    Args:
        scores: (tasks, models), at least 2 of each.
        direction: ``max`` or ``min``.
        rng: for the permutation p, or None for none.
        permutations: random orders drawn for it.

    Raises:
        ValueError: if every task ties all its models, or a score is NaN.
    """
    each = _ranked(scores, direction)
    tasks, models = each.shape
    totals = each.sum(0)
    # Ties shrink the spread of ranks within tasks; dividing by the spread there is corrects for them.
    spread = (each**2).sum() - tasks * models * (models + 1) ** 2 / 4
    if spread == 0:
        raise ValueError("every task ties all its models: there is no ranking")
    between = ((totals - tasks * (models + 1) / 2) ** 2).sum()
    statistic = float((models - 1) * between / spread)
    concordance = statistic / (tasks * (models - 1))
    rest = tasks * (models - 1) - statistic
    ratio = (tasks - 1) * statistic / rest if rest > 1e-9 * statistic else float("inf")
    p = float("nan")
    if rng is not None:
        shuffled = rng.permuted(np.broadcast_to(each, (permutations, tasks, models)), axis=2).sum(1)
        as_far = ((shuffled - tasks * (models + 1) / 2) ** 2).sum(1) >= between - 1e-9
        p = float((1 + as_far.sum()) / (permutations + 1))
    return Friedman(
        statistic=statistic,
        p=float(chi2.sf(statistic, models - 1)),
        f=ratio,
        f_p=float(f.sf(ratio, models - 1, (models - 1) * (tasks - 1))),
        permutation_p=p,
        w=concordance,
        mean_ranks=totals / tasks,
        tasks=tasks,
        models=models,
    )


def kendall_w(scores: np.ndarray, *, direction: str = "max") -> float:
    """Return Kendall's coefficient of concordance of rankings (settings, models), corrected for ties, in 0..1."""
    return friedman(scores, direction=direction).w


def critical_difference(models: int, tasks: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's critical difference of mean ranks, q sqrt(k (k + 1) / (6 N)).

    q is the studentized range with infinite degrees of freedom over root 2. Mean ranks differ by at most k - 1.
    """
    if models < 2 or tasks < 1:
        raise ValueError(f"{models} models and {tasks} tasks; at least 2 and 1 are needed")
    q = float(studentized_range.ppf(1 - alpha, models, np.inf)) / sqrt(2)
    return q * sqrt(models * (models + 1) / (6 * tasks))


def nemenyi(scores: np.ndarray, *, direction: str = "max") -> np.ndarray:
    """Return Nemenyi's p of every pair of models, (models, models), 1 on the diagonal.

    Args:
        scores: (tasks, models).
        direction: ``max`` or ``min``.
    """
    each = _ranked(scores, direction)
    tasks, models = each.shape
    mean = each.mean(0)
    q = np.abs(mean[:, None] - mean) / sqrt(models * (models + 1) / (6 * tasks)) * sqrt(2)
    left, right = np.triu_indices(models, k=1)
    p = np.ones((models, models))
    p[left, right] = p[right, left] = studentized_range.sf(q[left, right], models, np.inf)
    return p


def wilcoxon_holm(scores: np.ndarray) -> np.ndarray:
    """Return the two-sided signed-rank p of every pair of models, Holm-corrected over the pairs, (models, models).

    The p are exact up to 50 tasks without ties or equal scores (scipy). Pairs equal on every task get 1.

    Args:
        scores: (tasks, models) in comparable units: it is differences that are ranked, so normalise first.
    """
    values = oriented(scores)
    left, right = np.triu_indices(values.shape[1], k=1)
    raw = []
    for one, two in zip(left, right, strict=True):
        differences = values[:, one] - values[:, two]
        raw.append(float(wilcoxon(differences).pvalue) if differences.any() else 1.0)
    p = np.ones((values.shape[1], values.shape[1]))
    p[left, right] = p[right, left] = holm(raw)
    return p


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What to believe of two models on another task like these; the three sum to 1.

    Attributes:
        better: probability that the first leads by more than the region of practical equivalence.
        equal: that the two lie within it.
        worse: that the second leads by more.
    """

    better: float
    equal: float
    worse: float


def bayesian_signed_rank(
    first: np.ndarray,
    second: np.ndarray,
    *,
    equivalent: float,
    rng: np.random.Generator,
    draws: int = 20_000,
    prior: float = 0.5,
) -> Belief:
    """Return the Bayesian signed-rank test of two models with a region of practical equivalence.

    Benavoli et al. 2014 (ICML), 2017 (JMLR 18): Dirichlet weights over the tasks' differences and a prior
    one of 0; of each draw the likeliest of the three states counts. It needs no least number of tasks, unlike a
    signed-rank p, and says "equal" where the data do.

    Args:
        first: (tasks,) scores, more the better.
        second: (tasks,) scores of the other model.
        equivalent: half width of the region, in units of the score, above 0.
        rng: where the weights come from.
        draws: of the posterior.
        prior: strength of the prior difference of 0.
    """
    if equivalent <= 0:
        raise ValueError(
            f"region of practical equivalence {equivalent}: state a difference above 0 that does not matter"
        )
    differences = np.concatenate([[0.0], oriented(first) - oriented(second)])
    sums = differences[:, None] + differences
    weights = rng.dirichlet(np.concatenate([[prior], np.ones(len(differences) - 1)]), draws)
    above = ((sums > 2 * equivalent) + 0.5 * (sums == 2 * equivalent)).astype(np.float64)
    below = ((sums < -2 * equivalent) + 0.5 * (sums == -2 * equivalent)).astype(np.float64)
    better = ((weights @ above) * weights).sum(1)
    worse = ((weights @ below) * weights).sum(1)
    likeliest = np.argmax(np.stack([better, 1 - better - worse, worse], axis=1), axis=1)
    share = np.bincount(likeliest, minlength=3) / draws
    return Belief(better=float(share[0]), equal=float(share[1]), worse=float(share[2]))
