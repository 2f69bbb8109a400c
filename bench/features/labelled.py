"""LabelledFeatures: the features of a split joined with its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core import Layer
from bench.core.errors import UnknownName
from bench.core.lookup import match
from bench.store import Features

POOLS = ("mean", "cls", "both", "own")


@dataclass(frozen=True, kw_only=True)
class LabelledFeatures:
    """Usable rows of one split's features, with their labels.

    Attributes:
        features: all rows of the split.
        rows: positions used, sorted.
        ids: of the rows used.
        blocks: resampling unit of each row used.
        target: (n,) classes, (n, K) multi-hot or (n, q) values of the rows used; None for masks.
        extent: (H, W) pixels of the label that a token grid covers, more than the label's own where images were padded
            to whole tokens; None for image-level targets.
        notes: samples left out, by name and reason.
    """

    features: Features
    rows: np.ndarray
    ids: list[str]
    blocks: list[str]
    target: np.ndarray | None
    extent: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    def vectors(self, layer: str, pool: str) -> np.ndarray:
        """Return the pooled features (n, D) float32 of one layer."""
        if pool == "both":
            return np.concatenate([self.vectors(layer, "mean"), self.vectors(layer, "cls")], 1)
        return np.asarray(self.features[f"{layer}.{pool}"][self.rows], np.float32)


def usable_rows(features: Features) -> np.ndarray:
    """Return a mask (n,) of the rows with features: NaN marks a sample that could not be used."""
    name = next(name for name in features.names if name != "mask")
    finite: np.ndarray = np.isfinite(features[name].reshape(len(features.ids), -1)[:, 0])
    return finite


def pools_of(features: Features, layer: str, wanted: Sequence[str]) -> list[str]:
    """Return which of the wanted pools a layer has; ``both`` needs a class token."""
    have = {name.partition(".")[2] for name in features.names if name.partition(".")[0] == layer}
    return [pool for pool in wanted if pool in have or (pool == "both" and {"mean", "cls"} <= have)]


def select_layers(layers: Sequence[Layer], patterns: Sequence[str], model: str) -> tuple[Layer, ...]:
    """Return the layers that patterns name (all if there are none); ``last`` is the last one.

    Raises:
        UnknownName: a pattern that names no layer of this model.
    """
    if not patterns:
        return tuple(layers)
    names = [layer.name for layer in layers]
    words = [names[-1] if word == "last" else word for word in patterns]
    try:
        wanted = match(words, names, kind=f"layer of {model}")
    except UnknownName as error:
        raise UnknownName(error.kind, error.given, [*names, "last"]) from None
    return tuple(layer for layer in layers if layer.name in wanted)
