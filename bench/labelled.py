"""What a protocol sees: features of a split joined with its labels, and the settings of its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.bands import Recipe
from bench.core import Backbone, Layer, ModelEntry, Split, Task
from bench.errors import UnknownName
from bench.lookup import match
from bench.store import Features

POOLS = ("mean", "cls", "both", "own")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Usable rows of one split's features, with their labels.

    Attributes:
        features: all rows of the split.
        rows: positions used, sorted.
        ids: of the rows used.
        blocks: resampling unit of each row used.
        target: (n,) classes, (n, K) multi-hot or (n, q) values of the rows used; None for masks.
        notes: samples left out, by name and reason.
    """

    features: Features
    rows: np.ndarray
    ids: list[str]
    blocks: list[str]
    target: np.ndarray | None
    notes: tuple[str, ...] = ()

    def vectors(self, layer: str, pool: str) -> np.ndarray:
        """Return the pooled features (n, D) float32 of one layer."""
        if pool == "both":
            return np.concatenate([self.vectors(layer, "mean"), self.vectors(layer, "cls")], 1)
        return np.asarray(self.features[f"{layer}.{pool}"][self.rows], np.float32)


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a protocol works with that runs the network itself.

    Attributes:
        entry: the model.
        recipe: how images become its input.
        layers: all of its layers.
        dates: number of dates of a sample, 0 where it varies.
        input_size: (H, W) of a whole image as prepared, padded where windows are cut from it.
        load: (from random init?) -> a copy of its own, free to be changed.
        shared: gives the one that frozen passes use.
        images: (split, augmentations, most or 0 for all) -> samples as images, `bench.examples.ImageExamples`.
        features: (split, layers, grids) -> samples as stored features, `bench.examples.StoredExamples`.
        one: gives one training sample as a batch.
        profile: gives layer -> validation score of the linear probe, higher is better.
        place: number of a training -> file of its checkpoint.
        keep: puts tuned weights in the cache.
        split: name -> the opened split.
        write: (split, position, predicted values) -> a GeoTIFF beside the record, or why there is none.
    """

    entry: ModelEntry
    recipe: Recipe
    layers: tuple[Layer, ...]
    dates: int
    input_size: tuple[int, int]
    load: Callable[[bool], Backbone]
    shared: Callable[[], Backbone]
    images: Callable[..., Any]
    features: Callable[[str, tuple[str, ...], bool], Any]
    one: Callable[[], Any]
    profile: Callable[[], Mapping[str, float]]
    place: Callable[[int], Path]
    keep: Callable[[Mapping[str, Any]], None]
    split: Callable[[str], Split]
    write: Callable[[str, int, np.ndarray], str]


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything one run of a protocol works with.

    Attributes:
        task: what to predict.
        layers: the backbone's layers, in order, those to be probed only.
        open: split name -> `Labelled`; training and validation come as the run's subset. A protocol opens test splits
            after it has chosen.
        tests: names of the test splits there are.
        settings: the protocol's own, validated.
        seed: of everything random in the protocol.
        device: torch device.
        network: for protocols that run it themselves, else None.
    """

    task: Task
    layers: tuple[Layer, ...]
    open: Callable[[str], Labelled]
    tests: tuple[str, ...]
    settings: Any
    seed: int
    device: str = "cpu"
    network: Network | None = None


def usable_rows(features: Features) -> np.ndarray:
    """Return a mask (n,) of the rows with features: NaN marks a sample none could be had of."""
    name = next(name for name in features.names if name != "mask")
    found: np.ndarray = np.isfinite(features[name].reshape(len(features.ids), -1)[:, 0])
    return found


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
