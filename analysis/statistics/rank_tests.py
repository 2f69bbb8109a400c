"""Rank tests over tasks: whether models differ, which pairs do, and the probability that one is better.

Scores are (tasks, models), one row per task, as in Demsar 2006 (JMLR 7, 1-30): each task counts once, whatever the
number of seeds and samples of its score. What a given number of tasks can show is in `analysis.statistics.power`.
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
    """Friedman's test of the hypothesis that all models rank alike over the tasks.

    Attributes:
        statistic: chi-square with models - 1 degrees of freedom, corrected for ties (Friedman 1937).
        p: from the chi-square; approximate, inaccurate below 10 tasks.
        f: Iman and Davenport's F (1980), (N - 1) chi2 / (N (k - 1) - chi2); infinite if all tasks have the same order.
        f_p: its p, with k - 1 and (k - 1)(N - 1) degrees of freedom.
        permutation_p: share of random orders within tasks that agree as much, the observed one included; NaN if no
            generator was given. The p to quote with few tasks.
        w: Kendall's coefficient of concordance, statistic / (N (k - 1)): 0 no agreement, 1 the same order everywhere.
        mean_ranks: (models,), 1 the best.
        tasks, models: the numbers.
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
        rng: for the permutation p, or None for no such p.
        permutations: random orders drawn for it.

    Raises:
        ValueError: if every task ties all its models, or a score is NaN.

    >>> from scipy.stats import friedmanchisquare
    >>> scores = np.array([[9.0, 8.0, 7.0], [6.0, 7.0, 5.0], [3.0, 2.0, 1.0], [8.0, 7.0, 6.5]])
    >>> test = friedman(scores)
    >>> test.mean_ranks.tolist(), test.statistic, round(float(friedmanchisquare(*scores.T).statistic), 6)
    ([1.25, 1.75, 3.0], 6.5, 6.5)
    """
    ranked = _ranked(scores, direction)
    tasks, models = ranked.shape
    totals = ranked.sum(0)
    # Ties shrink the spread of ranks within tasks; dividing by the observed spread corrects for them.
    spread = (ranked**2).sum() - tasks * models * (models + 1) ** 2 / 4
    if spread == 0:
        raise ValueError("every task ties all its models: there is no ranking")
    between = ((totals - tasks * (models + 1) / 2) ** 2).sum()
    statistic = float((models - 1) * between / spread)
    concordance = statistic / (tasks * (models - 1))
    rest = tasks * (models - 1) - statistic
    ratio = (tasks - 1) * statistic / rest if rest > 1e-9 * statistic else float("inf")
    p = float("nan")
    if rng is not None:
        shuffled = rng.permuted(np.broadcast_to(ranked, (permutations, tasks, models)), axis=2).sum(1)
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
    """Return Kendall's coefficient of concordance of rankings (settings, models), corrected for ties, in 0..1.

    >>> kendall_w(np.array([[3, 2, 1], [3, 2, 1], [2, 3, 1]]))  # rank sums 4, 5, 9: 12 x 14 / (9 x 24)
    0.7777777777777778
    """
    return friedman(scores, direction=direction).w


def critical_difference(models: int, tasks: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's critical difference of mean ranks, q sqrt(k (k + 1) / (6 N)).

    q is the studentized range with infinite degrees of freedom over root 2. Mean ranks differ by at most k - 1.

    >>> round(critical_difference(5, 30), 3)  # 2.728 sqrt(30 / 180), Demsar 2006, table 5
    1.114
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

    >>> p = nemenyi(np.array([[3.0, 2.0, 1.0]] * 6))  # mean ranks 1, 2 and 3 over 6 tasks
    >>> p.round(3).tolist()
    [[1.0, 0.193, 0.002], [0.193, 1.0, 0.193], [0.002, 0.193, 1.0]]
    """
    ranked = _ranked(scores, direction)
    tasks, models = ranked.shape
    mean = ranked.mean(0)
    q = np.abs(mean[:, None] - mean) / sqrt(models * (models + 1) / (6 * tasks)) * sqrt(2)
    left, right = np.triu_indices(models, k=1)
    p = np.ones((models, models))
    p[left, right] = p[right, left] = studentized_range.sf(q[left, right], models, np.inf)
    return p


def wilcoxon_holm(scores: np.ndarray) -> np.ndarray:
    """Return the two-sided signed-rank p of every pair of models, Holm-corrected over the pairs, (models, models).

    The p are exact up to 50 tasks without ties or equal scores (scipy). A pair equal on every task has p = 1.

    Args:
        scores: (tasks, models) in comparable units: differences are ranked, so normalise first.

    >>> scores = np.array([[0.9, 0.6], [0.8, 0.7], [0.95, 0.55], [0.7, 0.5], [0.85, 0.35]])
    >>> float(wilcoxon_holm(scores)[0, 1])  # all five differences positive: 2 / 2^5
    0.0625
    """
    values = oriented(scores)
    left, right = np.triu_indices(values.shape[1], k=1)
    raw = []
    for first, second in zip(left, right, strict=True):
        differences = values[:, first] - values[:, second]
        raw.append(float(wilcoxon(differences).pvalue) if differences.any() else 1.0)
    p = np.ones((values.shape[1], values.shape[1]))
    p[left, right] = p[right, left] = holm(raw)
    return p


@dataclass(frozen=True, kw_only=True)
class Belief:
    """Posterior probabilities of three states of two models on another task of this kind; they sum to 1.

    Attributes:
        better: probability that the first is better by more than the region of practical equivalence.
        equal: probability that the two are practically equivalent.
        worse: probability that the second is better by more than the region.
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

    Benavoli et al. 2014 (ICML), 2017 (JMLR 18): Dirichlet weights over the tasks' differences and a prior difference of
    0; each draw counts for the most probable of the three states. Unlike a signed-rank p it needs no minimum number of
    tasks, and it can support equivalence.

    Args:
        first: (tasks,) scores, larger is better.
        second: (tasks,) scores of the other model.
        equivalent: half width of the region, in units of the score, above 0.
        rng: source of the weights.
        draws: number of posterior draws.
        prior: strength of the prior difference of 0.

    >>> first, second = np.full(10, 0.9), np.full(10, 0.5)
    >>> bayesian_signed_rank(first, second, equivalent=0.01, rng=np.random.default_rng(0)).better
    1.0
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
