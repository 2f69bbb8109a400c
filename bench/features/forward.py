"""Forward passes of samples: preparation, pooling over dates, windows cut and reassembled. Gradients are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.core import Backbone, Layer, Sample, Tap
from bench.core.errors import Incompatible
from bench.input.prepare import Statistics
from bench.input.prepared import PreparedInput, by_length, prepare_input
from bench.input.recipe import InputRecipe
from bench.input.windows import owned, window_grid

Fold = Callable[[int, Tensor, "Tensor | None"], Tensor]
"""(position of the layer among those asked for, grids (B, T, D, h, w), dates (B, T, 3) or None) -> (B, D, h, w)."""


def taps_of(
    recipe: InputRecipe, backbone: Backbone, given: PreparedInput, layers: Sequence[int], fold: Fold | None = None
) -> list[Tap]:
    """Return the `Tap` of each requested layer, for images no larger than the input of the network.

    Args:
        recipe: determines whether dates are encoded one by one.
        backbone: the network.
        given: its input.
        layers: indices into the backbone's layers.
        fold: makes one grid of those of several dates where dates are encoded one by one, in place of their mean; the
            vector is then the mean of that grid.
    """
    images, when, where, dates = given.images, given.when, given.where, given.dates
    apart = recipe.fold_dates and dates > 1
    if apart:
        images = {sensor: values.flatten(0, 1).unsqueeze(1) for sensor, values in images.items()}
        when = None if when is None else when.flatten(0, 1).unsqueeze(1)
        where = None if where is None else where.repeat_interleave(dates, 0)
    device = next(iter(images.values())).device
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
        taps = backbone(images, layers, when=when, where=where)
    if not apart:
        return taps
    if fold is None or recipe.joined:
        return [_over_dates(tap, dates, joined=recipe.joined) for tap in taps]
    grids = [fold(i, tap.grid.reshape(-1, dates, *tap.grid.shape[1:]), given.when) for i, tap in enumerate(taps)]
    return [Tap(grid, grid.mean((-2, -1))) for grid in grids]


def run_backbone(
    recipe: InputRecipe,
    backbone: Backbone,
    samples: Sequence[Sample],
    stats: Statistics,
    device: str,
    layers: Sequence[int] | None = None,
) -> list[Tap]:
    """Return the `Tap` of each layer (all by default) of some samples, whatever their size and number of dates.

    With windows the grid is that of the whole image: each token comes from the window in whose middle it lies most, so
    every pixel is covered once. Vectors are means over windows then. Series of different lengths are run apart, and
    come back in the order given.

    Raises:
        Incompatible: the sensors of one sample have different numbers of dates.
    """
    wanted = range(len(backbone.layers)) if layers is None else layers
    groups = by_length(samples)
    parts = []
    for rows in groups:
        given = prepare_input([samples[i] for i in rows], recipe, stats, device)
        parts.append(whole_taps(recipe, backbone, given, wanted))
    if len(parts) == 1:
        return parts[0]
    order = torch.tensor([i for rows in groups for i in rows], device=device).argsort()
    return [_together(layer, order) for layer in zip(*parts, strict=True)]


def whole_taps(
    recipe: InputRecipe, backbone: Backbone, given: PreparedInput, layers: Sequence[int], fold: Fold | None = None
) -> list[Tap]:
    """Return the taps of images of any size: in windows where the images exceed the input of the network."""
    if not recipe.windows:
        return taps_of(recipe, backbone, given, layers, fold)
    _check_strides(recipe, [backbone.layers[index] for index in layers])
    tall, wide = next(iter(given.images.values())).shape[-2:]
    corners = window_grid(recipe, (tall, wide))
    rows, columns = sorted({top for top, _ in corners}), sorted({left for _, left in corners})
    whole: list[Tap] = []
    for top in rows:
        for left in columns:
            taps = taps_of(recipe, backbone, given.crop(top, left, recipe.size), layers, fold)
            if not whole:
                whole = [_blank(tap, recipe, tall, wide) for tap in taps]
            for part, tap in zip(whole, taps, strict=True):
                stride = recipe.size[0] // tap.grid.shape[-2]
                y, into_y = owned(rows, top, recipe.size[0], tall, stride)
                x, into_x = owned(columns, left, recipe.size[1], wide, stride)
                part.grid[:, :, into_y, into_x] = tap.grid[:, :, y, x]
                part.vector.add_(tap.vector / (len(rows) * len(columns)))
                if part.cls is not None and tap.cls is not None:
                    part.cls.add_(tap.cls / (len(rows) * len(columns)))
    return whole


def _check_strides(recipe: InputRecipe, layers: Sequence[Layer]) -> None:
    """Check that windows, which begin at multiples of the patch, begin at whole tokens of every layer.

    Raises:
        Incompatible: a layer whose tokens are no part of a patch.
    """
    for layer in layers:
        if recipe.patch % layer.stride:
            raise Incompatible(
                f"layer {layer.name} has tokens of {layer.stride} pixels, which do not divide the patch of "
                f"{recipe.patch} pixels that windows begin at; set the patch of its entry to the stride of the coarsest"
            )


def _together(taps: Sequence[Tap], order: Tensor) -> Tap:
    """Return the taps of one layer from several batches as one, its rows brought into an order."""
    joined = [
        None if any(part is None for part in parts) else torch.cat(parts)[order] for parts in zip(*taps, strict=True)
    ]
    assert joined[0] is not None and joined[1] is not None
    return type(taps[0])(joined[0], joined[1], joined[2])


def _over_dates(tap: Tap, dates: int, *, joined: bool) -> Tap:
    """Return a tap of samples from one of their dates, (B T, ...): averaged, or joined along the channels."""
    by_date = [None if part is None else part.reshape(-1, dates, *part.shape[1:]) for part in tap]
    grid, vector, cls = (None if p is None else p.flatten(1, 2) if joined else p.mean(1) for p in by_date)
    assert grid is not None and vector is not None
    return type(tap)(grid, vector, cls)


def _blank(tap: Tap, recipe: InputRecipe, tall: int, wide: int) -> Tap:
    stride = recipe.size[0] // tap.grid.shape[-2]
    grid = tap.grid.new_empty(*tap.grid.shape[:2], tall // stride, wide // stride)
    cls = None if tap.cls is None else torch.zeros_like(tap.cls)
    return type(tap)(grid, torch.zeros_like(tap.vector), cls)
