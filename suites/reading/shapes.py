"""Checks that an array has the shape and the type that its publisher states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.errors import MissingData


def check_shape(label: Path | str, actual: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    """Check the shape of an array, before its values are read.

    Args:
        label: the file, or the array in it, for the message.
        actual: the shape it has.
        expected: the shape it must have; None accepts any, and -1 in it any length of that axis.

    Raises:
        MissingData: if they differ.
    """
    if expected is None:
        return
    same = len(actual) == len(expected) and all(want in (-1, have) for have, want in zip(actual, expected, strict=True))
    if not same:
        shown = str(expected).replace("-1", "any")
        raise MissingData(f"{label} has shape {tuple(actual)}, expected {shown}; replace it by the published file")


def check_type(label: Path | str, actual: Any, published: str) -> None:
    """Check that the type of an array can hold the published values.

    Refused are complex numbers, text and objects; whole numbers where the publisher has fractions; and a type of fewer
    bits than the published one. A wider type, or fractions where the publisher has whole numbers, hold the same values.

    Args:
        label: the file, or the array in it, for the message.
        actual: NumPy type it has.
        published: NumPy type that the publisher describes, e.g. ``"uint16"``; empty for any real number.

    Raises:
        MissingData: if the values cannot be those published.
    """
    import numpy as np

    try:
        kind = np.dtype(actual)
    except TypeError:
        raise MissingData(f"{label} holds {actual}, expected numbers; replace it by the published file") from None
    wanted = np.dtype(published or "uint8")
    numbers = kind.kind in "iuf" or (kind.kind == "b" and not published)
    fits = kind.itemsize >= wanted.itemsize and (wanted.kind != "f" or kind.kind == "f")
    if not numbers or not fits:
        raise MissingData(
            f"{label} holds {kind}, expected {published or 'real numbers'}; replace it by the published file"
        )
