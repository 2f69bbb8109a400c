"""Formulas of representations: HSIC from four sums, and dimensions from spectra and distances. Pure NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def hsic(
    products: Any, shared: Any, spread_x: Any, spread_y: Any, rows: float | np.ndarray, *, debiased: bool = True
) -> Any:
    """Return HSIC of two linear kernels of centred features, from four sums; scalars or arrays over pairs.

    With ``K = X X'``, ``L = Y Y'`` and ``1'K = 1'L = 0`` the terms of Song et al. 2012 ("Feature selection via
    dependence maximization", equation 5) become ``tr(K~L~) = |X'Y|^2 - S``, ``1'K~ L~1 = S``, ``1'K~1 = -tr K``.

    Args:
        products: ``sum_ij K_ij L_ij``, which is ``|X'Y|^2``.
        shared: ``S = sum_i K_ii L_ii``.
        spread_x: trace of K.
        spread_y: trace of L.
        rows: n, at least 4 if debiased.
        debiased: the unbiased estimate, else Gretton et al. 2005 (``/ (n - 1)^2``).

    >>> x = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> gram = x @ x.T
    >>> sums = (gram**2).sum(), (np.diag(gram) ** 2).sum(), np.trace(gram), np.trace(gram)
    >>> float(hsic(*sums, 4, debiased=False))  # 16 / 9
    1.7777777777777777
    """
    if not debiased:
        return products / (rows - 1) ** 2
    corrected = products - rows / (rows - 2) * shared + spread_x * spread_y / ((rows - 1) * (rows - 2))
    return corrected / (rows * (rows - 3))


def effective_rank(singular_values: np.ndarray) -> float:
    """Return the exponential of the entropy of singular values normalised to sum 1; NaN if all are 0.

    Roy and Vetterli 2007; RankMe (Garrido et al. 2023, equations 1 and 2) where the values are those of features.

    Example:
        >>> round(effective_rank(np.ones(5)), 6)
        5.0
    """
    values = np.asarray(singular_values, np.float64)
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum())) if len(share) else float("nan")


def participation(trace: float, squares: float) -> float:
    """Return ``(sum l)^2 / sum l^2`` over the eigenvalues l of a covariance, from both sums.

    Gao et al. 2017 ("A theory of multineuronal dimensionality, dynamics and measurement", equation 3).

    Args:
        trace: sum of the eigenvalues.
        squares: sum of their squares.
    """
    return trace**2 / squares if squares else float("nan")


def twonn_dimension(nearest: np.ndarray, second: np.ndarray, *, discard: float = 0.1) -> float:
    """Return the intrinsic dimension from the distances of distinct rows to their first and second neighbour.

    Facco et al. 2017 ("Estimating the intrinsic dimension of datasets by a minimal neighborhood information"): the
    slope through the origin of ``-log(1 - F(mu))`` over ``log mu``, without the largest ratios (their steps 1 to 5).
    NaN if both neighbours are equally far in every row kept.

    Args:
        nearest: (n,) distance to the first neighbour, above 0.
        second: (n,) distance to the second.
        discard: share of the largest ratios to leave out, 0 up to 1.
    """
    logs = np.sort(np.log(np.asarray(second, np.float64) / nearest))
    count = len(logs)
    # F(mu_i) = i / n reaches 1 at the last, which therefore is always left out.
    kept = min(int(np.ceil(count * (1 - discard))), count - 1)
    logs, heights = logs[:kept], -np.log1p(-np.arange(1, kept + 1) / count)
    return float((logs * heights).sum() / (logs * logs).sum()) if logs.any() else float("nan")
