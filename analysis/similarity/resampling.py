"""Intervals of a similarity: jackknife and subsampling for any measure, and the control with shuffled rows.

Rows are resampled in blocks (images, or regions if known) and never with replacement: a repeated row is equal to itself
in both representations. For independent features (300 rows, 768 columns) a bootstrap gives a debiased CKA of 0.7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from analysis.similarity.arrays import Array, check_same_rows, namespace

Measure = Callable[[Array, Array], float]
"""Features (n, p) and (n, q) of the same samples -> a number, as each of `analysis.similarity.measures` does."""

REFUSED = (
    "a bootstrap with replacement is refused: a repeated row is equal to itself in both representations, so that "
    "independent features look similar (debiased CKA of 0.7 instead of 0); use jackknife or subsample"
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A value with its standard error and interval; arrays of one shape for a map.

    Attributes:
        value: estimate from all rows.
        error: standard error.
        low, high: bounds of the interval, symmetric about the value.
        level: nominal coverage.
        blocks: number of resampling units.
        method: ``jackknife`` or ``subsample``.
    """

    value: np.ndarray
    error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float
    blocks: int
    method: str


def row_blocks(rows: int, blocks: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random block (n,) of each row, 0 to blocks - 1, for a jackknife; block sizes differ by at most one.

    Raises:
        ValueError: if there are fewer than 2 blocks, or more blocks than rows.

    >>> np.bincount(row_blocks(7, 3, np.random.default_rng(0))).tolist()
    [3, 2, 2]
    """
    if not 2 <= blocks <= rows:
        raise ValueError(f"{blocks} blocks of {rows} rows; 2 to {rows} are possible")
    return np.asarray(rng.permutation(np.arange(rows) % blocks))


def block_of_rows(blocks: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the index (n,) of each row's block, 0 to G - 1, and the blocks' sizes (G,).

    Raises:
        ValueError: if there is not one block per row, or fewer than 2 blocks.

    >>> codes, sizes = block_of_rows(np.array(["b", "a", "b"]), 3)
    >>> codes.tolist(), sizes.tolist()
    ([1, 0, 1], [1, 2])
    """
    blocks = np.asarray(blocks)
    if blocks.shape != (rows,):
        raise ValueError(f"blocks of shape {blocks.shape} for {rows} rows; give the block of each row")
    _, codes, sizes = np.unique(blocks, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError("all rows are in one block; give at least 2 blocks, better 20 or more")
    return codes.reshape(-1), sizes


def jackknife(value: np.ndarray, without: np.ndarray, sizes: np.ndarray, *, level: float = 0.95) -> Spread:
    """Return the delete-block jackknife interval, Student's t with G - 1 degrees of freedom about the value.

    Busing, Meijer and van der Leeden 1999 ("Delete-m jackknife for unequal m", equation 3 and following), which for
    blocks of one size is ``(G - 1) / G`` times the sum of squared deviations of the leave-one-out values.

    Args:
        value: estimate from all rows, a number or an array (...).
        without: the same without each block, (G, ...).
        sizes: rows of each block, (G,).
        level: nominal coverage.

    >>> x = np.array([1.0, 2.0, 4.0, 5.0])
    >>> without = np.array([np.delete(x, i).mean() for i in range(4)])
    >>> spread = jackknife(x.mean(), without, np.ones(4))
    >>> bool(np.isclose(spread.error, x.std(ddof=1) / 2))  # of a mean: the standard error
    True
    """
    value, without = np.asarray(value, np.float64), np.asarray(without, np.float64)
    count = len(sizes)
    weight = (np.sum(sizes) / np.asarray(sizes)).reshape(-1, *[1] * value.ndim)
    pseudo = weight * value - (weight - 1) * without
    centre = count * value - ((1 - 1 / weight) * without).sum(0)
    error = np.sqrt(((pseudo - centre) ** 2 / (weight - 1)).sum(0) / count)
    half = student.ppf((1 + level) / 2, count - 1) * error
    return Spread(
        value=value, error=error, low=value - half, high=value + half, level=level, blocks=count, method="jackknife"
    )


def measure_interval(
    measure: Measure,
    x: Array,
    y: Array,
    *,
    blocks: np.ndarray,
    method: str = "jackknife",
    rng: np.random.Generator | None = None,
    draws: int = 200,
    level: float = 0.95,
) -> Spread:
    """Return the interval of any measure, which is computed for every resample.

    For CKA, `analysis.similarity.cka_maps.cka_jackknife` is much faster.

    Args:
        measure: see `Measure`.
        x: features (n, p).
        y: features (n, q) of the same samples.
        blocks: (n,) resampling unit of each row; `row_blocks` draws random ones.
        method: ``jackknife`` leaves out each block in turn; ``subsample`` takes half of the blocks, without
            replacement, `draws` times (a delete-half jackknife, whose spread is that of the estimate: Shao and Wu
            1989).
        rng: source of the subsamples.
        draws: number of subsamples.
        level: nominal coverage.

    Raises:
        ValueError: for a bootstrap with replacement, an unknown method, no `rng` where one is needed, or blocks of
            another length.

    >>> from analysis.similarity.measures import procrustes
    >>> x = np.random.default_rng(0).normal(size=(40, 3))
    >>> spread = measure_interval(procrustes, x, 2 * x, blocks=np.arange(40) % 20)
    >>> round(float(spread.value), 6), round(float(spread.error), 6), spread.method
    (0.0, 0.0, 'jackknife')
    """
    if method == "bootstrap":
        raise ValueError(REFUSED)
    if method not in ("jackknife", "subsample"):
        raise ValueError(f"method={method!r}; known: jackknife, subsample")
    check_same_rows(x, y)
    codes, sizes = block_of_rows(blocks, x.shape[0])
    value = measure(x, y)
    if method == "jackknife":
        kept = (np.flatnonzero(codes != code) for code in range(len(sizes)))
        without = np.array([measure(x[index], y[index]) for index in kept])
        return jackknife(np.asarray(value), without, sizes, level=level)
    if rng is None:
        raise ValueError("method='subsample' needs rng, a numpy Generator")
    halves = _half_draws(measure, x, y, codes, len(sizes), rng, draws)
    # An estimate from m of n blocks varies about that from all with (n - m) / m times the variance of the latter.
    half = len(sizes) // 2
    error = np.asarray(halves.std(ddof=1) * sqrt(half / (len(sizes) - half)))
    reach = norm.ppf((1 + level) / 2) * error
    return Spread(
        value=np.asarray(value),
        error=error,
        low=value - reach,
        high=value + reach,
        level=level,
        blocks=len(sizes),
        method="subsample",
    )


def _half_draws(
    measure: Measure, x: Array, y: Array, codes: np.ndarray, blocks: int, rng: np.random.Generator, draws: int
) -> np.ndarray:
    """Return the measure of half of the blocks, `draws` times."""
    if blocks < 4:
        raise ValueError(f"{blocks} blocks are too few to halve; give at least 4, better 20 or more")
    values = np.empty(draws)
    for draw in range(draws):
        index = np.flatnonzero(np.isin(codes, rng.permutation(blocks)[: blocks // 2]))
        values[draw] = measure(x[index], y[index])
    return values


@dataclass(frozen=True, kw_only=True)
class Control:
    """Value of a measure for rows that do not match: its floor.

    Attributes:
        mean, deviation: over permutations of y's rows; arrays (Lx, Ly) for a map.
        permutations: number of permutations.
    """

    mean: np.ndarray
    deviation: np.ndarray
    permutations: int


def permutation_control(
    measure: Measure, x: Array, y: Array, *, rng: np.random.Generator, permutations: int = 20
) -> Control:
    """Return mean and standard deviation of a measure over random orders of y's rows.

    Args:
        measure: see `Measure`.
        x: features (n, p).
        y: features (n, q).
        rng: source of the orders.
        permutations: number of orders, at least 2.

    Raises:
        ValueError: for fewer than 2 permutations, or different numbers of rows.

    >>> from analysis.similarity.measures import linear_cka
    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> control = permutation_control(linear_cka, x, x, rng=np.random.default_rng(1), permutations=50)
    >>> bool(abs(control.mean) < 3 * control.deviation / np.sqrt(50))
    True
    """
    if permutations < 2:
        raise ValueError(f"permutations={permutations}; a spread needs at least 2")
    check_same_rows(x, y)
    values = []
    for _ in range(permutations):
        order = rng.permutation(y.shape[0])
        values.append(measure(x, y[order if namespace(y) is np else order.tolist()]))
    return Control(mean=np.mean(values, 0), deviation=np.std(values, 0, ddof=1), permutations=permutations)
