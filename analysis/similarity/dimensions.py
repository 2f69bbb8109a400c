"""The shape of one representation (n, p): how many directions it fills, and the dimension of what it lies on."""

from __future__ import annotations

import numpy as np

from analysis.similarity.arrays import CHUNK, Array, centred, namespace, raw, to_numpy


def rankme(x: Array, *, centre: bool = False) -> float:
    """Return the effective rank: the exponential of the entropy of the normalised singular values, 1 to min(n, p).

    Garrido et al. 2023 ("RankMe", equations 1 and 2), on features as they are; their epsilon of 1e-7, which keeps
    ``0 log 0`` from NaN, is replaced by its limit. Bounded by n: compare values of equal numbers of rows only.

    Args:
        x: features (n, p).
        centre: subtract the mean of each column first; without that, one large mean hides every other direction.

    Raises:
        ValueError: if values are not finite, or all rows are equal.
    """
    x = centred(x, "x") if centre else raw(x, "x")
    values = to_numpy(namespace(x).linalg.svd(x, full_matrices=False)[1])
    share = values / values.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def participation_ratio(x: Array) -> float:
    """Return ``(sum l)^2 / sum l^2`` over the eigenvalues l of the covariance, 1 to min(n - 1, p).

    Gao et al. 2017 ("A theory of multineuronal dimensionality, dynamics and measurement", equation 3). Both sums are
    traces, so no eigenvalue is computed. Bounded by n: compare values of equal numbers of rows only.

    Args:
        x: features (n, p).

    Raises:
        ValueError: as `rankme`.
    """
    x = centred(x, "x")
    product = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    return float((x * x).sum()) ** 2 / float((product * product).sum())


def twonn(x: Array, *, discard: float = 0.1) -> float:
    """Return the intrinsic dimension from the ratio of the distances to the second and the first neighbour.

    Facco et al. 2017 ("Estimating the intrinsic dimension of datasets by a minimal neighborhood information"): the
    slope through the origin of ``-log(1 - F(mu))`` over ``log mu``, with the largest ratios left out (their steps
    1 to 5). Equal rows count once, for a distance of 0 has no ratio.

    Args:
        x: features (n, p).
        discard: share of the largest ratios to leave out, 0 up to 1.

    Raises:
        ValueError: as `rankme`; fewer than 20 distinct rows; a share out of range; only grid-like distances.
    """
    if not 0 <= discard < 1:
        raise ValueError(f"discard={discard}; a share from 0 up to 1 is needed")
    x = raw(x, "x")
    xp = namespace(x)
    distinct = np.unique(x, axis=0) if xp is np else xp.unique(x, dim=0)
    n = distinct.shape[0]
    if n < 20:
        raise ValueError(f"x has {n} distinct rows of {x.shape[0]}; the ratio of two distances needs at least 20")
    nearest, second = _two_distances(distinct - distinct.mean(0))
    logs = np.sort(np.log(second / nearest))
    # F(mu_i) = i / n reaches 1 at the last, which therefore always goes.
    kept = min(int(np.ceil(n * (1 - discard))), n - 1)
    logs, heights = logs[:kept], -np.log1p(-np.arange(1, kept + 1) / n)
    if not logs.any():
        raise ValueError(
            "the first and second neighbours are equally far in every row kept, as on a grid: no dimension"
        )
    return float((logs * heights).sum() / (logs * logs).sum())


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
        # Expanded squares cancel between close rows; of the few candidates distances are taken by difference.
        difference = part[:, None] - x[near]
        found = np.sort(to_numpy((difference * difference).sum(-1)), axis=1)
        nearest.append(found[:, 0])
        second.append(found[:, 1])
    return np.sqrt(np.concatenate(nearest)), np.sqrt(np.concatenate(second))
