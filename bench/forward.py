"""Samples through a network: prepared, dates folded, windows cut and put together again. Gradients pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.bands import Recipe
from bench.core import Backbone, Sample, Tap
from bench.errors import Incompatible
from bench.prepare import Statistics, prepare, window_grid

Fold = Callable[[int, Tensor, "Tensor | None"], Tensor]
"""(position of the layer among those asked for, grids (B, T, D, h, w), dates (B, T, 3) or None) -> (B, D, h, w)."""


class Ready(NamedTuple):
    """Prepared input of some samples that have equally many dates.

    Attributes:
        images: sensor -> (B, T, C, h, w), see `bench.prepare.prepare`.
        when: (B, T, 3) year, month, day, or None.
        where: (B, 2) longitude, latitude, or None.
    """

    images: dict[str, Tensor]
    when: Tensor | None
    where: Tensor | None

    @property
    def dates(self) -> int:
        """Number of dates T."""
        return next(iter(self.images.values())).shape[1]

    def crop(self, top: int, left: int, size: tuple[int, int]) -> Ready:
        """Return the same of one window of the images."""
        rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
        return self._replace(images={sensor: values[..., rows, columns] for sensor, values in self.images.items()})


def ready(samples: Sequence[Sample], recipe: Recipe, statistics: Statistics, device: str) -> Ready:
    """Return the prepared input of samples with equally many dates."""
    images = {
        sensor: torch.from_numpy(np.stack([sample.images[sensor] for sample in samples])).to(device)
        for sensor in samples[0].images
    }
    when = _stack([sample.when for sample in samples], device)
    where = _stack([None if s.where is None else np.asarray(s.where, np.float32) for s in samples], device)
    return Ready(prepare(images, recipe, statistics), when, where)


def by_length(samples: Sequence[Sample]) -> list[list[int]]:
    """Return the positions of samples grouped by their number of dates, in order of first appearance.

    Raises:
        Incompatible: the sensors of one sample have different numbers of dates.
    """
    groups: dict[int, list[int]] = {}
    for place, sample in enumerate(samples):
        groups.setdefault(_length(sample), []).append(place)
    return list(groups.values())


def taps_of(
    recipe: Recipe, backbone: Backbone, given: Ready, layers: Sequence[int], fold: Fold | None = None
) -> list[Tap]:
    """Return the `Tap` of each layer asked for, of images no larger than the network takes at a time.

    Args:
        recipe: says whether dates are encoded one by one.
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
    recipe: Recipe,
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
        given = ready([samples[i] for i in rows], recipe, stats, device)
        parts.append(whole_taps(recipe, backbone, given, wanted))
    if len(parts) == 1:
        return parts[0]
    order = torch.tensor([i for rows in groups for i in rows], device=device).argsort()
    return [_together(layer, order) for layer in zip(*parts, strict=True)]


def whole_taps(
    recipe: Recipe, backbone: Backbone, given: Ready, layers: Sequence[int], fold: Fold | None = None
) -> list[Tap]:
    """Return what `taps_of` does, of images of any size: in windows where they exceed what the network takes."""
    if not recipe.windows:
        return taps_of(recipe, backbone, given, layers, fold)
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


def _length(sample: Sample) -> int:
    """Return the number of dates of a sample."""
    found = {sensor: len(values) for sensor, values in sample.images.items()}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{count} of {sensor}" for sensor, count in found.items())
        raise Incompatible(f"a sample has {said}: dates are not shared; choose one sensor with bands=")
    return next(iter(found.values()))


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


def _blank(tap: Tap, recipe: Recipe, tall: int, wide: int) -> Tap:
    stride = recipe.size[0] // tap.grid.shape[-2]
    grid = tap.grid.new_empty(*tap.grid.shape[:2], tall // stride, wide // stride)
    cls = None if tap.cls is None else torch.zeros_like(tap.cls)
    return type(tap)(grid, torch.zeros_like(tap.vector), cls)


def owned(starts: list[int], start: int, window: int, extent: int, stride: int) -> tuple[slice, slice]:
    """Return the tokens of the window at `start` that no other window holds more centrally: (in window, in image)."""
    centres = [other + window / 2 for other in starts]
    mine = starts.index(start)
    low = 0.0 if mine == 0 else (centres[mine - 1] + centres[mine]) / 2
    high = float(extent) if mine == len(starts) - 1 else (centres[mine] + centres[mine + 1]) / 2
    # A token belongs to the window that holds its centre; halves round alike on both sides of a border.
    first, last = round(low / stride), round(high / stride)
    return slice(first - start // stride, last - start // stride), slice(first, last)


def _stack(values: list[np.ndarray | None], device: str) -> Tensor | None:
    if any(value is None for value in values):
        return None
    return torch.from_numpy(np.stack([value for value in values if value is not None])).to(device)
