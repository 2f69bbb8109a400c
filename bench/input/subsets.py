"""Nested, stratified label subsets shared by all models: 1 % in 5 % in 10 %, 1 shot in 5; a few draws each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core import Task

SCHEME = 1  # raised when the draw changes; part of every split hash
QUANTILES = 10


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Which samples of a split a run may learn from.

    Attributes:
        rows: sorted positions in the split.
        notes: what a reader must know, e.g. classes whose share was below one sample.
    """

    rows: np.ndarray
    notes: tuple[str, ...] = ()


def strata(task: Task, targets: np.ndarray) -> np.ndarray:
    """Return a stratum code for each sample.

    Classes are their own strata; presence in masks and multi-hot labels count by their rarest class; regression
    targets, and means of dense values, fall into 10 quantile bins of their first output.

    Args:
        task: its kind decides.
        targets: what ``Split.targets()`` gives, of all samples.
    """
    if task.kind == "classification":
        return targets.astype(int)
    if task.kind in ("regression", "dense_regression"):
        first = targets.reshape(len(targets), -1)[:, 0]
        edges = np.nanquantile(first, np.linspace(0, 1, QUANTILES + 1)[1:-1])
        return np.searchsorted(edges, first, side="right")
    present = targets.astype(bool)
    # The rarest class a sample shows decides, so that rare classes are spread over the subsets; -1 shows none.
    order = np.argsort(present.sum(0), kind="stable")
    codes = np.full(len(present), -1)
    for column in order[::-1]:
        codes[present[:, column]] = column
    return codes


def draw(task: Task, ids: list[str], targets: np.ndarray, fraction: float, subset: int) -> Subset:
    """Return one nested, stratified subset of a split.

    Within each stratum samples are ordered by a hash of subset number and id, so subsets of growing fractions contain
    one another, do not depend on the order of the files, and are the same for all models. A stratum keeps the rounded
    share, at least one sample; a few-shot subset keeps k of each stratum, or all where there are fewer.

    Args:
        task: decides the strata.
        ids: of every sample.
        targets: likewise, see `strata`.
        fraction: in (0, 1], or -k for k samples a stratum.
        subset: which draw.
    """
    if fraction >= 1:
        return Subset(rows=np.arange(len(ids)))
    codes = strata(task, targets)
    ranks = np.array([hashlib.sha256(f"{subset}:{name}".encode()).hexdigest() for name in ids])
    shots = round(-fraction) if fraction < 0 else 0
    rows, short = [], []
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        members = members[np.argsort(ranks[members], kind="stable")]
        share = shots or int(np.floor(fraction * len(members) + 0.5))
        if share == 0 or share > len(members):
            short.append(_stratum_name(task, int(code)))
        rows.append(members[: max(1, share)])
    notes: tuple[str, ...] = ()
    if short and shots:
        notes = (f"fewer than {shots} samples of {', '.join(short)}: all of them are kept",)
    elif short:
        notes = (f"fraction {fraction:g} is less than one sample of {', '.join(short)}: one of each is kept",)
    return Subset(rows=np.sort(np.concatenate(rows)), notes=notes)


def _stratum_name(task: Task, code: int) -> str:
    if task.kind in ("regression", "dense_regression"):
        return f"quantile bin {code + 1}"
    return task.classes[code] if 0 <= code < len(task.classes) else "samples without a label"


def first_by_hash(ids: Sequence[str], rows: np.ndarray, most: int) -> np.ndarray:
    """Return `most` of some rows, chosen by the hash of their ids, sorted, so that every model gets the same images.

    Args:
        ids: of every sample.
        rows: (m,) positions to choose from; all of them are returned where there are no more than `most`.
        most: largest number of rows.
    """
    ranked = sorted(rows.tolist(), key=lambda row: hashlib.sha256(ids[row].encode()).hexdigest())
    return np.array(sorted(ranked[:most]), int)
