"""Arrays of features, one row per sample: numpy arrays and torch tensors in the same code, checked and matched by id.

Tensors stay on their device. Torch is never imported here: it is loaded already if a tensor is passed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A numpy array, possibly memory-mapped, or a torch tensor."""

CHUNK = 512  # rows read or converted at a time


def namespace(x: Array) -> Any:
    """Return the module whose functions take `x`: torch for a tensor, else numpy.

    >>> namespace(np.ones(2)).__name__
    'numpy'
    """
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


def cast(x: Array, kind: str) -> Array:
    """Return `x` in the named dtype, on its device; no copy if it has that dtype."""
    xp = namespace(x)
    if xp is np:
        return np.asarray(x).astype(kind, copy=False)
    return x.detach().to(getattr(xp, kind))


def to_numpy(x: Array) -> np.ndarray:
    """Return `x` as float64 in main memory."""
    return np.asarray(cast(x, "float64") if namespace(x) is np else cast(x, "float64").cpu().numpy())


def squared_norms(x: Array) -> Array:
    """Return sums of squares over the last axis, (...), in float64.

    >>> squared_norms(np.array([[3.0, 4.0], [0.0, 1.0]]))
    array([25.,  1.])
    """
    if namespace(x) is np:
        return cast(np.einsum("...i,...i->...", x, x), "float64")
    # In torch several times faster than a product of x with itself.
    norms = cast(namespace(x).linalg.vector_norm(x, dim=-1), "float64")
    return norms * norms


def kind_of(x: Array) -> str:
    """Return the name of the dtype, such as ``float32``."""
    return str(x.dtype).removeprefix("torch.")


def working_kind(x: Array) -> str:
    """Return the dtype in which products of `x` are computed: float32 for float16, bfloat16 and float32, else float64.

    >>> working_kind(np.ones(2, np.float16)), working_kind(np.ones(2, np.int64))
    ('float32', 'float64')
    """
    return "float32" if kind_of(x) in ("float16", "bfloat16", "float32") else "float64"


def check_shape(x: Array, name: str, least: int) -> None:
    """Check that `x` is (n, p) with n >= `least` and p >= 1.

    Raises:
        ValueError: names the array and its shape.
    """
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise ValueError(
            f"{name} is a {type(x).__name__}; give a numpy array or a torch tensor of shape (rows, columns)"
        )
    shape = tuple(x.shape)
    if len(shape) != 2:
        raise ValueError(f"{name} has shape {shape}; (rows, columns) is needed: pool or flatten the other axes first")
    if shape[1] < 1:
        raise ValueError(f"{name} has shape {shape}: it has no columns")
    if shape[0] < least:
        raise ValueError(f"{name} has {shape[0]} rows; this measure needs at least {least}")
    if "complex" in str(x.dtype) or str(x.dtype) == "object":
        raise ValueError(f"{name} has dtype {x.dtype}; real numbers are needed")


def check_same_rows(x: Array, y: Array, names: tuple[str, str] = ("x", "y")) -> None:
    """Check that two arrays have the same number of rows.

    Raises:
        ValueError: names both numbers.
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(
            f"{names[0]} has {x.shape[0]} rows and {names[1]} {y.shape[0]}; rows must be the same samples in the same "
            "order: match them by id with match_rows"
        )


def check_mean(mean: Array, name: str) -> None:
    """Check by the column means (p,) that all features are finite: one NaN or infinity makes its column's mean so.

    Raises:
        ValueError: names the number of columns that are not finite.
    """
    bad = int((~namespace(mean).isfinite(mean)).sum())
    if bad:
        raise ValueError(
            f"{name} holds NaN or infinite values in {bad} of {mean.shape[0]} columns; find and remove their cause"
        )


def check_varies(x: Array, name: str, spread: float, scale: float) -> None:
    """Check that features are not the same in every row.

    Args:
        x: (n, p).
        name: its name in messages.
        spread: sum of squared deviations from the mean.
        scale: sum of squares of the mean times n, to distinguish variation from rounding errors.

    Raises:
        ValueError: if all rows are equal.
    """
    # Rows are compared one by one only where the spread could be a rounding error.
    if spread <= 1e-9 * scale or spread == 0:
        first = x[:1]
        if all(bool((x[start : start + CHUNK] == first).all()) for start in range(0, x.shape[0], CHUNK)):
            raise ValueError(
                f"{name} is constant: all {x.shape[0]} rows are equal, and similarity to a constant is undefined"
            )


def raw(x: Array, name: str, least: int = 2) -> Array:
    """Return `x` (n, p) as float64, checked: shape, finite values, not constant.

    Raises:
        ValueError: names the array and the fault.

    >>> raw(np.ones((3, 2)), "x")
    Traceback (most recent call last):
    ...
    ValueError: x is constant: all 3 rows are equal, and similarity to a constant is undefined
    """
    check_shape(x, name, least)
    values = cast(x, "float64")
    mean = values.mean(0)
    check_mean(mean, name)
    deviation = values - mean
    check_varies(x, name, float((deviation * deviation).sum()), float((mean * mean).sum()) * x.shape[0])
    return values


def centred(x: Array, name: str, least: int = 2) -> Array:
    """Return `x` (n, p) as float64 with columns of mean 0, checked like `raw`.

    Raises:
        ValueError: as `raw`.

    >>> centred(np.array([[1.0, 2.0], [3.0, 2.0]]), "x")
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    values = raw(x, name, least)
    return values - values.mean(0)


def centred_pair(x: Array, y: Array, least: int = 2) -> tuple[Array, Array]:
    """Return both arrays centred, with equal numbers of rows and of one kind: numpy, or torch on one device.

    Raises:
        ValueError: as `centred`, or if the numbers of rows differ.
    """
    check_shape(x, "x", least)
    check_shape(y, "y", least)
    check_same_rows(x, y)
    return same_kind(centred(x, "x", least), centred(y, "y", least))


def same_kind(x: Array, y: Array) -> tuple[Array, Array]:
    """Return both arrays; if one is a tensor, a numpy array is moved to its device.

    Raises:
        ValueError: if both are tensors on different devices.
    """
    kinds = namespace(x), namespace(y)
    if kinds[0] is kinds[1]:
        if kinds[0] is not np and x.device != y.device:
            raise ValueError(f"x is on {x.device} and y on {y.device}; put both on one device")
        return x, y
    if kinds[0] is np:
        return kinds[1].as_tensor(np.asarray(x), device=y.device), y
    return x, kinds[0].as_tensor(np.asarray(y), device=x.device)


def match_rows(ids_x: Sequence[object] | np.ndarray, ids_y: Sequence[object] | np.ndarray) -> np.ndarray:
    """Return the index (n,) that puts the rows of y in the order of x: ``ids_y[index] == ids_x``.

    Raises:
        ValueError: if an id is repeated, or the two sets of ids differ.

    >>> match_rows(["a", "b", "c"], ["c", "a", "b"]).tolist()
    [1, 2, 0]
    """
    x, y = np.asarray(ids_x).reshape(-1), np.asarray(ids_y).reshape(-1)
    for ids, name in ((x, "x"), (y, "y")):
        values, counts = np.unique(ids, return_counts=True)
        if len(values) < len(ids):
            twice = values[counts > 1]
            raise ValueError(
                f"ids of {name} repeat {len(twice)} of {len(values)} samples, such as {twice[0]}; each sample must "
                "occur once. Rows drawn with replacement (a bootstrap) make independent features look similar; use a "
                "jackknife or subsamples instead"
            )
    order_x, order_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    if len(x) != len(y) or (x[order_x] != y[order_y]).any():
        lost, new = np.setdiff1d(x, y), np.setdiff1d(y, x)
        examples = [str(each) for each in (*lost[:2], *new[:2])]
        raise ValueError(
            f"different samples: {len(lost)} ids only in x, {len(new)} only in y (such as {', '.join(examples)}); "
            "extract both models on one set of samples, or reduce both to the ids they share"
        )
    index = np.empty(len(x), np.int64)
    index[order_x] = order_y
    return index


def require_same_ids(ids_x: Sequence[object] | np.ndarray, ids_y: Sequence[object] | np.ndarray) -> None:
    """Check that rows are the same samples in the same order.

    Raises:
        ValueError: if the ids differ, repeat, or have another order.
    """
    moved = int((match_rows(ids_x, ids_y) != np.arange(len(ids_x))).sum())
    if moved:
        raise ValueError(
            f"the same samples in another order: {moved} of {len(ids_x)} rows differ; index y with match_rows first"
        )
