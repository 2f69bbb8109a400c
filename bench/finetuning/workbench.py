"""Workbench: what a protocol needs to run the network itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import Backbone, Layer, ModelEntry, Split
from bench.input.recipe import InputRecipe


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """What a protocol works with that runs the network itself.

    Attributes:
        entry: the model.
        recipe: how images become its input.
        layers: all of its layers.
        dates: number of dates of a sample, 0 where it varies.
        input_size: (H, W) of a whole image as prepared, padded where windows are cut from it.
        load: (from random init?) -> a copy of its own, free to be changed.
        shared: gives the one that frozen passes use.
        images: (split, augmentations, most or 0 for all) -> samples as images, `bench.input.batches.ImageExamples`.
        features: (split, layers, grids) -> samples as stored features, `bench.input.batches.StoredExamples`.
        one: gives one training sample as a batch.
        profile: gives layer -> validation score of the linear probe, higher is better.
        place: number of a training -> file of its checkpoint.
        keep: puts tuned weights in the cache.
        split: name -> the opened split.
        write: (split, position, predicted values) -> a GeoTIFF beside the record, or why there is none.
    """

    entry: ModelEntry
    recipe: InputRecipe
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
