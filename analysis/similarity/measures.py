"""How alike two representations of the same samples are: measures of arrays (n, p) and (n, q), rows matched.

Debiased linear CKA comes first. The biased estimate of independent noise is near ``p / (n + p)``, so it makes a wide
layer look more similar than a narrow one; the others stand beside it, for no single measure sees everything (Davari et
al. 2022, "Reliability of CKA as a similarity measure in deep learning"). All take numpy arrays or torch tensors, work
in float64, and return a float. Layer x layer maps are in `analysis.similarity.cka_maps`, sums for what no memory holds
in `analysis.similarity.streaming`, intervals and controls in `analysis.similarity.resampling`.
"""

from __future__ import annotations

import warnings
from math import asin, sqrt
from typing import Any

import numpy as np
from scipy.stats import rankdata

from analysis.similarity.arrays import CHUNK, Array, centred_pair, check_same_rows, namespace, raw, same_kind, to_numpy

UNRESOLVED = 1e-12  # of the Gram's own sum of squares: less is rounding


def hsic(
    products: Any, shared: Any, spread_x: Any, spread_y: Any, rows: float | np.ndarray, *, debiased: bool = True
) -> Any:
    """Return HSIC of two linear kernels of centred features, from four sums; scalars or arrays of pairs.

    With ``K = X X'``, ``L = Y Y'`` and ``1'K = 1'L = 0`` the terms of Song et al. 2012 ("Feature selection via
    dependence maximization", equation 5) become ``tr(K~L~) = |X'Y|^2 - S``, ``1'K~ L~1 = S``, ``1'K~1 = -tr K``.

    Args:
        products: ``sum_ij K_ij L_ij``, which is ``|X'Y|^2``.
        shared: ``S = sum_i K_ii L_ii``.
        spread_x: trace of K.
        spread_y: trace of L.
        rows: n, at least 4 where debiased.
        debiased: the unbiased estimate, else Gretton et al. 2005 (``/ (n - 1)^2``).
    """
    if not debiased:
        return products / (rows - 1) ** 2
    corrected = products - rows / (rows - 2) * shared + spread_x * spread_y / ((rows - 1) * (rows - 2))
    return corrected / (rows * (rows - 3))


def alignment(
    cross: np.ndarray, own_x: np.ndarray, own_y: np.ndarray, scales: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return CKA (Lx, Ly) from HSICs, not clipped: a debiased estimate of no similarity is as often negative.

    Args:
        cross: (Lx, Ly).
        own_x: (Lx,), of each layer of x with itself.
        own_y: (Ly,), likewise.
        scales: the same without their corrections, to tell what is left from rounding.

    Raises:
        ValueError: naming the layer of which nothing is left.
    """
    for own, scale, name in ((own_x, scales[0], "x"), (own_y, scales[1], "y")):
        lost = np.flatnonzero(own <= UNRESOLVED * scale)
        if len(lost):
            raise ValueError(
                f"layer {lost[0]} of {name}: no variation is left to compare, as where all rows but one are equal; "
                "drop the layer or the outlying row"
            )
    return np.asarray(cross / np.sqrt(own_x[:, None] * own_y))


def least_rows(debiased: bool) -> int:
    """Return how many rows CKA needs: 4 for the unbiased HSIC, which divides by ``n - 3``, else 2."""
    return 4 if debiased else 2


def warn_biased(rows: int, wide_x: int, wide_y: int) -> None:
    """Warn that a biased estimate of fewer rows than columns is mostly bias."""
    if rows < max(wide_x, wide_y):
        expected = 1 / sqrt((1 + rows / wide_x) * (1 + rows / wide_y))
        warnings.warn(
            f"biased CKA of {rows} rows with {wide_x} and {wide_y} columns: independent noise scores up to "
            f"{expected:.2f}; use debiased=True",
            RuntimeWarning,
            stacklevel=3,
        )


def linear_cka(x: Array, y: Array, *, debiased: bool = True) -> float:
    """Return linear CKA: at most 1; 0 expected of independent features where debiased, which may be negative.

    Kornblith et al. 2019 ("Similarity of neural network representations revisited", equations 3 and 4); debiased with
    the unbiased HSIC of Song et al. 2012 (equation 5), as Nguyen et al. 2021. Unchanged by rotation, by one factor
    over all columns and by shifts. The Gram or the feature form is taken, whichever costs less; they are equal.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples in the same order.
        debiased: see above; the biased estimate is for comparison with published figures.

    Raises:
        ValueError: if rows differ or are fewer than 4 (2 where biased), values are not finite, or features constant.
    """
    x, y = centred_pair(x, y, least_rows(debiased))
    (n, p), q = x.shape, y.shape[1]
    if not debiased:
        warn_biased(n, p, q)
    if n * (p + q) < p * q + p * p + q * q:
        return _cka_of_grams(x @ x.T, y @ y.T, debiased)
    square_x, square_y = (x * x).sum(1), (y * y).sum(1)
    found = []
    for a, b, of_a, of_b in ((x, y, square_x, square_y), (x, x, square_x, square_x), (y, y, square_y, square_y)):
        product = a.T @ b
        terms = ((product * product).sum(), (of_a * of_b).sum(), of_a.sum(), of_b.sum())
        found.append([float(term) for term in terms])
    return _cka_of_sums(found, n, debiased)


def _cka_of_grams(k: Array, m: Array, debiased: bool) -> float:
    """Return CKA of two Gram matrices (n, n) whose rows sum to 0."""
    xp = namespace(k)
    of_k, of_m = xp.diagonal(k), xp.diagonal(m)
    found = []
    for a, b, of_a, of_b in ((k, m, of_k, of_m), (k, k, of_k, of_k), (m, m, of_m, of_m)):
        terms = (xp.einsum("ij,ij->", a, b), (of_a * of_b).sum(), of_a.sum(), of_b.sum())
        found.append([float(term) for term in terms])
    return _cka_of_sums(found, k.shape[0], debiased)


def _cka_of_sums(found: list[list[float]], rows: int, debiased: bool) -> float:
    """Return CKA from the terms of `hsic` for x with y, x with x and y with y."""
    products, shared, spread_x, spread_y = np.array(found).T
    cross, own_x, own_y = np.split(hsic(products, shared, spread_x, spread_y, rows, debiased=debiased), 3)
    bare = products / rows**2
    return float(alignment(cross[None], own_x, own_y, (bare[1:2], bare[2:]))[0, 0])


def rbf_cka(x: Array, y: Array, *, threshold: float = 0.5, debiased: bool = True) -> float:
    """Return CKA of Gaussian kernels ``exp(-d^2 / (2 s^2))`` with s = `threshold` times the median distance.

    Kornblith et al. 2019, section 3 and their code: the median is over all n^2 distances of each array, the zeros of
    the diagonal among them. A large threshold gives linear CKA, with an error that falls as ``threshold^-2``
    (Alvarez 2021, "Gaussian RBF CKA in the large bandwidth limit").

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        threshold: bandwidth in median distances, above 0.
        debiased: as in `linear_cka`; HSIC is unbiased, up to the bandwidth having been read from the same rows.

    Raises:
        ValueError: as `linear_cka`; a threshold that is not positive; a median distance of 0.
    """
    if not threshold > 0:
        raise ValueError(f"threshold={threshold}; the bandwidth must be positive")
    x, y = centred_pair(x, y, least_rows(debiased))
    grams = []
    for features, name in ((x, "x"), (y, "y")):
        xp = namespace(features)
        distances = squared_distances(features)
        flat = distances.reshape(-1)
        median = float(
            np.median(flat) if xp is np else xp.sort(flat).values[[(len(flat) - 1) // 2, len(flat) // 2]].mean()
        )
        if median <= 0:
            raise ValueError(f"{name}: the median distance is 0, for half the pairs of rows are equal; use linear_cka")
        gram = xp.exp(distances / (-2 * threshold**2 * median))
        mean = gram.mean(0)
        grams.append(gram - mean[None] - mean[:, None] + mean.mean())
    return _cka_of_grams(grams[0], grams[1], debiased)


def squared_distances(x: Array) -> Array:
    """Return squared Euclidean distances (n, n) between rows of centred features; the diagonal is 0 exactly."""
    square = (x * x).sum(1)
    distances = (square[:, None] + square[None] - 2 * (x @ x.T)).clip(0)
    index = list(range(x.shape[0]))
    distances[index, index] = 0
    return distances


def _reduced(x: Array) -> Array:
    """Return features (n, min(n, p)) that differ from x by a rotation of its columns alone."""
    if x.shape[1] <= x.shape[0]:
        return x
    return namespace(x).linalg.qr(x.T)[1].T


def procrustes(x: Array, y: Array, *, angular: bool = False) -> float:
    """Return the orthogonal Procrustes distance of centred features of unit norm: 0 up to rotation, at most sqrt 2.

    ``min_R |X R - Y|_F = sqrt(2 - 2 |X'Y|_*)`` over rotations R (Schönemann 1966; Ding et al. 2021, "Grounding
    representation similarity through statistical testing", section 2, give its square). Both forms are metrics
    (Williams et al. 2021, "Generalized shape metrics on neural representations"). The narrower array counts as padded
    with zero columns. scipy's disparity is ``1 - |X'Y|_*^2``.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        angular: return ``arccos |X'Y|_*`` instead, 0 to pi / 2.

    Raises:
        ValueError: as `linear_cka`, for fewer than 2 rows.
    """
    x, y = (_reduced(each) for each in centred_pair(x, y))
    xp = namespace(x)
    x, y = x / xp.sqrt((x * x).sum()), y / xp.sqrt((y * y).sum())
    left, _, right = xp.linalg.svd(x.T @ y, full_matrices=False)
    # From the residuals, not from 2 - 2 |X'Y|_*, which knows a distance of 0 to 1e-8 only.
    turned_x, turned_y = x @ left, y @ right.T
    residuals = (turned_x - turned_y, x - turned_x @ left.T, y - turned_y @ right)
    distance = min(sqrt(sum(float((each * each).sum()) for each in residuals)), sqrt(2))
    return 2 * asin(distance / 2) if angular else distance


def canonical_correlations(x: Array, y: Array, *, variance: float = 0.99) -> np.ndarray:
    """Return the canonical correlations, falling, of the leading principal components of both arrays.

    Raghu et al. 2017 ("SVCCA: singular vector canonical correlation analysis", section 2): each array is cut to the
    fewest singular directions that hold `variance` of its variance.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        variance: share of variance to keep, above 0 and at most 1.

    Raises:
        ValueError: as `linear_cka`; or so many directions kept that n rows correlate perfectly whatever they hold.
    """
    if not 0 < variance <= 1:
        raise ValueError(f"variance={variance}; a share above 0 and at most 1 is needed")
    x, y = centred_pair(x, y)
    bases = []
    for features in (x, y):
        left, values, _ = namespace(features).linalg.svd(features, full_matrices=False)
        held = to_numpy(values) ** 2
        held = held[: np.searchsorted(-held, -(held[0] * (np.finfo(np.float64).eps * max(features.shape)) ** 2))]
        share = np.cumsum(held) / held.sum()
        bases.append(left[:, : min(int(np.searchsorted(share, variance * (1 - 1e-12))) + 1, len(held))])
    kept, n = [basis.shape[1] for basis in bases], x.shape[0]
    if sum(kept) >= n:
        raise ValueError(
            f"{kept[0]} and {kept[1]} directions hold {variance:.0%} of the variance, and {n} rows correlate in "
            f"{sum(kept) - n + 1} of them by construction; give more than {sum(kept)} rows, or a lower variance"
        )
    found = to_numpy(namespace(x).linalg.svd(bases[0].T @ bases[1], full_matrices=False)[1])
    return found.clip(0, 1)


def svcca(x: Array, y: Array, *, variance: float = 0.99) -> float:
    """Return the mean canonical correlation after a cut to `variance` of each array's variance, 0 to 1.

    Raghu et al. 2017, section 2. Independent features score well above 0 unless n is many times the directions kept:
    read it beside its permutation control.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        variance: share of variance to keep.

    Raises:
        ValueError: as `canonical_correlations`.
    """
    return float(canonical_correlations(x, y, variance=variance).mean())


def mutual_knn(x: Array, y: Array, *, k: int = 10, metric: str = "cosine") -> float:
    """Return the mean share of a row's k nearest neighbours that both arrays agree on, 0 to 1; chance is k / (n - 1).

    Huh et al. 2024 ("The platonic representation hypothesis", appendix A: k = 10, cosine, not centred). Which of
    several neighbours at one distance counts is left to the order of rows.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        k: neighbours, 1 to n - 2.
        metric: ``cosine`` or ``euclidean``.

    Raises:
        ValueError: as `linear_cka`; k out of range; an unknown metric; a row of zeros under ``cosine``.
    """
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric={metric!r}; known: cosine, euclidean")
    x, y = same_kind(raw(x, "x", 3), raw(y, "y", 3))
    check_same_rows(x, y)
    n = x.shape[0]
    if not 1 <= k <= n - 2:
        raise ValueError(f"k={k} neighbours of {n} rows; 1 to {n - 2} can tell anything")
    pairs = [_comparable(x, "x", metric), _comparable(y, "y", metric)]
    agreed = 0
    for start in range(0, n, CHUNK):
        near_x, near_y = (_nearest(z, half, start, k) for z, half in pairs)
        agreed += int((near_x[:, :, None] == near_y[:, None, :]).sum())
    return float(agreed / (n * k))


def _comparable(x: Array, name: str, metric: str) -> tuple[Array, Array]:
    """Return rows z and offsets such that ``z_i'z_j - offset_j`` falls with the distance of i and j."""
    xp = namespace(x)
    if metric == "euclidean":
        x = x - x.mean(0)
        return x, (x * x).sum(1) / 2
    norms = xp.sqrt((x * x).sum(1))
    empty = int((norms == 0).sum())
    if empty:
        raise ValueError(f"{name}: {empty} rows are all zeros and have no direction; use metric='euclidean'")
    return x / norms[:, None], xp.zeros_like(norms)


def _nearest(z: Array, offset: Array, start: int, k: int) -> np.ndarray:
    """Return the indices (b, k) of the rows nearest to each of up to CHUNK rows from `start`, themselves left out."""
    xp = namespace(z)
    closeness = z[start : start + CHUNK] @ z.T - offset[None]
    index = list(range(closeness.shape[0]))
    closeness[index, [start + each for each in index]] = -float("inf")
    if xp is np:
        return np.argpartition(-closeness, k - 1, axis=1)[:, :k]
    return np.asarray(closeness.topk(k, dim=1).indices.cpu().numpy())


def rsa(x: Array, y: Array, *, dissimilarity: str = "correlation") -> float:
    """Return the Spearman correlation of the two vectors of n (n - 1) / 2 pairwise dissimilarities, -1 to 1.

    Representational similarity analysis (Kriegeskorte et al. 2008): dissimilarity of two samples is one minus the
    Pearson correlation of their features, or their Euclidean distance. Ties get mean ranks.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        dissimilarity: ``correlation`` or ``euclidean``.

    Raises:
        ValueError: as `linear_cka`; an unknown dissimilarity; a row that is constant over columns; all pairs alike.
    """
    if dissimilarity not in ("correlation", "euclidean"):
        raise ValueError(f"dissimilarity={dissimilarity!r}; known: correlation, euclidean")
    check_same_rows(x := raw(x, "x", 3), y := raw(y, "y", 3))
    ranks = []
    for features, name in ((x, "x"), (y, "y")):
        if dissimilarity == "euclidean":
            square = squared_distances(features - features.mean(0))
        else:
            deviation = features - features.mean(1)[:, None]
            norms = namespace(features).sqrt((deviation * deviation).sum(1))
            flat = int((norms <= 1e-13 * abs(features).max()).sum())
            if flat:
                raise ValueError(
                    f"{name}: {flat} rows are constant over columns and correlate with nothing; use euclidean"
                )
            unit = deviation / norms[:, None]
            square = 1 - unit @ unit.T
        values = to_numpy(square)[np.triu_indices(features.shape[0], 1)]
        rank = rankdata(values)
        rank -= rank.mean()
        if not rank.any():
            raise ValueError(f"{name}: all pairs of rows are equally dissimilar, which orders nothing")
        ranks.append(rank)
    return float(ranks[0] @ ranks[1] / sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
