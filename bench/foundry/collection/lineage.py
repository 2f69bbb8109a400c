"""Lineage of models from their weights alone: duplicates, relatives and strangers, and the ancestor of each family.

The measure is the row-normalised cosine: rows of matrices of equal role and shape are scaled to length one, and the
mean of the products of corresponding rows is taken. Networks that were trained independently stay below .05, relatives
lie between .2 and .98, copies above .99 (real MobileNetV2s). `relation_of` states how the gaps are decided.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.foundry.collection.sketches import Matrix, Sketch, matrices_of

if TYPE_CHECKING:
    from torch import Tensor

Relation = Literal["duplicate", "lineage", "unrelated"]
COPY = 0.99  # cosine from which two models are duplicates
RELATED = 0.1  # cosine beyond that of shuffled rows from which models are of one lineage: twice .05, half of .2
ROUNDED = 0.9  # share of matrices that differ by rounding, from which a copy is a rounded one
LEVELS = 256  # values of a row or matrix that was rounded to 8 bits
HALF, WITHIN = 0.51, 0.99  # of a level, and the share of values that lie within: quantisers clip the others
SMALLEST_OVERLAP = 0.1  # share of the smaller model's values in matrices of equal shape
SAME_NORMS = 0.02  # relative difference of sorted row norms up to which a permuted copy is looked for
PERMUTED = 0.5  # cosine of the sorted matrices from which it is one; strangers stay below .1


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How two models compare.

    Attributes:
        cosine: row-normalised, NaN where no matrices have equal shapes.
        shuffled: the same with the rows of each matrix of the second moved by half: what rows have in common anyway.
        overlap: share of the smaller model's values in matrices of equal shape.
        rounded: share of the matrices whose difference is that of rounding.
        norms: root mean square difference of sorted norms of rows and input channels, relative to their mean.
    """

    cosine: float
    shuffled: float
    overlap: float
    rounded: float
    norms: float


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two models of a collection and their relation.

    Attributes:
        a, b: names.
        cosine: row-normalised; of a permuted copy, after its channels were sorted; NaN where nothing is comparable.
        relation: see `relation_of`.
        note: why, where the cosine alone does not show it.
    """

    a: str
    b: str
    cosine: float
    relation: Relation
    note: str = ""


def likeness(first: Sketch, second: Sketch) -> Likeness:
    """Return how two models compare; matrices are matched by shape, then by name, else by the best assignment.

    Names differ between libraries and wrappers. Where the names of two groups of equal shape differ beyond a prefix,
    the matrices are assigned one to one such that the sum of cosines is largest; with thousands of values each, chance
    adds less than .02 to the cosine of strangers.
    """
    aligned = shuffled = norms = 0.0
    rows = values = rounded = count = 0
    for shape in first.matrices.keys() & second.matrices.keys():
        for matrix, other in _matched(first, second, first.matrices[shape], second.matrices[shape]):
            left, right = first.read(matrix), second.read(other)
            rounded += _is_rounding(left, right)
            norms += sum(float(np.mean((a - b) ** 2)) for a, b in zip(matrix.norms, other.norms, strict=True)) / 2
            left, right = _unit(left), _unit(right)
            weight = shape[0] / len(left)  # a matrix of which rows were sampled counts with all of them
            aligned += weight * float(np.vdot(left, right))
            shuffled += weight * float(np.vdot(left, np.roll(right, max(1, len(right) // 2), axis=0)))
            rows += shape[0]
            values += int(np.prod(shape))
            count += 1
    if not rows:
        return Likeness(cosine=float("nan"), shuffled=0.0, overlap=0.0, rounded=0.0, norms=float("inf"))
    return Likeness(
        cosine=aligned / rows,
        shuffled=shuffled / rows,
        overlap=values / max(1, min(first.values, second.values)),
        rounded=rounded / count,
        norms=float(np.sqrt(norms / count)),
    )


def _matched(
    first: Sketch, second: Sketch, ours: Sequence[Matrix], theirs: Sequence[Matrix]
) -> list[tuple[Matrix, Matrix]]:
    """Return the pairs of matrices of one shape that correspond."""
    if len(ours) == len(theirs) and (len(ours) == 1 or _same_names(ours, theirs)):
        return list(zip(ours, theirs, strict=True))
    from scipy.optimize import linear_sum_assignment

    left = np.stack([_unit(first.read(matrix)).ravel() for matrix in ours])
    right = np.stack([_unit(second.read(matrix)).ravel() for matrix in theirs])
    places = linear_sum_assignment(-(left @ right.T))
    return [(ours[place], theirs[other]) for place, other in zip(*places, strict=True)]


def _same_names(ours: Sequence[Matrix], theirs: Sequence[Matrix]) -> bool:
    """Return whether names agree, but for what stands before every one of them."""
    pairs = [(matrix.name, other.name) for matrix, other in zip(ours, theirs, strict=True)]
    return all(name.endswith(other) or other.endswith(name) for name, other in pairs)


def _unit(values: np.ndarray) -> np.ndarray:
    """Return rows of length one; rows of zeros stay zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", values, values))[:, None]
    result: np.ndarray = values / np.maximum(lengths, 1e-30)
    return result


def _is_rounding(left: np.ndarray, right: np.ndarray) -> bool:
    """Return whether one matrix is the other rounded to 16 bits of floating point or to at most `LEVELS` levels."""
    difference = np.abs(left - right)
    if bool((difference <= np.maximum(np.abs(left), np.abs(right)) * 2.0**-8 + 1e-7).all()):  # bfloat16 and finer
        return True
    return any(_on_grid(coarse, difference) for coarse in (left, right))


def _on_grid(coarse: np.ndarray, difference: np.ndarray) -> bool:
    """Return whether a matrix takes few levels, and differences stay within half a level, per matrix or per row."""
    if coarse.size <= 2 * LEVELS:  # too few values to tell a grid from a continuum
        return False
    levels = np.unique(coarse)
    if len(levels) <= LEVELS:
        return bool(np.quantile(difference, WITHIN) <= HALF * _step(levels) + 1e-7)
    if coarse.shape[1] <= 2 * LEVELS:
        return False
    rows = [(np.unique(row), worst) for row, worst in zip(coarse, np.quantile(difference, WITHIN, axis=1), strict=True)]
    return all(len(own) <= LEVELS and worst <= HALF * _step(own) + 1e-7 for own, worst in rows)


def _step(levels: np.ndarray) -> float:
    """Return the distance of neighbouring levels, 0 for a single one."""
    return float(np.diff(levels).min()) if len(levels) > 1 else 0.0


def relation_of(measured: Likeness) -> Relation:
    """Return the relation that a comparison shows, permutations aside.

    * unrelated: less than `SMALLEST_OVERLAP` of the smaller model is comparable, or the cosine exceeds that of shuffled
      rows by less than `RELATED`. Between .05 and .2 this decides: what rows have in common anyway is no descent.
    * duplicate: the cosine is at least `COPY`, or `ROUNDED` of the matrices differ by rounding only. Between .98 and
      .99, and below for coarse rounding, this decides: a fine-tuned model lies on no grid.
    * lineage: everything else.
    """
    if measured.overlap < SMALLEST_OVERLAP or not measured.cosine - measured.shuffled >= RELATED:
        return "unrelated"
    return "duplicate" if measured.cosine >= COPY or measured.rounded >= ROUNDED else "lineage"


def compare(
    sketches: Mapping[str, Sketch],
    read: Callable[[str], Mapping[str, Tensor]],
    progress: Callable[[str], None] = lambda text: None,
) -> list[Pair]:
    """Return every pair of models with its relation, in the order of the names given.

    Args:
        sketches: by name.
        read: returns the tensors of a model; called for the few pairs that may be permuted copies.
        progress: receives one line per thousand pairs.
    """
    pairs = []
    total = len(sketches) * (len(sketches) - 1) // 2
    for number, (a, b) in enumerate(itertools.combinations(sketches, 2), start=1):
        measured = likeness(sketches[a], sketches[b])
        cosine, relation, note = measured.cosine, relation_of(measured), ""
        if relation == "unrelated" and measured.overlap > 1 - SMALLEST_OVERLAP and measured.norms < SAME_NORMS:
            after = sorted_cosine(read(a), read(b))
            if after >= PERMUTED:
                cosine, relation = after, "duplicate"
                note = f"channels permuted; the cosine is {measured.cosine:.3f} before they are sorted"
        elif relation == "duplicate" and measured.cosine < COPY:
            note = "the difference is that of rounding"
        pairs.append(Pair(a=a, b=b, cosine=cosine, relation=relation, note=note))
        if not number % 1000:
            progress(f"{number:,} of {total:,} pairs compared")
    return pairs


def sorted_cosine(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """Return the row-normalised cosine after rows and input channels of every matrix were sorted by their norms.

    Permuted channels move rows and input channels of a network's matrices and change none of their norms, so a permuted
    copy sorts to the same matrices. Needs equal shapes in the natural order of names within each shape.
    """
    total = rows = 0.0
    ours, theirs = _by_shape(first), _by_shape(second)
    for shape in ours.keys() & theirs.keys():
        for matrix, other in zip(ours[shape], theirs[shape], strict=False):
            left, right = _sorted(matrix), _sorted(other)
            total += float(np.vdot(_unit(left), _unit(right)))
            rows += len(left)
    return total / max(rows, 1.0)


def _by_shape(state: Mapping[str, Tensor]) -> dict[tuple[int, ...], list[Tensor]]:
    groups: dict[tuple[int, ...], list[Tensor]] = {}
    for tensor in matrices_of(state).values():
        groups.setdefault(tuple(tensor.shape), []).append(tensor)
    return groups


def _sorted(tensor: Tensor) -> np.ndarray:
    values: np.ndarray = tensor.reshape(tensor.shape[0], tensor.shape[1], -1).float().numpy()
    rows = np.argsort(np.einsum("ijk,ijk->i", values, values), kind="stable")
    columns = np.argsort(np.einsum("ijk,ijk->j", values, values), kind="stable")
    result: np.ndarray = values[rows][:, columns].reshape(len(rows), -1)
    return result
