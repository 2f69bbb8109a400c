"""Dimensions of one representation (n, p): effective rank, participation ratio, intrinsic dimension."""

from __future__ import annotations

import numpy as np

from analysis.similarity.arrays import CHUNK, Array, centred, namespace, raw, to_numpy
from bench.metrics.representations import effective_rank, participation, twonn_dimension


def rankme(x: Array, *, centre: bool = False) -> float:
    """Return the effective rank: the exponential of the entropy of the normalised singular values, 1 to min(n, p).

    Garrido et al. 2023 ("RankMe", equations 1 and 2), on features that are not centred; their epsilon of 1e-7, which
    avoids ``0 log 0``, is replaced by the limit. Bounded by n: compare values for equal numbers of rows only.

    Args:
        x: features (n, p).
        centre: subtract the mean of each column first; otherwise one large mean dominates all other directions.

    Raises:
        ValueError: if values are not finite, or all rows are equal.

    >>> round(rankme(np.diag([2.0, 2.0, 2.0])), 6)  # three equal singular values
    3.0
    """
    x = centred(x, "x") if centre else raw(x, "x")
    return effective_rank(to_numpy(namespace(x).linalg.svd(x, full_matrices=False)[1]))


def participation_ratio(x: Array) -> float:
    """Return ``(sum l)^2 / sum l^2`` over the eigenvalues l of the covariance, 1 to min(n - 1, p).

    Gao et al. 2017 ("A theory of multineuronal dimensionality, dynamics and measurement", equation 3). Both sums are
    traces, so no eigenvalue is computed. Bounded by n: compare values for equal numbers of rows only.

    Args:
        x: features (n, p).

    Raises:
        ValueError: as `rankme`.

    >>> cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> participation_ratio(cross), participation_ratio(cross * [1.0, 0.0])  # equal variances; one direction only
    (2.0, 1.0)
    """
    x = centred(x, "x")
    product = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    return participation(float((x * x).sum()), float((product * product).sum()))


def twonn(x: Array, *, discard: float = 0.1) -> float:
    """Return the intrinsic dimension from the ratio of the distances to the second and the first neighbour.

    Facco et al. 2017 ("Estimating the intrinsic dimension of datasets by a minimal neighborhood information"): the
    slope through the origin of ``-log(1 - F(mu))`` over ``log mu``, without the largest ratios (their steps 1 to 5).
    Equal rows count once, because a distance of 0 has no ratio.

    Args:
        x: features (n, p).
        discard: share of the largest ratios to leave out, 0 up to 1.

    Raises:
        ValueError: as `rankme`; fewer than 20 distinct rows; a share out of range; only grid-like distances.

    >>> plane = np.random.default_rng(0).uniform(size=(2000, 2)) @ np.random.default_rng(1).normal(size=(2, 10))
    >>> 1.8 < twonn(plane) < 2.2  # a plane in ten dimensions
    True
    """
    if not 0 <= discard < 1:
        raise ValueError(f"discard={discard}; a share of at least 0 and below 1 is needed")
    x = raw(x, "x")
    xp = namespace(x)
    distinct = np.unique(x, axis=0) if xp is np else xp.unique(x, dim=0)
    n = distinct.shape[0]
    if n < 20:
        raise ValueError(f"x has {n} distinct rows of {x.shape[0]}; the ratio of two distances needs at least 20")
    nearest, second = _two_distances(distinct - distinct.mean(0))
    dimension = twonn_dimension(nearest, second, discard=discard)
    if np.isnan(dimension):
        raise ValueError(
            "the first and second neighbours are equally far in all rows kept, as on a grid: the dimension is undefined"
        )
    return dimension


def _two_distances(x: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances (n,) to the nearest and the second nearest of distinct rows."""
    square = (x * x).sum(1)
    nearest, second = [], []
    for start in range(0, x.shape[0], CHUNK):
        part = x[start : start + CHUNK]
        far = square[None] - 2 * (part @ x.T)
        index = list(range(part.shape[0]))
        far[index, [start + each for each in index]] = float("inf")
        if namespace(x) is np:
            near = np.argpartition(far, 4, axis=1)[:, :4]
        else:
            near = far.topk(4, dim=1, largest=False).indices
        # The expanded square cancels for close rows; distances of the few candidates are computed from differences.
        difference = part[:, None] - x[near]
        distances = np.sort(to_numpy((difference * difference).sum(-1)), axis=1)
        nearest.append(distances[:, 0])
        second.append(distances[:, 1])
    return np.sqrt(np.concatenate(nearest)), np.sqrt(np.concatenate(second))
