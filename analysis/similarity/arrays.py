"""Rows of features, one per sample: numpy arrays or torch tensors through the same code, checked and matched by id.

What is torch's stays on its device; torch is never imported here, for a tensor brings it along.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A numpy array (memory-mapped ones too) or a torch tensor."""

CHUNK = 512  # rows read or converted at a time


def namespace(x: Array) -> Any:
    """Return the module whose functions take `x`: torch for a tensor, else numpy."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


def cast(x: Array, kind: str) -> Array:
    """Return `x` in the dtype named, on its device; no copy where it has that dtype already."""
    xp = namespace(x)
    if xp is np:
        return np.asarray(x).astype(kind, copy=False)
    return x.detach().to(getattr(xp, kind))


def to_numpy(x: Array) -> np.ndarray:
    """Return `x` as float64 in main memory."""
    return np.asarray(cast(x, "float64") if namespace(x) is np else cast(x, "float64").cpu().numpy())


def squared_norms(x: Array) -> Array:
    """Return sums of squares over the last axis, (...), in float64."""
    if namespace(x) is np:
        return cast(np.einsum("...i,...i->...", x, x), "float64")
    # Several times faster in torch than any product of x with itself.
    norms = cast(namespace(x).linalg.vector_norm(x, dim=-1), "float64")
    return norms * norms


def kind_of(x: Array) -> str:
    """Return the name of the dtype, such as ``float32``."""
    return str(x.dtype).removeprefix("torch.")


def working_kind(x: Array) -> str:
    """Return the dtype in which products of `x` are taken: float32 for float16, bfloat16 and float32, else float64."""
    return "float32" if kind_of(x) in ("float16", "bfloat16", "float32") else "float64"


def check_shape(x: Array, name: str, least: int) -> None:
    """Refuse what is not (n, p) with n >= `least` and p >= 1.

    Raises:
        ValueError: naming the array, with its shape.
    """
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise ValueError(
            f"{name} is a {type(x).__name__}; give a numpy array or a torch tensor of shape (rows, columns)"
        )
    shape = tuple(x.shape)
    if len(shape) != 2:
        raise ValueError(f"{name} has shape {shape}; rows x columns are needed: pool or flatten the other axes first")
    if shape[1] < 1:
        raise ValueError(f"{name} has shape {shape}: no columns")
    if shape[0] < least:
        raise ValueError(f"{name} has {shape[0]} rows; this measure needs at least {least}")
    if "complex" in str(x.dtype) or str(x.dtype) == "object":
        raise ValueError(f"{name} has dtype {x.dtype}; real numbers are needed")


def check_same_rows(x: Array, y: Array, names: tuple[str, str] = ("x", "y")) -> None:
    """Refuse two arrays of different numbers of rows.

    Raises:
        ValueError: with both shapes.
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(
            f"{names[0]} has {x.shape[0]} rows and {names[1]} {y.shape[0]}; rows are samples and must be the same ones "
            "in the same order: match them by id with match_rows"
        )


def check_mean(mean: Array, name: str) -> None:
    """Refuse NaN and infinite features, which reach the column means (p,) whatever the row.

    Raises:
        ValueError: with the number of columns they are in.
    """
    bad = int((~namespace(mean).isfinite(mean)).sum())
    if bad:
        raise ValueError(
            f"{name} holds NaN or infinite values in {bad} of {mean.shape[0]} columns; look for their cause"
        )


def check_varies(x: Array, name: str, spread: float, scale: float) -> None:
    """Refuse features that are the same in every row.

    Args:
        x: (n, p).
        name: what to call it.
        spread: sum of squared deviations from the mean.
        scale: sum of squares of the mean times n, to tell rounding from variation.

    Raises:
        ValueError: if all rows are equal.
    """
    # Only what could be rounding is compared row by row.
    if spread <= 1e-9 * scale or spread == 0:
        first = x[:1]
        if all(bool((x[start : start + CHUNK] == first).all()) for start in range(0, x.shape[0], CHUNK)):
            raise ValueError(
                f"{name} is constant: all {x.shape[0]} rows are equal, and similarity to a constant is undefined"
            )


def raw(x: Array, name: str, least: int = 2) -> Array:
    """Return `x` (n, p) as float64, checked: shape, finite values, not constant.

    Raises:
        ValueError: naming the array and what is wrong with it.
    """
    check_shape(x, name, least)
    values = cast(x, "float64")
    mean = values.mean(0)
    check_mean(mean, name)
    deviation = values - mean
    check_varies(x, name, float((deviation * deviation).sum()), float((mean * mean).sum()) * x.shape[0])
    return values


def centred(x: Array, name: str, least: int = 2) -> Array:
    """Return `x` (n, p) as float64 with columns of mean 0, checked as by `raw`.

    Raises:
        ValueError: as `raw`.
    """
    values = raw(x, name, least)
    return values - values.mean(0)


def centred_pair(x: Array, y: Array, least: int = 2) -> tuple[Array, Array]:
    """Return both arrays centred, checked for the same rows, and of one kind: numpy, or torch on one device.

    Raises:
        ValueError: as `centred`, or where the numbers of rows differ.
    """
    check_shape(x, "x", least)
    check_shape(y, "y", least)
    check_same_rows(x, y)
    return same_kind(centred(x, "x", least), centred(y, "y", least))


def same_kind(x: Array, y: Array) -> tuple[Array, Array]:
    """Return both as they are; a numpy array given beside a tensor goes to the tensor's device.

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
    """
    x, y = np.asarray(ids_x).reshape(-1), np.asarray(ids_y).reshape(-1)
    for ids, name in ((x, "x"), (y, "y")):
        values, counts = np.unique(ids, return_counts=True)
        if len(values) < len(ids):
            twice = values[counts > 1]
            raise ValueError(
                f"ids of {name} repeat {len(twice)} of {len(values)} samples, such as {twice[0]}; "
                "each sample counts once. Rows drawn with replacement (a bootstrap) make independent features look "
                "alike; use a jackknife or subsamples instead"
            )
    order_x, order_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    if len(x) != len(y) or (x[order_x] != y[order_y]).any():
        lost, new = np.setdiff1d(x, y), np.setdiff1d(y, x)
        examples = [str(each) for each in (*lost[:2], *new[:2])]
        raise ValueError(
            f"different samples: {len(lost)} ids only in x, {len(new)} only in y (such as {', '.join(examples)}); "
            "extract both models on one set of samples, or cut both to the ids they share"
        )
    index = np.empty(len(x), np.int64)
    index[order_x] = order_y
    return index


def require_same_ids(ids_x: Sequence[object] | np.ndarray, ids_y: Sequence[object] | np.ndarray) -> None:
    """Refuse rows that are not the same samples in the same order.

    Raises:
        ValueError: if the ids differ, repeat, or stand in another order.
    """
    moved = int((match_rows(ids_x, ids_y) != np.arange(len(ids_x))).sum())
    if moved:
        raise ValueError(
            f"the same samples in another order: {moved} of {len(ids_x)} rows differ; index y with match_rows first"
        )
