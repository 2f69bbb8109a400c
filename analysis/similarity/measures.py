"""Similarity of two representations of the same samples: measures of arrays (n, p) and (n, q) with matched rows.

Debiased linear CKA is the default. The biased estimate of independent noise is near ``p / (n + p)``, so it makes a wide
layer look more similar than a narrow one. The other measures complement CKA, as no single measure is sensitive to all
differences (Davari et al. 2022, "Reliability of CKA as a similarity measure in deep learning"). All take numpy arrays
or torch tensors, compute in float64 and return a float. Layer x layer maps are in `analysis.similarity.cka_maps`, sums
over more rows than fit in memory in `analysis.similarity.streaming`, intervals and controls in
`analysis.similarity.resampling`.
"""

from __future__ import annotations

from math import asin, sqrt

import numpy as np
from scipy.stats import rankdata

from analysis.similarity.arrays import CHUNK, Array, centred_pair, check_same_rows, namespace, raw, same_kind, to_numpy
from analysis.similarity.hsic import alignment, hsic, least_rows, warn_biased


def linear_cka(x: Array, y: Array, *, debiased: bool = True) -> float:
    """Return linear CKA, at most 1; debiased, it has expectation 0 for independent features and may be negative.

    Kornblith et al. 2019 ("Similarity of neural network representations revisited", equations 3 and 4); debiased with
    the unbiased HSIC of Song et al. 2012 (equation 5), as in Nguyen et al. 2021. Invariant to rotation, isotropic
    scaling and shifts. The Gram or the feature form is used, whichever is cheaper; they are equal.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples in the same order.
        debiased: see above; use the biased estimate only to compare with published values.

    Raises:
        ValueError: if numbers of rows differ or are below 4 (2 if biased), values are not finite, or features are
            constant.

    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    >>> round(linear_cka(x, x @ np.array([[0.0, 1.0], [-1.0, 0.0]])), 6)  # a rotation
    1.0
    >>> centred = x - x.mean(0)
    >>> by_hand = np.linalg.norm(centred.T @ centred[:, :1]) ** 2 / (
    ...     np.linalg.norm(centred.T @ centred) * np.linalg.norm(centred[:, :1].T @ centred[:, :1]))
    >>> bool(np.isclose(linear_cka(x, x[:, :1], debiased=False), by_hand))  # equation 4
    True
    """
    x, y = centred_pair(x, y, least_rows(debiased))
    (n, p), q = x.shape, y.shape[1]
    if not debiased:
        warn_biased(n, p, q)
    if n * (p + q) < p * q + p * p + q * q:
        return _cka_of_grams(x @ x.T, y @ y.T, debiased)
    square_x, square_y = (x * x).sum(1), (y * y).sum(1)
    sums = []
    for a, b, of_a, of_b in ((x, y, square_x, square_y), (x, x, square_x, square_x), (y, y, square_y, square_y)):
        product = a.T @ b
        terms = ((product * product).sum(), (of_a * of_b).sum(), of_a.sum(), of_b.sum())
        sums.append([float(term) for term in terms])
    return _cka_of_sums(sums, n, debiased)


def _cka_of_grams(k: Array, m: Array, debiased: bool) -> float:
    """Return CKA of two Gram matrices (n, n) whose rows sum to 0."""
    xp = namespace(k)
    of_k, of_m = xp.diagonal(k), xp.diagonal(m)
    sums = []
    for a, b, of_a, of_b in ((k, m, of_k, of_m), (k, k, of_k, of_k), (m, m, of_m, of_m)):
        terms = (xp.einsum("ij,ij->", a, b), (of_a * of_b).sum(), of_a.sum(), of_b.sum())
        sums.append([float(term) for term in terms])
    return _cka_of_sums(sums, k.shape[0], debiased)


def _cka_of_sums(sums: list[list[float]], rows: int, debiased: bool) -> float:
    """Return CKA from the terms of `hsic` for x with y, x with x and y with y."""
    products, shared, spread_x, spread_y = np.array(sums).T
    cross, own_x, own_y = np.split(hsic(products, shared, spread_x, spread_y, rows, debiased=debiased), 3)
    bare = products / rows**2
    return float(alignment(cross[None], own_x, own_y, (bare[1:2], bare[2:]))[0, 0])


def rbf_cka(x: Array, y: Array, *, threshold: float = 0.5, debiased: bool = True) -> float:
    """Return CKA of Gaussian kernels ``exp(-d^2 / (2 s^2))`` with s = `threshold` times the median distance.

    Kornblith et al. 2019, section 3 and their code: the median is over all n^2 distances of each array, including the
    zeros of the diagonal. A large threshold gives linear CKA, with an error that falls as ``threshold^-2``
    (Alvarez 2021, "Gaussian RBF CKA in the large bandwidth limit").

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        threshold: bandwidth in median distances, above 0.
        debiased: as in `linear_cka`; HSIC is unbiased except that the bandwidth comes from the same rows.

    Raises:
        ValueError: as `linear_cka`; a threshold that is not positive; a median distance of 0.

    >>> x = np.random.default_rng(0).normal(size=(40, 3))
    >>> y = x @ np.random.default_rng(1).normal(size=(3, 5))
    >>> abs(rbf_cka(x, y, threshold=1000.0) - linear_cka(x, y)) < 1e-4  # the limit of a wide kernel
    True
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
            raise ValueError(
                f"{name}: the median distance is 0, because half of the pairs of rows are equal; use linear_cka"
            )
        gram = xp.exp(distances / (-2 * threshold**2 * median))
        mean = gram.mean(0)
        grams.append(gram - mean[None] - mean[:, None] + mean.mean())
    return _cka_of_grams(grams[0], grams[1], debiased)


def squared_distances(x: Array) -> Array:
    """Return squared Euclidean distances (n, n) between rows of centred features; the diagonal is exactly 0.

    >>> squared_distances(np.array([[-1.5, -2.0], [1.5, 2.0]]))
    array([[ 0., 25.],
           [25.,  0.]])
    """
    square = (x * x).sum(1)
    distances = (square[:, None] + square[None] - 2 * (x @ x.T)).clip(0)
    index = list(range(x.shape[0]))
    distances[index, index] = 0
    return distances


def _reduced(x: Array) -> Array:
    """Return features (n, min(n, p)) equal to x up to a rotation of its columns."""
    if x.shape[1] <= x.shape[0]:
        return x
    return namespace(x).linalg.qr(x.T)[1].T


def procrustes(x: Array, y: Array, *, angular: bool = False) -> float:
    """Return the orthogonal Procrustes distance of centred features of unit norm: 0 for rotations, at most sqrt 2.

    ``min_R |X R - Y|_F = sqrt(2 - 2 |X'Y|_*)`` over rotations R (Schönemann 1966; Ding et al. 2021, "Grounding
    representation similarity through statistical testing", section 2, give its square). Both forms are metrics
    (Williams et al. 2021, "Generalized shape metrics on neural representations"). The narrower array is treated as
    padded with zero columns. scipy's disparity is ``1 - |X'Y|_*^2``.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        angular: return ``arccos |X'Y|_*`` instead, 0 to pi / 2.

    Raises:
        ValueError: as `linear_cka`, but for fewer than 2 rows.

    >>> from scipy.spatial import procrustes as scipy_procrustes
    >>> x = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    >>> y = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 2.0], [1.0, 3.0]])
    >>> nuclear = 1 - procrustes(x, y) ** 2 / 2
    >>> bool(np.isclose(1 - nuclear**2, scipy_procrustes(x, y)[2]))
    True
    """
    x, y = (_reduced(each) for each in centred_pair(x, y))
    xp = namespace(x)
    x, y = x / xp.sqrt((x * x).sum()), y / xp.sqrt((y * y).sum())
    left, _, right = xp.linalg.svd(x.T @ y, full_matrices=False)
    # From the residuals, because 2 - 2 |X'Y|_* resolves a distance of 0 to 1e-8 only.
    turned_x, turned_y = x @ left, y @ right.T
    residuals = (turned_x - turned_y, x - turned_x @ left.T, y - turned_y @ right)
    distance = min(sqrt(sum(float((each * each).sum()) for each in residuals)), sqrt(2))
    return 2 * asin(distance / 2) if angular else distance


def canonical_correlations(x: Array, y: Array, *, variance: float = 0.99) -> np.ndarray:
    """Return the canonical correlations, descending, of the leading principal components of both arrays.

    Raghu et al. 2017 ("SVCCA: singular vector canonical correlation analysis", section 2): each array is cut to the
    fewest singular directions that hold `variance` of its variance.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        variance: share of variance to keep, above 0 and at most 1.

    Raises:
        ValueError: as `linear_cka`; or the number of kept directions is so large that any n rows correlate perfectly.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> canonical_correlations(x, x @ np.array([[2.0, 1.0], [0.0, 3.0]]), variance=1.0).round(6)  # any linear map
    array([1., 1.])
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
    correlations = to_numpy(namespace(x).linalg.svd(bases[0].T @ bases[1], full_matrices=False)[1])
    return correlations.clip(0, 1)


def svcca(x: Array, y: Array, *, variance: float = 0.99) -> float:
    """Return the mean canonical correlation of the components with `variance` of each array's variance, 0 to 1.

    Raghu et al. 2017, section 2. Independent features score well above 0 unless n is many times the directions kept:
    compare it with `analysis.similarity.resampling.permutation_control`.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        variance: share of variance to keep.

    Raises:
        ValueError: as `canonical_correlations`.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(svcca(x, x @ np.array([[2.0, 1.0], [0.0, 3.0]]), variance=1.0), 6)
    1.0
    """
    return float(canonical_correlations(x, y, variance=variance).mean())


def mutual_knn(x: Array, y: Array, *, k: int = 10, metric: str = "cosine") -> float:
    """Return the mean share of a row's k nearest neighbours that both arrays agree on, 0 to 1; chance is k / (n - 1).

    Huh et al. 2024 ("The platonic representation hypothesis", appendix A: k = 10, cosine, not centred). The order of
    rows decides between neighbours at equal distance.

    Args:
        x: features (n, p).
        y: features (n, q) of the same samples.
        k: neighbours, 1 to n - 2.
        metric: ``cosine`` or ``euclidean``.

    Raises:
        ValueError: as `linear_cka`; k out of range; an unknown metric; a row of zeros under ``cosine``.

    >>> x, y = np.array([[0.0], [1.0], [3.0], [7.0]]), np.array([[0.0], [1.0], [7.0], [3.0]])
    >>> mutual_knn(x, y, k=1, metric="euclidean")  # rows 0 and 1 have the same nearest row in both, 2 and 3 have not
    0.5
    """
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric={metric!r}; known: cosine, euclidean")
    x, y = same_kind(raw(x, "x", 3), raw(y, "y", 3))
    check_same_rows(x, y)
    n = x.shape[0]
    if not 1 <= k <= n - 2:
        raise ValueError(f"k={k} neighbours of {n} rows; 1 to {n - 2} are informative")
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
    """Return the indices (b, k) of the rows nearest to each of up to CHUNK rows from `start`, themselves excluded."""
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
        ValueError: as `linear_cka`; an unknown dissimilarity; a row that is constant over columns; all pairs equal.

    >>> from scipy.spatial.distance import pdist
    >>> from scipy.stats import spearmanr
    >>> x = np.array([[0.0, 1.0], [2.0, 0.0], [5.0, 5.0], [1.0, 7.0]])
    >>> y = np.array([[1.0], [2.0], [8.0], [4.0]])
    >>> expected = spearmanr(pdist(x), pdist(y)).statistic
    >>> bool(np.isclose(rsa(x, y, dissimilarity="euclidean"), expected))
    True
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
            raise ValueError(f"{name}: all pairs of rows are equally dissimilar and have no order")
        ranks.append(rank)
    return float(ranks[0] @ ranks[1] / sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
