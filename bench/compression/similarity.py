"""Similarity of a student's layers to those of its teacher, at matched relative depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.core import Layer
from bench.metrics.representations import hsic


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Return the debiased linear CKA of (n, p) and (n, q), NaN where either is constant.

    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> round(cka(x, 2 * x), 6)
    1.0
    """
    grams = []
    for values in (x, y):
        centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
        grams.append(centred @ centred.T)
    first, second = grams
    shares = [np.diag(gram) for gram in grams]

    def between(a: np.ndarray, b: np.ndarray, diagonal_a: np.ndarray, diagonal_b: np.ndarray) -> float:
        sums = ((a * b).sum(), (diagonal_a * diagonal_b).sum(), diagonal_a.sum(), diagonal_b.sum())
        return float(hsic(*sums, len(a)))

    own = between(first, first, shares[0], shares[0]) * between(second, second, shares[1], shares[1])
    if not own > 0:
        return float("nan")
    return float(between(first, second, *shares) / own**0.5)


def rows_by_depth(
    student: Mapping[str, np.ndarray],
    teacher: Mapping[str, np.ndarray],
    layers: Sequence[Layer],
    teacher_layers: Sequence[Layer],
) -> list[dict[str, object]]:
    """Return one row per layer of a student: ``layer``, ``depth``, ``teacher_layer`` of nearest depth, ``cka``.

    Args:
        student: layer name -> (n, D).
        teacher: the same of the teacher, for the same images in the same order.
        layers: of the student.
        teacher_layers: of the teacher.
    """
    rows = []
    for layer in layers:
        near = min(teacher_layers, key=lambda other: (abs(other.depth - layer.depth), other.name != layer.name))
        value = cka(student[layer.name], teacher[near.name])
        rows.append({"layer": layer.name, "depth": layer.depth, "teacher_layer": near.name, "cka": value})
    return rows
