"""What the tasks, seeds and test sets at hand could show, before anybody reads a ranking off them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct, norm, t

from analysis.statistics.rank_tests import critical_difference
from analysis.statistics.ranking import smallest_telling_tau, tau_tail


def paired_error(draws: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """Return the standard error of a difference from paired draws (resamples, ...), over the first axis."""
    return np.asarray(np.nanstd(draws - minus, axis=0, ddof=1))


def detectable(error: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true difference found with a given power: (z(1 - alpha / 2) + z(power)) error.

    Two-sided, normal reference; with the usual 0.05 and 0.8 it is 2.8 standard errors.

    Args:
        error: standard error of the difference, e.g. from `paired_error`, or a paired 95 % interval's width / 3.92.
        alpha: chance of a false finding.
        power: chance of a true one, above alpha.
    """
    if not alpha < power < 1:
        raise ValueError(f"power {power}; it lies between alpha = {alpha} and 1")
    return float((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * error)


def error_on_these_tasks(test_errors: np.ndarray, seed_spread: np.ndarray | float = 0.0, seeds: int = 1) -> float:
    """Return the standard error of a difference of two models averaged over these very tasks.

    Tasks are fixed: the error comes from their test sets and from training, sqrt(sum(e^2 + s^2 / seeds)) / N. It speaks
    for these tasks alone.

    Args:
        test_errors: (tasks,) standard errors of the paired difference on each, over test samples or blocks.
        seed_spread: standard deviation over seeds of that difference, one or (tasks,).
        seeds: runs averaged.
    """
    errors = np.asarray(test_errors, dtype=np.float64)
    spread = np.broadcast_to(np.asarray(seed_spread, dtype=np.float64), errors.shape)
    return float(np.sqrt((errors**2 + spread**2 / seeds).sum()) / len(errors))


def detectable_on_new_tasks(spread: float, tasks: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest mean difference over tasks like these that a paired t test finds with a given power.

    Tasks are a sample: what counts is how much the difference varies from one to another, and how many there are. The
    power is that of the noncentral t with N - 1 degrees of freedom, two-sided.

    Args:
        spread: standard deviation over tasks of the difference of two models.
        tasks: how many, N; infinite answer below 2.
        alpha: chance of a false finding.
        power: chance of a true one, above alpha.
    """
    if not alpha < power < 1:
        raise ValueError(f"power {power}; it lies between alpha = {alpha} and 1")
    if tasks < 2:
        return float("inf")
    bound = float(t.ppf(1 - alpha / 2, tasks - 1))

    def missing(shift: float) -> float:
        # The far tail runs out of digits, and into NaN, where it is next to nothing.
        found = nct.sf(bound, tasks - 1, shift) + np.nan_to_num(nct.cdf(-bound, tasks - 1, shift))
        return float(found) - power

    high = 1.0
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0.0, high)) * spread / sqrt(tasks)


def smallest_holm_p(models: int, tasks: int) -> float:
    """Return the smallest p that signed-rank tests of all pairs can reach after Holm, pairs 2 / 2^N, at most 1."""
    return min(1.0, comb(models, 2) * 2.0 / 2.0**tasks)


def tasks_for_wilcoxon(models: int, alpha: float = 0.05) -> int:
    """Return how many tasks it takes for signed-rank tests of all pairs, after Holm, to reach p < alpha at all."""
    tasks = 1
    while smallest_holm_p(models, tasks) >= alpha:
        tasks += 1
    return tasks


def tasks_for_nemenyi(models: int, gap: float, alpha: float = 0.05) -> int:
    """Return how many tasks it takes for a difference of mean ranks of `gap` to exceed the critical difference."""
    return int(np.floor((critical_difference(models, 1, alpha) / gap) ** 2)) + 1


@dataclass(frozen=True, kw_only=True)
class RankPower:
    """What ranks over so many tasks can show.

    Attributes:
        models, tasks: how many.
        alpha: chance of a false finding.
        critical_difference: of mean ranks (Nemenyi); `widest` = models - 1 is the largest difference there can be.
        smallest_p: that signed-rank tests of all pairs can reach after Holm.
        wilcoxon_tasks: tasks needed for that to be below alpha.
        smallest_tau: smallest absolute Kendall tau of two settings with p < alpha; NaN where none is.
        separates: whether a critical-difference diagram could tell more apart than an outright winner from an outright
            loser: its critical difference is below half the widest.
        sentences: all this in words.
    """

    models: int
    tasks: int
    alpha: float
    critical_difference: float
    widest: float
    smallest_p: float
    wilcoxon_tasks: int
    smallest_tau: float
    separates: bool
    sentences: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return " ".join(self.sentences)


def what_ranks_can_show(models: int, tasks: int, *, alpha: float = 0.05) -> RankPower:
    """Return what rank tests could show with these numbers of models and tasks, and say so in words.

    Args:
        models: at least 2.
        tasks: at least 1.
        alpha: chance of a false finding.
    """
    critical, widest = critical_difference(models, tasks, alpha), float(models - 1)
    smallest, needed = smallest_holm_p(models, tasks), tasks_for_wilcoxon(models, alpha)
    tau = smallest_telling_tau(models, alpha)
    separates = critical < widest / 2
    pairs = comb(models, 2)
    words = [f"{models} models on {tasks} task{'s' if tasks != 1 else ''}."]
    if smallest < alpha:
        words.append(f"Signed-rank tests of all {pairs} pairs can reach p = {smallest:.2g} after Holm, at best.")
    else:
        words.append(
            f"No pair can differ by signed-rank tests: the smallest p of {pairs} pairs after Holm is {smallest:.2g}; "
            f"it takes {needed} tasks."
        )
    words.append(
        f"Mean ranks differ by at most {widest:g}, and by more than {critical:.2f} to be told apart (Nemenyi)."
    )
    if critical >= widest:
        words.append("A critical-difference diagram cannot separate any two models.")
    elif not separates:
        words.append("A critical-difference diagram would separate next to nothing; it is not drawn.")
    if np.isnan(tau):
        words.append(f"Two settings' orders of {models} models cannot be told from unrelated ones, however alike.")
    else:
        words.append(
            f"Two settings agree beyond chance from a Kendall tau of {tau:.3f} on "
            f"(p = {tau_tail(tau, models):.3g}, exact)."
        )
    return RankPower(
        models=models,
        tasks=tasks,
        alpha=alpha,
        critical_difference=critical,
        widest=widest,
        smallest_p=smallest,
        wilcoxon_tasks=needed,
        smallest_tau=tau,
        separates=separates,
        sentences=tuple(words),
    )


def what_can_be_seen(
    test_errors: np.ndarray,
    *,
    seeds: int,
    seed_spread: np.ndarray | float = 0.0,
    task_spread: float = float("nan"),
    unit: str = "",
    alpha: float = 0.05,
    power: float = 0.8,
) -> tuple[str, ...]:
    """Return in words the difference of two models that these tasks, seeds and test sets could show.

    Args:
        test_errors: (tasks,) standard errors of a paired difference, as for `error_on_these_tasks`.
        seeds: runs averaged in each score.
        seed_spread: standard deviation of the difference over seeds; see `error_on_these_tasks`.
        task_spread: standard deviation of the difference over tasks, if a claim about further tasks is meant.
        unit: of the score, said after each number.
        alpha: chance of a false finding.
        power: chance of a true one.
    """
    errors = np.asarray(test_errors, dtype=np.float64)
    tasks, tail = len(errors), f" {unit}" if unit else ""
    one = [detectable(float(error), alpha=alpha, power=power) for error in errors]
    all_ = detectable(error_on_these_tasks(errors, seed_spread, seeds), alpha=alpha, power=power)
    chance = f"found with a chance of {power:.0%} at p < {alpha:g}"
    words = [
        f"On a single task a true difference of {min(one):.3g} to {max(one):.3g}{tail} is {chance}; test samples alone "
        "are counted.",
        f"On the mean of these {tasks} tasks, over {seeds} seed{'s' if seeds != 1 else ''}, it is {all_:.3g}{tail}.",
    ]
    if seeds < 2:
        words.append("With one seed the spread of training is not in these numbers: they are too hopeful.")
    if np.isfinite(task_spread):
        new = detectable_on_new_tasks(task_spread, tasks, alpha=alpha, power=power)
        said = f"a mean difference of {new:.3g}{tail}" if np.isfinite(new) else "no difference, however large,"
        words.append(f"For a claim about further tasks of their kind, {said} is {chance}.")
    return tuple(words)
