"""Windows are put together exactly, and dates are folded as the recipe says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench.core import Layer, Normalise, Tap
from bench.core.errors import Incompatible
from bench.features.forward import run_backbone
from bench.input.recipe import match
from tests.builders.suite_and_model import BANDS, ToySplit, toy_entry, toy_suite

SUITE = toy_suite()
KIND, _, MASK = SUITE.tasks


class Positions(torch.nn.Module):
    """Says of each token where it lies in the image, and nothing else."""

    layers = (
        Layer(name="fine", channels=2, stride=4, depth=0.5),
        Layer(name="coarse", channels=2, stride=8, depth=1.0),
    )

    def forward(self, images, layers, *, when=None, where=None):
        x = images["s2"][:, 0]
        taps = []
        for index in layers:
            grid = torch.nn.functional.avg_pool2d(x, self.layers[index].stride)
            taps.append(Tap(grid, grid.mean((2, 3))))
        return taps


@pytest.mark.parametrize("side", [64, 72, 200])
def test_windows_are_put_together_exactly(side):
    suite = toy_suite(image_size=(side, side))
    recipe = match(toy_entry(image_size=32, patch=8, normalise=Normalise(kind="none")), suite, MASK, BANDS)
    assert recipe.windows
    split = ToySplit("mask", "train", 2, BANDS, side=side)
    taps = run_backbone(recipe, Positions(), [split[0], split[1]], {}, "cpu")
    x = torch.from_numpy(np.stack([split[i].images["s2"][0] for i in range(2)]))
    for tap, stride in zip(taps, (4, 8), strict=True):
        torch.testing.assert_close(tap.grid, torch.nn.functional.avg_pool2d(x, stride))


def test_dates_are_averaged_where_the_model_has_no_way_of_its_own():
    suite = toy_suite(dates=3)
    recipe = match(toy_entry(normalise=Normalise(kind="none")), suite, KIND, BANDS)
    assert recipe.fold_dates and not match(toy_entry(temporal=True), suite, KIND, BANDS).fold_dates
    split = ToySplit("kind", "train", 2, BANDS)
    samples = [split[i] for i in range(2)]
    samples = [s._replace(images={"s2": np.concatenate([s.images["s2"] * k for k in (1, 2, 3)])}) for s in samples]
    single = run_backbone(
        match(toy_entry(normalise=Normalise(kind="none")), SUITE, KIND, BANDS),
        Positions(),
        [split[0], split[1]],
        {},
        "cpu",
    )
    for tap, averaged in zip(single, run_backbone(recipe, Positions(), samples, {}, "cpu"), strict=True):
        torch.testing.assert_close(averaged.vector, 2 * tap.vector)


def test_windows_begin_at_whole_tokens_of_every_layer():
    suite = toy_suite(image_size=(72, 72))
    sample = ToySplit("mask", "train", 1, BANDS, side=72)[0]
    finer = match(toy_entry(image_size=32, patch=4, normalise=Normalise(kind="none")), suite, MASK, BANDS)
    with pytest.raises(Incompatible, match=r"layer coarse has tokens of 8 pixels, .* the patch of 4 pixels"):
        run_backbone(finer, Positions(), [sample], {}, "cpu")
    with pytest.raises(Incompatible, match="reads 30 pixels a side, no multiple of its patch of 8"):
        match(toy_entry(image_size=30, patch=8), suite, MASK, BANDS)
    coarser = dataclasses.replace(finer, patch=16)
    assert run_backbone(coarser, Positions(), [sample], {}, "cpu")[1].grid.shape[-2:] == (10, 10)  # 80 pixels
