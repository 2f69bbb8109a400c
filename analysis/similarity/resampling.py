"""How sure a similarity is: jackknife and subsampling intervals of any measure, and the control of shuffled rows.

Rows are resampled by blocks (images, or regions where known) and never with replacement: a row drawn twice is alike to
itself in both representations, and of independent features (300 rows, 768 columns) such a bootstrap makes a debiased
CKA of 0.7.
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
    "a bootstrap with replacement is refused: a row drawn twice is alike to itself in both representations, so "
    "independent features look similar (debiased CKA of 0.7 where the truth is 0); use jackknife or subsample"
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A value with its standard error and interval; arrays of one shape for a map.

    Attributes:
        value: of all rows.
        error: standard error.
        low, high: bounds of the interval, symmetric about the value.
        level: nominal coverage.
        blocks: resampling units there are.
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
    """Return a random code (n,) of each row, 0 to blocks - 1, in blocks of equal size up to one: for a jackknife.

    Raises:
        ValueError: if there are fewer than 2 blocks, or more than rows.
    """
    if not 2 <= blocks <= rows:
        raise ValueError(f"{blocks} blocks of {rows} rows; 2 to {rows} are possible")
    return np.asarray(rng.permutation(np.arange(rows) % blocks))


def block_of_rows(blocks: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a code (n,) of each row's block, 0 to G - 1, and the blocks' sizes (G,).

    Raises:
        ValueError: if there is not one block a row, or fewer than 2 blocks.
    """
    blocks = np.asarray(blocks)
    if blocks.shape != (rows,):
        raise ValueError(f"blocks of shape {blocks.shape} for {rows} rows; give the block of each row")
    _, codes, sizes = np.unique(blocks, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError("all rows are in one block; leaving it out leaves nothing. Give at least 2, better 20 or more")
    return codes.reshape(-1), sizes


def jackknife(value: np.ndarray, without: np.ndarray, sizes: np.ndarray, *, level: float = 0.95) -> Spread:
    """Return the delete-block jackknife interval, Student's t with G - 1 degrees of freedom about the value.

    Busing, Meijer and van der Leeden 1999 ("Delete-m jackknife for unequal m", equation 3 and following), which for
    blocks of one size is ``(G - 1) / G`` times the sum of squared deviations of the leave-one-out values.

    Args:
        value: of all rows, a number or an array (...).
        without: the same without each block, (G, ...).
        sizes: rows of each block, (G,).
        level: nominal coverage.
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
    """Return the interval of any measure, computed anew for each resample.

    For CKA `analysis.similarity.cka_maps` is much faster.

    Args:
        measure: see `Measure`.
        x: features (n, p).
        y: features (n, q) of the same samples.
        blocks: (n,) resampling unit of each row; `row_blocks` draws some where all rows are equal.
        method: ``jackknife`` leaves out each block in turn; ``subsample`` takes half the blocks, without replacement,
            `draws` times (a delete-half jackknife: its spread is that of the whole, Shao and Wu 1989).
        rng: where subsamples come from.
        draws: number of subsamples.
        level: nominal coverage.

    Raises:
        ValueError: for a bootstrap with replacement, another unknown method, no `rng` where one is needed, or blocks
            that do not fit.
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
        raise ValueError("subsamples need rng, a numpy Generator")
    found = _half_draws(measure, x, y, codes, len(sizes), rng, draws)
    # The variance of a share m of n blocks about the whole is (n - m) / m times that of the whole.
    half = len(sizes) // 2
    error = np.asarray(found.std(ddof=1) * sqrt(half / (len(sizes) - half)))
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
    """Return the measure of half the blocks, `draws` times."""
    if blocks < 4:
        raise ValueError(f"{blocks} blocks; half of them tell too little: give at least 4, better 20 or more")
    found = np.empty(draws)
    for draw in range(draws):
        index = np.flatnonzero(np.isin(codes, rng.permutation(blocks)[: blocks // 2]))
        found[draw] = measure(x[index], y[index])
    return found


@dataclass(frozen=True, kw_only=True)
class Control:
    """What a measure gives once rows no longer match: its floor.

    Attributes:
        mean, deviation: over permutations of y's rows; arrays (Lx, Ly) for a map.
        permutations: how many.
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
        rng: where the orders come from.
        permutations: how many, at least 2.

    Raises:
        ValueError: for fewer than 2 permutations, or different numbers of rows.
    """
    if permutations < 2:
        raise ValueError(f"permutations={permutations}; a spread needs at least 2")
    check_same_rows(x, y)
    found = []
    for _ in range(permutations):
        order = rng.permutation(y.shape[0])
        found.append(measure(x, y[order if namespace(y) is np else order.tolist()]))
    return Control(mean=np.mean(found, 0), deviation=np.std(found, 0, ddof=1), permutations=permutations)
