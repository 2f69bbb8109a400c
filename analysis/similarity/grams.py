"""Sums of products of Gram matrices, tile by tile: HSIC of every pair of layers without storing a Gram matrix.

A tile (rows x rows) is computed for all layers, and its products for every pair of layers while it is in the CPU cache;
tiles below the diagonal are mirror images and are skipped. No array of size n^2 is stored, and of layers on disk the
rows of two tiles are read at a time. float32 products are summed in float64.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.similarity.arrays import (
    CHUNK,
    Array,
    cast,
    check_mean,
    check_same_rows,
    check_shape,
    check_varies,
    kind_of,
    namespace,
    same_kind,
    squared_norms,
    to_numpy,
)
from analysis.similarity.hsic import alignment

TILE = 512
WORN = 3.0  # float64 is used if the cancelling terms exceed the result by more than this factor


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of L layers of one width, each layer shifted by its mean.

    Attributes:
        sources: (n, p) of each layer.
        shift: (L, p) subtracted from each row.
        kept: the shifted rows (L, n, p); None for memory-mapped files, whose rows are read on demand.
        squares: squared norms of the shifted rows, (L, n) float64.
        sums: row sums of the Gram matrices without the diagonal, (L, n) float64.
    """

    sources: tuple[Array, ...]
    shift: Array
    kept: Array | None
    squares: np.ndarray
    sums: np.ndarray

    def take(self, index: slice | np.ndarray) -> Array:
        """Return the shifted rows (L, b, p) of a slice or of indices."""
        if self.kept is not None:
            return self.kept[:, index]
        kind = kind_of(self.shift)
        return namespace(self.shift).stack([cast(each[index], kind) for each in self.sources]) - self.shift[:, None]

    def times(self, columns: Array) -> np.ndarray:
        """Return the shifted rows times columns (L, p, k), (L, n, k) float64."""
        if self.kept is not None:
            return to_numpy(self.kept @ columns)
        starts = range(0, self.sources[0].shape[0], CHUNK)
        return np.concatenate([to_numpy(self.take(slice(i, i + CHUNK)) @ columns) for i in starts], axis=1)

    def reordered(self, order: np.ndarray) -> Rows:
        """Return the same layers with rows in another order (n,)."""
        on_disk = self.kept is None
        return Rows(
            tuple(each[order] for each in self.sources) if on_disk else self.sources,
            self.shift,
            None if on_disk else self.take(order),
            self.squares[:, order],
            self.sums[:, order],
        )


def exact_float32(x: Array) -> bool:
    """Return whether float32 products of `x` are exact float32: torch may be configured to use fewer bits."""
    torch = sys.modules.get("torch")
    return torch is None or namespace(x) is np or torch.get_float32_matmul_precision() == "highest"


def read(layers: Sequence[Array], stack: str, kind: str) -> list[Rows]:
    """Return the rows of checked layers, shifted by their means, in dtype `kind`; neighbours of one width together.

    HSIC does not depend on the shift; without it a channel with a large mean would use up the digits of float32.

    Raises:
        ValueError: names a layer that holds NaN or infinity, or is constant.
    """
    stacks, start = [], 0
    while start < len(layers):
        alike = (layers[start].shape[1], isinstance(layers[start], np.memmap))
        stop = start + 1
        while stop < len(layers) and (layers[stop].shape[1], isinstance(layers[stop], np.memmap)) == alike:
            stop += 1
        names = [f"layer {index} of {stack}" for index in range(start, stop)]
        stacks.append(_read_one_width(tuple(layers[start:stop]), names, kind))
        start = stop
    return stacks


def _read_one_width(layers: tuple[Array, ...], names: Sequence[str], kind: str) -> Rows:
    n, xp = layers[0].shape[0], namespace(layers[0])
    on_disk = isinstance(layers[0], np.memmap)
    # Layers in memory are read at once: many short steps would be slower.
    step = CHUNK if on_disk else n
    parts = [slice(start, start + step) for start in range(0, n, step)]
    means = []
    for layer, name in zip(layers, names, strict=True):
        means.append(sum(cast(cast(layer[part], kind).sum(0), "float64") for part in parts) / n)
        check_mean(means[-1], name)
    mean = xp.stack(means)
    shift, kept = cast(mean, kind), None
    if not on_disk:
        shape = (len(layers), *layers[0].shape)
        kept = np.empty(shape, kind) if xp is np else xp.empty(shape, dtype=shift.dtype, device=shift.device)
        for index, layer in enumerate(layers):
            xp.subtract(cast(layer, kind), shift[index], out=kept[index])
    rows = Rows(layers, shift, kept, np.empty((len(layers), n)), np.empty((len(layers), n)))
    residue = mean * 0
    for part in parts:
        shifted = rows.take(part)
        rows.squares[:, part] = to_numpy(squared_norms(shifted))
        residue = residue + cast(shifted.sum(1), "float64")
    for layer, name, spread, scale in zip(layers, names, rows.squares.sum(1), (mean * mean).sum(1), strict=True):
        check_varies(layer, name, float(spread), n * float(scale))
    # The mean is rounded, so a row of the Gram matrix sums to its product with the remaining sum of the rows.
    rows.sums[:] = rows.times(cast(residue, kind)[:, :, None])[:, :, 0] - rows.squares
    return rows


def checked(layers: Sequence[Array], first: Array, stack: str, least: int) -> list[Array]:
    """Return the layers of one stack, checked for shape and for the rows of `first`, and of its kind.

    Raises:
        ValueError: names the layer.
    """
    if not len(layers):
        raise ValueError(f"no layers of {stack}: give at least one array (rows, columns)")
    accepted = []
    for index, layer in enumerate(layers):
        name = f"layer {index} of {stack}"
        check_shape(layer, name, least)
        check_same_rows(first, layer, ("layer 0 of x", name))
        on_disk = isinstance(layer, np.memmap) and namespace(first) is np
        accepted.append(layer if on_disk else same_kind(layer, first)[0])
    return accepted


@dataclass(frozen=True)
class Products:
    """Sums over ordered pairs of different rows, by group of the first row.

    Attributes:
        cross: ``sum K_ij L_ij`` of every pair of layers, (G, Lx, Ly).
        own: ``sum K_ij^2`` of every layer of the stack, (G, L).
    """

    cross: np.ndarray
    own: np.ndarray


def products(
    stack: Sequence[Rows], cut: int | None, groups: np.ndarray | None = None, rows: np.ndarray | None = None
) -> Products:
    """Return the sums over the stack's Gram matrices.

    Args:
        stack: layers of x, then layers of y.
        cut: how many are of x; None where y is x.
        groups: group (n,) of each row, from 0; None for one group.
        rows: indices of the rows to use; None for all.
    """
    count = 1 if groups is None else int(groups.max()) + 1
    layers = sum(len(rows_of.sources) for rows_of in stack)
    pairs = (layers, layers) if cut is None else (cut, layers - cut)
    cross, own = np.zeros((count, pairs[0] * pairs[1])), np.zeros((count, layers))
    for of_i, of_j, grams in _tiles(stack, rows):
        sides = [(grams, of_i)]
        if groups is not None and of_i != of_j:
            mirrored = grams.swapaxes(1, 2)
            sides.append((np.ascontiguousarray(mirrored) if namespace(grams) is np else mirrored.contiguous(), of_j))
        for tile, part in sides:
            if groups is None:
                weights = np.full((1, tile.shape[1]), 1.0 if of_i == of_j else 2.0)
            else:
                weights = (np.arange(count)[:, None] == groups[part][None]).astype(np.float64)
            weights = same_kind(weights, tile)[0]
            of_pairs, of_layers = _row_sums(tile, cut)
            cross += to_numpy(weights @ of_pairs.reshape(of_pairs.shape[0], -1))
            own += to_numpy(weights @ of_layers)
    return Products(cross.reshape(count, *pairs), own)


def _cover(start: int, stop: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the tiles on and above the diagonal: large tiles off it, small ones on it."""
    if stop - start <= TILE // 2:
        yield slice(start, stop), slice(start, stop)
        return
    middle = (start + stop) // 2
    for i in range(start, middle, TILE):
        for j in range(middle, stop, TILE):
            yield slice(i, min(i + TILE, middle)), slice(j, min(j + TILE, stop))
    yield from _cover(start, middle)
    yield from _cover(middle, stop)


def _tiles(stack: Sequence[Rows], rows: np.ndarray | None) -> Iterator[tuple[slice, slice, Array]]:
    """Yield the tiles on and above the diagonal: rows, columns, and (L, b, c) of all layers, 0 on the diagonal."""
    n, like = stack[0].squares.shape[1] if rows is None else len(rows), stack[0].shift
    edges = [0, *np.cumsum([len(each.sources) for each in stack]).tolist()]
    layers, xp = edges[-1], namespace(like)
    size = layers * min(n, TILE) ** 2
    buffer = np.empty(size, like.dtype) if xp is np else xp.empty(size, dtype=like.dtype, device=like.device)
    for of_i, of_j in _cover(0, n):
        left = [each.take(of_i if rows is None else rows[of_i]) for each in stack]
        right = left if of_i == of_j else [each.take(of_j if rows is None else rows[of_j]) for each in stack]
        shape = (layers, left[0].shape[1], right[0].shape[1])
        grams = buffer[: shape[0] * shape[1] * shape[2]].reshape(shape)
        for first, second, start, stop in zip(left, right, edges[:-1], edges[1:], strict=True):
            xp.matmul(first, second.swapaxes(1, 2), out=grams[start:stop])
        if of_i == of_j:
            index = list(range(shape[1]))
            grams[:, index, index] = 0
        yield of_i, of_j, grams


def _row_sums(grams: Array, cut: int | None) -> tuple[Array, Array]:
    """Return the sums over columns of a tile (L, b, c) in float64: of pairs of layers (b, Lx, Ly), of own (b, L)."""
    first = (grams if cut is None else grams[:cut]).swapaxes(0, 1)
    second = (grams if cut is None else grams[cut:]).swapaxes(0, 1).swapaxes(1, 2)
    xp = namespace(grams)
    cross = cast(xp.matmul(first, second), "float64")
    own = xp.diagonal(cross, 0, 1, 2) if cut is None else squared_norms(grams).T
    return cross, own


@dataclass(frozen=True)
class Assembled:
    """HSICs of a map.

    Attributes:
        cross: of every pair of layers, (Lx, Ly).
        own: of each layer with itself, (L,).
        bare: `own` without corrections.
        worn: largest ratio, over layers, of the cancelling terms to the resulting HSIC of a layer with itself.
    """

    cross: np.ndarray
    own: np.ndarray
    bare: np.ndarray
    worn: float

    def cka(self, cut: int | None) -> np.ndarray:
        """Return CKA (Lx, Ly).

        Raises:
            ValueError: names a layer without variation.
        """
        first, second = _sides(cut)
        return alignment(self.cross, self.own[first], self.own[second], (self.bare[first], self.bare[second]))


def _sides(cut: int | None) -> tuple[slice, slice]:
    return (slice(None), slice(None)) if cut is None else (slice(None, cut), slice(cut, None))


def assemble(sums_of: Products, squares: np.ndarray, sums: np.ndarray, cut: int | None, *, debiased: bool) -> Assembled:
    """Return HSICs from sums of one group.

    The Gram matrices need not be centred: Song et al. 2012, equation 5, or ``tr(K H L H) / (n - 1)^2``.

    Args:
        sums_of: sums without diagonals, of one group.
        squares: diagonals of every layer's Gram matrix, (L, n).
        sums: row sums of the same without the diagonal, (L, n).
        cut: as in `products`.
        debiased: leave the diagonal out and correct for it.
    """
    n = sums.shape[1]
    first, second = _sides(cut)
    cross, own = sums_of.cross[0], sums_of.own[0]
    bare = own + (squares * squares).sum(1)
    if debiased:
        single, double, scale = 2 / (n - 2), 1 / ((n - 1) * (n - 2)), n * (n - 3)
    else:
        cross, own, sums = cross + squares[first] @ squares[second].T, bare, sums + squares
        single, double, scale = 2 / n, 1 / n**2, (n - 1) ** 2
    totals = sums.sum(1)
    cross = cross - single * (sums[first] @ sums[second].T) + double * totals[first, None] * totals[None, second]
    less, more = single * (sums * sums).sum(1), double * totals**2
    left = own - less + more
    with np.errstate(divide="ignore", invalid="ignore"):
        worn = float(np.where(left > 0, (own + less + more) / left, np.inf).max())
    return Assembled(cross / scale, left / scale, bare / scale, worn)


def gram_map(stack: Sequence[Rows], cut: int | None, *, debiased: bool) -> Assembled:
    """Return HSICs of all pairs of layers.

    Args:
        stack: layers of x, then of y.
        cut: as in `products`.
        debiased: as in `assemble`.
    """
    squares, sums = (np.concatenate([getattr(each, name) for each in stack]) for name in ("squares", "sums"))
    return assemble(products(stack, cut), squares, sums, cut, debiased=debiased)


def leave_out(
    stack: Sequence[Rows], cut: int | None, groups: np.ndarray, *, debiased: bool, limit: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return CKA of all rows (Lx, Ly) and without each group (G, Lx, Ly); None if cancellation exceeds the limit.

    Exact, from one map: sums over the remaining rows are those over all rows, minus twice those with one row in the
    group, plus those with both rows in the group.

    Args:
        stack: layers of x, then of y.
        cut: as in `products`.
        groups: group (n,) of each row, 0 to G - 1, none empty.
        debiased: as in `assemble`.
        limit: largest `Assembled.worn`.
    """
    by_group = products(stack, cut, groups)
    squares, sums = (np.concatenate([getattr(each, name) for each in stack]) for name in ("squares", "sums"))
    whole = Products(by_group.cross.sum(0)[None], by_group.own.sum(0)[None])
    value = assemble(whole, squares, sums, cut, debiased=debiased)
    count = len(by_group.cross)
    if value.worn > limit:
        return None
    without = np.empty((count, *value.cross.shape))
    for start in range(0, count, 64):  # bounds the size of (L, n, groups)
        codes = range(start, min(start + 64, count))
        members = [np.flatnonzero(groups == code) for code in codes]
        towards = np.concatenate([_towards(each, members) for each in stack])
        for code, inside in zip(codes, members, strict=True):
            both = products(stack, cut, rows=inside)
            left = Products(
                whole.cross - 2 * by_group.cross[code] + both.cross, whole.own - 2 * by_group.own[code] + both.own
            )
            kept = groups != code
            rest = sums[:, kept] - towards[:, kept, code - start]
            part = assemble(left, squares[:, kept], rest, cut, debiased=debiased)
            if part.worn > limit:
                return None
            without[code] = part.cka(cut)
    return value.cka(cut), without


def _towards(rows: Rows, members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sum of each row's products with the rows of each group, (L, n, groups)."""
    kind = kind_of(rows.shift)
    columns = [cast(cast(rows.take(inside), "float64").sum(1), kind) for inside in members]
    return rows.times(namespace(rows.shift).stack(columns, 2))
