"""Run keys, outcomes and records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np


def label_fraction_text(fraction: float, *, sentence: bool = False) -> str:
    """Return `RunKey.fraction` in words: ``10 %``, ``5 shots``.

    Args:
        fraction: share of the labels, or -k for k samples per class.
        sentence: as part of a sentence: ``all labels``, ``10 % of labels``, ``5 shots per class``.
    """
    text = f"{100 * fraction:g} %" if fraction > 0 else f"{-fraction:g} shot{'s' if fraction < -1 else ''}"
    if not sentence:
        return text
    return "all labels" if fraction == 1 else f"{text} {'of labels' if fraction > 0 else 'per class'}"


def canonical(value: object) -> str:
    """Return the canonical JSON text of a value: sorted keys, no spaces, integral floats distinct from integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)


def sha256_of(value: object) -> str:
    """Return the hex SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class RunKey:
    """Identity of a run. Runs with equal keys give equal scores; machine and speed are not part of the key.

    Attributes:
        suite, suite_version, split_hash, task: the data; `split_hash` covers the ids of every split.
        model, model_version, weights: the entry; `weights` is its file's SHA-256, ``"random"`` or ``"none"``.
        recipe: how images become input (bands, units, absent policy, size, windows, normalisation).
        protocol, protocol_version, settings: `settings` holds only what differs from the version's defaults.
        fraction: share of train and val labels, in (0, 1]; -k for few-shot subsets of k samples per class.
        subset: which nested subset of that fraction.
        seed: of random init, probe init and batch order.
    """

    suite: str
    suite_version: int
    split_hash: str
    task: str
    model: str
    model_version: int
    weights: str
    recipe: Mapping[str, Any]
    protocol: str
    protocol_version: int
    settings: Mapping[str, Any]
    fraction: float
    subset: int
    seed: int

    @cached_property
    def digest(self) -> str:
        """20 hex digits that name this run's record."""
        return sha256_of(asdict(self))[:20]

    @property
    def init_seed(self) -> int:
        """The seed of the network's random init: that of the run for untrained networks, else 0."""
        return self.seed if self.weights in ("random", "none") else 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a protocol: scores, choices, curves, arrays and costs.

    Attributes:
        scores: split -> layer rule (``last``, ``best-on-val``) -> metric -> value.
        choices: layer rule -> what was chosen on validation (layer, pool, setting, val score, grid edge).
        curves: one row per layer: layer, depth, pool, setting, val, and one score per test split.
        arrays: per-sample outcomes by name, see `bench.protocols.probe`.
        notes: what a reader must know (samples left out and why, a class absent from the subset).
        cost: counts and seconds a protocol measured itself.
    """

    scores: dict[str, dict[str, dict[str, float]]]
    choices: dict[str, dict[str, Any]]
    curves: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()
    cost: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Record:
    """A finished run, as stored: one JSON file per record, with its arrays in one ``.npz`` file.

    Attributes:
        key: what was run.
        status: ``ok`` or ``failed``.
        facts: what tables need of the entry, suite and task (origin, objective, parent, parameters, trained_on_this,
            generated, kind, metric, classes, unit, licence), so that a report needs no registry.
        scores, choices, curves, notes: see `Outcome`.
        arrays: names of the arrays in the ``.npz``.
        cost: seconds, parameters, peak bytes, backbone passes.
        environment: versions, platform, commit, config.
        error: type and message of a failure.
    """

    key: RunKey
    status: Literal["ok", "failed"]
    facts: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curves: Sequence[Mapping[str, Any]] = ()
    arrays: Sequence[str] = ()
    notes: Sequence[str] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def digest(self) -> str:
        """The name of this record."""
        return self.key.digest
