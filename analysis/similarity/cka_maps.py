"""CKA maps: linear CKA of every layer of one model against every layer of another, with intervals and a control.

The Gram form costs ``n^2`` per column of a layer, the feature form ``n p q`` per pair; the cheaper one is used, and
both equal the float64 reference to 1e-6. Layers are numpy arrays (memory-mapped ones are read in chunks) or torch
tensors of any widths. The last layers of many models give the model x model matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.similarity.arrays import Array, working_kind
from analysis.similarity.grams import WORN, Rows, checked, exact_float32, gram_map, leave_out, read
from analysis.similarity.hsic import least_rows, warn_biased
from analysis.similarity.resampling import Control, Spread, block_of_rows, jackknife
from analysis.similarity.streaming import CkaStream

MEMORY = 1 << 30  # bytes of moments that the feature form may hold at once


def cka_map(
    layers_x: Sequence[Array], layers_y: Sequence[Array] | None = None, *, debiased: bool = True, form: str = "auto"
) -> np.ndarray:
    """Return linear CKA of every pair of layers, (Lx, Ly) float64; see `analysis.similarity.measures.linear_cka`.

    Products are computed in float32 if all layers are float32 or shorter, and summed in float64. They are recomputed in
    float64 if cancellation would make float32 inaccurate (an outlying row), and are float64 if any layer is.

    Args:
        layers_x: features (n, p_l) of each layer.
        layers_y: features (n, q_l) of the same samples in the same order; None for the layers of x among themselves.
        debiased: use the unbiased HSIC, valid at any width; use the biased one only to compare with published values.
        form: ``gram``, ``feature``, or ``auto`` for the cheaper one.

    Raises:
        ValueError: names the layer if numbers of rows differ or are below 4 (2 if biased), values are not finite, or
            all rows are equal; an unknown form.

    >>> from analysis.similarity.measures import linear_cka
    >>> x = np.random.default_rng(0).normal(size=(30, 4))
    >>> layers = [x, x**2]
    >>> map_ = cka_map(layers)
    >>> bool(np.isclose(map_[0, 1], linear_cka(x, x**2))), bool(np.allclose(np.diag(map_), 1))
    (True, True)
    """
    if form not in ("auto", "gram", "feature"):
        raise ValueError(f"form={form!r}; known: auto, gram, feature")
    layers_x, layers_y = _checked(layers_x, layers_y, debiased)
    if not debiased:
        wide_x, wide_y = (max(layer.shape[1] for layer in each) for each in (layers_x, layers_y or layers_x))
        warn_biased(layers_x[0].shape[0], wide_x, wide_y)
    if form == "auto":
        form = cheaper_form(layers_x, layers_y)
    kinds = _kinds([*layers_x, *(layers_y or [])])
    if form == "feature":
        return _feature_map(layers_x, layers_y, debiased, kinds)
    for kind in kinds:
        stack, cut = _stack(layers_x, layers_y, kind)
        hsics = gram_map(stack, cut, debiased=debiased)
        if hsics.worn <= WORN:
            break
    return hsics.cka(cut)


def cheaper_form(layers_x: Sequence[Array], layers_y: Sequence[Array] | None) -> str:
    """Return ``gram`` or ``feature``, whichever takes fewer operations.

    >>> cheaper_form([np.ones((100, 4096))], None), cheaper_form([np.ones((4096, 100))], None)
    ('gram', 'feature')
    """
    n = layers_x[0].shape[0]
    x = [layer.shape[1] for layer in layers_x]
    y = x if layers_y is None else [layer.shape[1] for layer in layers_y]
    both = x if layers_y is None else [*x, *y]
    # Only half of each symmetric Gram matrix is computed; products of pairs are memory-bound, about ten times slower.
    gram = n * n * (sum(both) + 10 * len(x) * len(y))
    feature = 2 * n * (sum(x) * sum(y) + sum(width * width for width in both))
    return "gram" if gram <= feature else "feature"


def cka_jackknife(
    layers_x: Sequence[Array],
    layers_y: Sequence[Array] | None = None,
    *,
    blocks: np.ndarray,
    debiased: bool = True,
    level: float = 0.95,
) -> Spread:
    """Return the CKA map with delete-block jackknife intervals, arrays (Lx, Ly); it costs about as much as two maps.

    Args:
        layers_x: as in `cka_map`.
        layers_y: as in `cka_map`.
        blocks: (n,) block of each row, left out as a whole: an image, or a region; use 20 or more. For random blocks
            see `analysis.similarity.resampling.row_blocks`.
        debiased: as in `cka_map`.
        level: nominal coverage.

    Raises:
        ValueError: as `cka_map`; blocks of another length, or that leave fewer rows than CKA needs.

    >>> x = np.random.default_rng(0).normal(size=(40, 3))
    >>> spread = cka_jackknife([x], [2 * x], blocks=np.arange(40) % 20)
    >>> spread.value.round(6).tolist(), spread.error.round(6).tolist(), spread.blocks
    ([[1.0]], [[0.0]], 20)
    """
    layers_x, layers_y = _checked(layers_x, layers_y, debiased)
    n = layers_x[0].shape[0]
    codes, sizes = block_of_rows(blocks, n)
    if n - sizes.max() < least_rows(debiased):
        raise ValueError(f"without the largest block {n - sizes.max()} rows remain; {least_rows(debiased)} are needed")
    for kind in _kinds([*layers_x, *(layers_y or [])]):
        stack, cut = _stack(layers_x, layers_y, kind)
        values = leave_out(stack, cut, codes, debiased=debiased, limit=WORN if kind == "float32" else np.inf)
        if values is not None:
            break
    assert values is not None  # float64, tried last, has no limit
    return jackknife(*values, sizes, level=level)


def cka_control(
    layers_x: Sequence[Array],
    layers_y: Sequence[Array],
    *,
    rng: np.random.Generator,
    permutations: int = 10,
    debiased: bool = True,
) -> Control:
    """Return mean and spread of the CKA map (Lx, Ly) over random orders of y's rows, one order for all layers.

    The mean of the debiased map is 0 within its error; that of the biased map is its bias. Each permutation costs one
    map.

    Args:
        layers_x: as in `cka_map`.
        layers_y: as in `cka_map`.
        rng: source of the orders.
        permutations: number of orders, at least 2.
        debiased: as in `cka_map`.

    Raises:
        ValueError: as `cka_map`; fewer than 2 permutations.

    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> control = cka_control([x], [x], rng=np.random.default_rng(1), permutations=50)
    >>> bool(abs(control.mean[0, 0]) < 3 * control.deviation[0, 0] / np.sqrt(50))  # no similarity without matched rows
    True
    """
    if permutations < 2:
        raise ValueError(f"permutations={permutations}; a spread needs at least 2")
    layers_x, checked_y = _checked(layers_x, layers_y, debiased)
    assert checked_y is not None
    for kind in _kinds([*layers_x, *checked_y]):
        stack, rows_y = read(layers_x, "x", kind), read(checked_y, "y", kind)
        maps, worn = [], 0.0
        for _ in range(permutations):
            order = rng.permutation(layers_x[0].shape[0])
            part = gram_map([*stack, *(each.reordered(order) for each in rows_y)], len(layers_x), debiased=debiased)
            worn = max(worn, part.worn)
            if kind == "float64" or worn <= WORN:
                maps.append(part.cka(len(layers_x)))
        if kind == "float64" or worn <= WORN:
            break
    return Control(mean=np.mean(maps, 0), deviation=np.std(maps, 0, ddof=1), permutations=permutations)


def _checked(
    layers_x: Sequence[Array], layers_y: Sequence[Array] | None, debiased: bool
) -> tuple[list[Array], list[Array] | None]:
    if not len(layers_x):
        raise ValueError("no layers of x: give at least one array (rows, columns)")
    least = least_rows(debiased)
    x = checked(layers_x, layers_x[0], "x", least)
    return x, None if layers_y is None else checked(layers_y, layers_x[0], "y", least)


def _kinds(layers: Sequence[Array]) -> tuple[str, ...]:
    """Return the dtypes for products: the first one, and the one to use if it is not accurate enough."""
    if all(working_kind(layer) == "float32" and exact_float32(layer) for layer in layers):
        return "float32", "float64"
    return ("float64",)


def _stack(layers_x: Sequence[Array], layers_y: Sequence[Array] | None, kind: str) -> tuple[list[Rows], int | None]:
    if layers_y is None:
        return read(layers_x, "x", kind), None
    return [*read(layers_x, "x", kind), *read(layers_y, "y", kind)], len(layers_x)


def _feature_map(
    layers_x: Sequence[Array], layers_y: Sequence[Array] | None, debiased: bool, kinds: Sequence[str]
) -> np.ndarray:
    """Return the map from moments of row chunks, for as many layers of x at once as fit in memory."""
    y = layers_x if layers_y is None else layers_y
    n, wide = layers_x[0].shape[0], sum(layer.shape[1] for layer in y)
    rows_of_map, start = [], 0
    while start < len(layers_x):
        stop = start + 1
        while stop < len(layers_x) and 8 * wide * sum(layer.shape[1] for layer in layers_x[start : stop + 1]) <= MEMORY:
            stop += 1
        for kind in kinds:
            stream = CkaStream(rows_kept=0, kind=kind)
            for row in range(0, n, 2048):
                part = slice(row, row + 2048)
                stream.add([layer[part] for layer in layers_x[start:stop]], [layer[part] for layer in y])
            sums = stream.assembled(debiased=debiased)
            if sums.worn <= WORN:
                break
        rows_of_map.append(sums.cka(stop - start))
        start = stop
    return np.concatenate(rows_of_map)
