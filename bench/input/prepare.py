"""Prepare images by a recipe of `bench.input.recipe`: units, normalisation, size; the only place that normalises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.core import UNITS, Band
from bench.input.recipe import InputRecipe

if TYPE_CHECKING:
    from torch import Tensor


Statistics = Mapping[str, "tuple[float, float]"]
"""Suite band name -> (mean, standard deviation) over the train split, in the suite's unit."""


def _convert(values: Tensor, source: Band, target: Band) -> Tensor:
    import torch

    have, want = UNITS[source.unit], UNITS[target.unit]
    if source.unit == target.unit:
        return values
    if have.quantity == "power":
        return 10 * torch.log10(values.clamp_min(1e-10))
    if have.quantity == "backscatter":
        return torch.pow(10.0, values / 10)
    converted = (values * have.scale + have.offset - want.offset) / want.scale
    # A display value is clipped by what a display can show.
    return converted.clamp(0, 255) if target.unit == "uint8" else converted


def fill_no_data(values: Tensor) -> Tensor:
    """Return (..., T, C, H, W) with non-finite values replaced by the mean of their band in the image.

    >>> import torch
    >>> fill_no_data(torch.tensor([1.0, 3.0, torch.nan, -torch.inf]).reshape(1, 1, 1, 4)).flatten().tolist()
    [1.0, 3.0, 2.0, 2.0]
    """
    import torch

    finite = torch.isfinite(values)
    if bool(finite.all()):
        return values
    means = torch.where(finite, values, torch.nan).nanmean(dim=(-4, -2, -1), keepdim=True)
    return torch.where(finite, values, means)


def _missing(values: Tensor) -> Tensor:
    """Return values with NaN for all that is not finite."""
    import torch

    return torch.where(torch.isfinite(values), values, torch.nan)


def prepare(images: Mapping[str, Tensor], recipe: InputRecipe, statistics: Statistics) -> dict[str, Tensor]:
    """Return the input of the backbone before windows are cut: sensor -> (B, T, C, h, w).

    Args:
        images: suite sensor -> (B, T, C, H, W) raw values, channels in the order of ``recipe.reads`` of that sensor.
        recipe: see `match`.
        statistics: needed for ``normalise="dataset"`` only.

    Returns:
        Normalised input at ``recipe.size``, or at native size padded to whole tokens where windows will be cut.
    """
    import torch

    place: dict[str, int] = {}
    for band in recipe.reads:
        place[band.name] = sum(other.sensor == band.sensor for other in list(recipe.reads)[: recipe.reads.index(band)])
    # A class code has no mean: what is missing stays missing, and the network masks it.
    coded = {band.sensor for band in recipe.reads if band.unit == "class"}
    filled = {s: _missing(v.float()) if s in coded else fill_no_data(v.float()) for s, v in images.items()}
    groups: dict[str, list[Tensor]] = {}
    for channel in recipe.channels:
        parts = [filled[band.sensor][:, :, place[band.name]] for band in channel.source]
        if not parts:
            anchor = next(iter(filled.values()))[:, :, 0]
            raw = torch.zeros_like(anchor)
            value = raw + recipe.neutral if recipe.absent == "mean" else (raw - channel.shift) / channel.scale
        elif len(parts) == 2:
            total = parts[0] + parts[1]
            ratio = torch.where(total == 0, torch.zeros_like(total), (parts[0] - parts[1]) / total)
            value = (ratio - channel.shift) / channel.scale
        else:
            value = (_convert(parts[0], channel.source[0], channel.band) - channel.shift) / channel.scale
            if recipe.normalise == "dataset":
                mean, deviation = statistics[channel.source[0].name]
                value = (value - mean) / max(deviation, 1e-6)
            elif recipe.normalise == "image_2sd":
                mean_, sd = value.mean((-2, -1), keepdim=True), value.std((-2, -1), keepdim=True)
                value = ((value - (mean_ - 2 * sd)) / (4 * sd).clamp_min(1e-6)).clamp(0, 1)
            elif recipe.normalise == "image_minmax":
                low, high = value.amin((-2, -1), keepdim=True), value.amax((-2, -1), keepdim=True)
                value = (value - low) / (high - low).clamp_min(1e-6)
        groups.setdefault(channel.band.sensor, []).append(value.clamp(*recipe.clip) if recipe.clip else value)
    return {sensor: _fit(torch.stack(values, 2), recipe) for sensor, values in groups.items()}


def _fit(values: Tensor, recipe: InputRecipe) -> Tensor:
    """Resize to the recipe's size, or pad to whole tokens where windows follow."""
    from torch.nn import functional

    batch, dates, channels, tall, wide = values.shape
    flat = values.reshape(batch * dates, channels, tall, wide)
    if recipe.windows:
        extent = recipe.extent((tall, wide))
        pad_h, pad_w = extent[0] - tall, extent[1] - wide
        if pad_h or pad_w:
            mode = "reflect" if pad_h < tall and pad_w < wide else "replicate"
            flat = functional.pad(flat, (0, pad_w, 0, pad_h), mode=mode)
    elif (tall, wide) != recipe.size:
        shrinks = recipe.size[0] < tall or recipe.size[1] < wide
        flat = functional.interpolate(flat, recipe.size, mode="bilinear", align_corners=False, antialias=shrinks)
    return flat.reshape(batch, dates, channels, *flat.shape[-2:])
