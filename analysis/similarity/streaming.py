"""Streaming CKA: exact maps of two models from one pass over rows, equal to the full batch; workers can be merged.

Rows are kept until they need more memory than the moments (more rows than the layers are wide); then moments replace
them, and memory no longer grows with the number of rows. Both states are exact for any chunking and order of merging.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from analysis.similarity.arrays import Array, cast, check_mean, namespace, to_numpy
from analysis.similarity.grams import Assembled, checked, gram_map, read
from analysis.similarity.hsic import hsic, least_rows
from analysis.similarity.resampling import Spread, jackknife

FOLD = 256  # rows per product of moments


class Moments:
    """Centred sums over rows of two stacks of layers, from which HSIC of every pair of layers follows.

    For rows x (p,) and y (q,) of one pair of layers; deviations are from the mean of all rows so far.

    Attributes:
        rows: n.
        mean: columns' means of both stacks, (P,) and (Q,), P and Q the summed widths.
        spread: ``sum |x|^2`` of each layer, (Lx,) and (Ly,).
        product: ``sum x y'``, (P, Q).
        lean_y, lean_x: ``sum |x|^2 y``, (Lx, Q), and ``sum |y|^2 x``, (Ly, P).
        shared: ``sum |x|^2 |y|^2``, (Lx, Ly).
    """

    def __init__(self, widths: tuple[Sequence[int], Sequence[int]], like: Array) -> None:
        xp = namespace(like)
        place: dict[str, object] = {"dtype": xp.float64} if xp is np else {"dtype": xp.float64, "device": like.device}
        self.edges = tuple([0, *np.cumsum(each).tolist()] for each in widths)
        (p, q), (layers_x, layers_y) = (edges[-1] for edges in self.edges), (len(each) for each in widths)
        self.rows = 0
        self.mean = [xp.zeros(p, **place), xp.zeros(q, **place)]
        self.spread = [xp.zeros(layers_x, **place), xp.zeros(layers_y, **place)]
        self.product = xp.zeros((p, q), **place)
        self.lean_y, self.lean_x = xp.zeros((layers_x, q), **place), xp.zeros((layers_y, p), **place)
        self.shared = xp.zeros((layers_x, layers_y), **place)

    def slices(self, side: int) -> list[slice]:
        """Return the columns of each layer of stack 0 or 1."""
        edges = self.edges[side]
        return [slice(start, stop) for start, stop in pairwise(edges)]

    def add(self, x: Array, y: Array, kind: str = "float64") -> None:
        """Add rows (b, P) and (b, Q) in float64; products are computed in `kind` and summed in float64."""
        count, n = x.shape[0], self.rows
        # Deviations of the chunk, not raw values, are summed: a large mean would cost digits.
        step_x, step_y = (
            (each - mean).mean(0) * (count / (n + count)) for each, mean in zip((x, y), self.mean, strict=True)
        )
        spread_x, spread_y, self.lean_y, self.lean_x, self.shared = self._moved(step_x, step_y)
        self.mean = [self.mean[0] + step_x, self.mean[1] + step_y]
        x, y = x - self.mean[0], y - self.mean[1]
        squares_x, squares_y = (
            namespace(x).stack([(each[:, part] * each[:, part]).sum(1) for part in self.slices(side)])
            for side, each in enumerate((x, y))
        )
        narrow_x, narrow_y = cast(x, kind), cast(y, kind)
        for part in self.slices(0):  # one layer at a time: the whole product may take a gigabyte
            self.product[part] += (n * step_x[part])[:, None] * step_y[None]
            self.product[part] += cast(narrow_x[:, part].T @ narrow_y, "float64")
        self.lean_y += squares_x @ y
        self.lean_x += squares_y @ x
        self.shared += squares_x @ squares_y.T
        self.spread = [spread_x + squares_x.sum(1), spread_y + squares_y.sum(1)]
        self.rows = n + count

    def merge(self, other: Moments, sign: int = 1) -> None:
        """Add the rows of `other`, or remove them with a sign of -1."""
        n, more = self.rows, sign * other.rows
        step_x, step_y = ((b - a) * (more / (n + more)) for a, b in zip(self.mean, other.mean, strict=True))
        mean = [self.mean[0] + step_x, self.mean[1] + step_y]
        back_x, back_y = (a - b for a, b in zip(mean, other.mean, strict=True))
        # Both are moved before the products change, because moving reads them.
        mine, theirs = self._moved(step_x, step_y), other._moved(back_x, back_y)
        spread_x, spread_y, self.lean_y, self.lean_x, self.shared = (
            a + sign * b for a, b in zip(mine, theirs, strict=True)
        )
        for part in self.slices(0):
            self.product[part] += (n * step_x[part])[:, None] * step_y[None]
            self.product[part] += sign * other.product[part] + (more * back_x[part])[:, None] * back_y[None]
        self.mean, self.spread, self.rows = mean, [spread_x, spread_y], n + more

    def _moved(self, step_x: Array, step_y: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Return both spreads, both leans and the shared sums about the mean moved by the steps (P,) and (Q,).

        ``|x - d|^2 |y - e|^2`` and the others are expanded; terms with ``sum x = sum y = 0`` vanish.
        """
        spread_x, spread_y = self.spread
        if not self.rows:
            return spread_x, spread_y, self.lean_y, self.lean_x, self.shared
        xp, parts_x, parts_y = namespace(step_x), self.slices(0), self.slices(1)
        long_x = xp.stack([(step_x[part] * step_x[part]).sum() for part in parts_x])
        long_y = xp.stack([(step_y[part] * step_y[part]).sum() for part in parts_y])
        along_x = xp.stack([step_x[part] @ self.product[part] for part in parts_x])
        along_y = xp.stack([self.product[:, part] @ step_y[part] for part in parts_y])
        both = xp.stack([along_x[:, part] @ step_y[part] for part in parts_y], 1)
        lean_y = xp.stack([self.lean_y[:, part] @ step_y[part] for part in parts_y], 1)
        lean_x = xp.stack([self.lean_x[:, part] @ step_x[part] for part in parts_x], 1).T
        moved_x, moved_y = spread_x + self.rows * long_x, spread_y + self.rows * long_y
        shared = self.shared + 4 * both - 2 * (lean_y + lean_x)
        shared = shared + spread_x[:, None] * long_y[None] + long_x[:, None] * moved_y[None]
        return (
            moved_x,
            moved_y,
            self.lean_y - 2 * along_x - moved_x[:, None] * step_y[None],
            self.lean_x - 2 * along_y - moved_y[:, None] * step_x[None],
            shared,
        )

    def hsic(self, debiased: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return HSIC of every pair (Lx, Ly), and the sum of the magnitudes of its terms, to measure cancellation."""
        products = np.empty(tuple(self.shared.shape))
        for i, rows in enumerate(self.slices(0)):
            for j, columns in enumerate(self.slices(1)):
                products[i, j] = float((self.product[rows, columns] * self.product[rows, columns]).sum())
        spread_x, spread_y = (to_numpy(spread) for spread in self.spread)
        shared = to_numpy(self.shared)
        values = hsic(products, shared, spread_x[:, None], spread_y[None], self.rows, debiased=debiased)
        sizes = hsic(products, -shared, spread_x[:, None], spread_y[None], self.rows, debiased=debiased)
        return values, sizes


class CkaStream:
    """The layer x layer CKA map of two models, from chunks of rows.

    Pass every chunk to `add`, `merge` the streams of workers, and call `cka`. In float64 the result equals that of all
    rows at once to 1e-12. (A mean of CKA values over chunks would be biased.)

    Args:
        rows_kept: number of rows kept before they are replaced by moments; by default the number at which both need the
            same memory, ``P Q / (P + Q)`` for summed widths P and Q. 0 uses moments from the start.
        kind: dtype of the products, which are summed in float64: ``float64``, or ``float32`` for twice the speed and an
            accuracy of 1e-6.

    >>> from analysis.similarity.cka_maps import cka_map
    >>> x = np.random.default_rng(0).normal(size=(60, 4))
    >>> stream = CkaStream()
    >>> for start in range(0, 60, 20):
    ...     stream.add([x[start : start + 20]], [x[start : start + 20] ** 2])
    >>> bool(np.isclose(stream.cka(), cka_map([x], [x**2])))
    True
    """

    def __init__(self, *, rows_kept: int | None = None, kind: str = "float64") -> None:
        if kind not in ("float64", "float32"):
            raise ValueError(f"kind={kind!r}; known: float64, float32")
        self.rows = 0
        self.kind = kind
        self._limit = rows_kept
        self._kept: list[tuple[list[Array], list[Array]]] = []
        self._moments: list[Moments] = []  # the pair, then each layer of x with itself, then each of y
        self._widths: tuple[list[int], list[int]] | None = None

    def add(self, layers_x: Sequence[Array], layers_y: Sequence[Array]) -> None:
        """Add a chunk of rows: (b, p_l) of each layer, the same b samples in all layers.

        Raises:
            ValueError: if numbers of rows differ between layers, widths differ from earlier chunks, or values are not
                finite.
        """
        if not len(layers_x):
            raise ValueError("no layers of x: give at least one array (rows, columns)")
        first = layers_x[0]
        stacks = [checked(layers, first, name, 1) for layers, name in ((layers_x, "x"), (layers_y, "y"))]
        for stack, name in zip(stacks, "xy", strict=True):
            for index, layer in enumerate(stack):
                check_mean(cast(layer, "float64").sum(0), f"layer {index} of {name}")
        widths = [int(layer.shape[1]) for layer in stacks[0]], [int(layer.shape[1]) for layer in stacks[1]]
        if self._widths is None:
            self._widths = widths
        if widths != self._widths:
            raise ValueError(f"layers of widths {widths}; earlier chunks had {self._widths}")
        # A copy, because a reader may reuse its buffer.
        self._kept.append(([layer + 0 for layer in stacks[0]], [layer + 0 for layer in stacks[1]]))
        self.rows += first.shape[0]
        waiting = sum(chunk[0][0].shape[0] for chunk in self._kept)
        if waiting >= FOLD if self._moments else self.rows > self._most():
            self._fold()

    def _most(self) -> int:
        """Return how many rows to keep before they become moments."""
        assert self._widths is not None
        p, q = (sum(each) for each in self._widths)
        return p * q // (p + q) if self._limit is None else self._limit

    def _joined_rows(self) -> tuple[list[Array], list[Array]]:
        """Return the rows kept, one array per layer."""
        xp = namespace(self._kept[0][0][0])
        x, y = (
            [_join(xp, [chunk[side][index] for chunk in self._kept], 0) for index in range(len(self._kept[0][side]))]
            for side in (0, 1)
        )
        return x, y

    def _fold(self) -> None:
        """Turn the rows kept into moments."""
        if not self._kept:
            return
        assert self._widths is not None
        x, y = ([cast(layer, "float64") for layer in stack] for stack in self._joined_rows())
        self._kept = []
        if not self._moments:
            pairs = [(self._widths, x[0]), *((([layer.shape[1]], [layer.shape[1]]), layer) for layer in (*x, *y))]
            self._moments = [Moments(widths, like) for widths, like in pairs]
        xp = namespace(x[0])
        self._moments[0].add(_join(xp, x, 1), _join(xp, y, 1), self.kind)
        for moments, layer in zip(self._moments[1:], (*x, *y), strict=True):
            moments.add(layer, layer, self.kind)

    def merge(self, other: CkaStream) -> CkaStream:
        """Return the stream of the rows of both, which are not changed; the order does not matter.

        Raises:
            ValueError: if their layers differ in number or width.
        """
        return self._with(other, 1)

    def without(self, part: CkaStream) -> CkaStream:
        """Return the stream of the rows that are not in `part`, which must be a part of this one; for a jackknife.

        Raises:
            ValueError: if `part` holds as many rows or more, or other layers.
        """
        if part.rows >= self.rows:
            raise ValueError(f"no rows remain of {self.rows} without {part.rows}")
        return self._with(part, -1)

    def _with(self, other: CkaStream, sign: int) -> CkaStream:
        if not other.rows or not self.rows:
            return copy.deepcopy(self if self.rows else other)
        if other._widths != self._widths:
            raise ValueError(f"streams of layers {self._widths} and {other._widths}; both need the same layers")
        merged = copy.deepcopy(self)
        merged.rows += sign * other.rows
        if sign > 0 and not self._moments and not other._moments and merged.rows <= merged._most():
            merged._kept += other._kept
            return merged
        merged._fold()
        if other._kept:
            other = copy.deepcopy(other)
            other._fold()
        for mine, theirs in zip(merged._moments, other._moments, strict=True):
            mine.merge(theirs, sign)
        return merged

    def cka(self, *, debiased: bool = True) -> np.ndarray:
        """Return the map (Lx, Ly) of linear CKA of the rows so far; more rows may be added afterwards.

        Raises:
            ValueError: if there are fewer than 4 rows (2 if biased), or a layer is constant.
        """
        return self.assembled(debiased=debiased).cka(len(self._widths[0]) if self._widths else 0)

    def assembled(self, *, debiased: bool) -> Assembled:
        """Return the HSICs that `cka` divides.

        Raises:
            ValueError: as `cka`.
        """
        if self.rows < least_rows(debiased):
            raise ValueError(f"{self.rows} rows added; CKA needs at least {least_rows(debiased)}")
        if not self._moments:
            x, y = self._joined_rows()
            stack = [*read(x, "x", "float64"), *read(y, "y", "float64")]
            return gram_map(stack, len(x), debiased=debiased)
        self._fold()
        self._check_varies()
        cross, _ = self._moments[0].hsic(debiased)
        own, sizes = np.array(
            [[float(each[0, 0]) for each in moments.hsic(debiased)] for moments in self._moments[1:]]
        ).T
        with np.errstate(divide="ignore", invalid="ignore"):
            worn = float(np.where(own > 0, sizes / own, np.inf).max())
        return Assembled(cross, own, sizes, worn)

    def _check_varies(self) -> None:
        assert self._widths is not None
        for index, moments in enumerate(self._moments[1:]):
            mean = moments.mean[0]
            # The rows are no longer stored: the spread of equal rows is the rounding error of their mean.
            if float(moments.spread[0][0]) <= 1e-28 * moments.rows * float((mean * mean).sum()):
                side, place = ("x", index) if index < len(self._widths[0]) else ("y", index - len(self._widths[0]))
                raise ValueError(
                    f"layer {place} of {side} is constant: all {self.rows} rows are equal, and similarity to a "
                    "constant is undefined"
                )


def stream_jackknife(parts: Sequence[CkaStream], *, debiased: bool = True, level: float = 0.95) -> Spread:
    """Return the CKA map of all parts with delete-block jackknife intervals, each part being one block.

    Its cost does not grow with the number of rows. If the rows fit in memory and are few,
    `analysis.similarity.cka_maps.cka_jackknife` is faster.

    Args:
        parts: streams of at least 2 blocks, better 20 or more.
        debiased: as in `CkaStream.cka`.
        level: nominal coverage.

    Raises:
        ValueError: for fewer than 2 blocks, or as `CkaStream.cka`.

    >>> x = np.random.default_rng(0).normal(size=(40, 3))
    >>> parts = [CkaStream() for _ in range(20)]
    >>> for place, part in enumerate(parts):
    ...     part.add([x[2 * place : 2 * place + 2]], [3 * x[2 * place : 2 * place + 2]])
    >>> spread = stream_jackknife(parts)
    >>> spread.value.round(6).tolist(), spread.error.round(6).tolist()
    ([[1.0]], [[0.0]])
    """
    if len(parts) < 2:
        raise ValueError(f"{len(parts)} block; a jackknife needs at least 2, better 20 or more")
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    without = np.array([whole.without(part).cka(debiased=debiased) for part in parts])
    sizes = np.array([part.rows for part in parts])
    return jackknife(whole.cka(debiased=debiased), without, sizes, level=level)


def _join(xp: Any, arrays: list[Array], axis: int) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays, axis) if xp is np else xp.cat(arrays, axis)
