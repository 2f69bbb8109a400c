"""Dense linear probe: batch norm and a linear layer on the token grid, upsampled to the pixels of the label, per layer.

Targets are classes (cross-entropy) or values (squared error of standardised values; NaN where there is none).

The batch norm has exact training statistics and no affine part (the linear layer that follows would absorb it), so it
is a fixed z-score per channel. All learning rates of a layer are trained in one batched computation: they share the
data and its order, and have separate parameters.

A grid covers its `extent`, (H, W) in pixels of the label: the label's own size where the whole image was resized to the
network's input, and more where the image was padded to whole tokens, right and below. Outputs are upsampled to the
extent and cut to the label, so that the output of each token is at the pixels that the token covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.core.errors import Incompatible
from bench.probes.crops import ArrayLike, random_crop

CHUNK_BYTES = 1 << 27
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam (Kingma & Ba 2015)


@dataclass(frozen=True, kw_only=True)
class DenseFit:
    """Linear heads of one layer, one per learning rate.

    Attributes:
        mean: (D,) of the training tokens.
        scale: (D,) standard deviation of the training tokens, 1 where a channel is constant.
        weight: (R, K, D).
        bias: (R, K).
        centre: mean of the training values, 0 for classes; outputs are ``centre + spread * (weight x + bias)``.
        spread: their standard deviation, 1 for classes.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    centre: float = 0.0
    spread: float = 1.0

    def select(self, index: int) -> DenseFit:
        """Return the head of one learning rate."""
        return replace(self, weight=self.weight[index : index + 1], bias=self.bias[index : index + 1])


def channel_statistics(grids: ArrayLike, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (D,) of the tokens of some rows, in one float64 pass.

    Args:
        grids: (n, D, h, w).
        rows: (m,) positions in it.
    """
    width = grids.shape[1]
    step = max(1, CHUNK_BYTES // (8 * int(np.prod(grids.shape[1:]))))
    shift = torch.from_numpy(np.asarray(grids[rows[:1]], np.float64)).mean((0, 2, 3))
    count, total, square = 0, torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for start in range(0, len(rows), step):
        part = torch.from_numpy(np.asarray(grids[rows[start : start + step]], np.float64)) - shift[:, None, None]
        count += part.numel() // width
        total += part.sum((0, 2, 3))
        square += (part**2).sum((0, 2, 3))
    mean = total / count
    deviation = (square / count - mean**2).clamp_min(0).sqrt()
    return mean + shift, torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))


def value_statistics(masks: ArrayLike, rows: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of the finite values (n, H, W) of some rows, in one float64 pass.

    Raises:
        Incompatible: the rows hold no finite value.
    """
    count, mean, square = 0, 0.0, 0.0
    for row in rows:
        values = np.asarray(masks[np.array([row])], np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            continue
        # Chan's parallel update, as for bands.
        delta, total = float(values.mean()) - mean, count + values.size
        square += float(values.var()) * values.size + delta**2 * count * values.size / total
        mean, count = mean + delta * values.size / total, total
    if not count:
        raise Incompatible("no training sample has a single value")
    return mean, max((square / count) ** 0.5, 1e-6)


def upsampled(tokens: Tensor, weight: Tensor, bias: Tensor, extent: Sequence[int]) -> Tensor:
    """Return logits (B, L, R, K, H, W) over an extent; the linear map comes first, so that few channels are upsampled.

    Args:
        tokens: normalised (L, B, D, h, w).
        weight: (L, R, K, D).
        bias: (L, R, K).
        extent: (H, W) pixels that the tokens cover.
    """
    layers, heads, classes, width = weight.shape
    batch, *small = tokens.shape[1], *tokens.shape[-2:]
    columns = tokens.transpose(1, 2).reshape(layers, width, -1)
    flat = torch.baddbmm(bias.reshape(layers, -1, 1), weight.reshape(layers, -1, width), columns)
    grid = flat.reshape(layers * heads * classes, batch, *small).transpose(0, 1)
    if tuple(small) != tuple(extent):
        grid = functional.interpolate(grid, tuple(extent), mode="bilinear", align_corners=False)
    return grid.reshape(batch, layers, heads, classes, *extent)


def fit_dense(
    grids: Sequence[ArrayLike],
    masks: ArrayLike,
    *,
    rows: np.ndarray,
    classes: int,
    ignore: int | None,
    learning_rates: Sequence[float],
    steps: int,
    batch: int,
    generator: torch.Generator,
    extent: tuple[int, int] | None = None,
    device: str = "cpu",
) -> list[DenseFit]:
    """Return linear heads trained with Adam over valid pixels: for each layer, one per learning rate.

    Every learning rate takes the same `steps` over the same batches, with a cosine decay; weights start at zero. A step
    uses a random crop of an image larger than `CROP`.

    Args:
        grids: tokens (n, D, h, w) of L layers of one shape, read in batches; each layer is trained as if alone.
        masks: labels (n, H, W).
        rows: (m,) positions to train on.
        classes: number of classes K; 0 where masks hold values.
        ignore: label code that is left out of the loss, or None.
        learning_rates: R of them.
        steps: optimiser steps.
        batch: images per step.
        generator: source of the order of images, and of the crops of large images.
        extent: (H, W) pixels that a grid covers, by default the size of the masks.
        device: torch device.
    """
    extent = extent or (masks.shape[1], masks.shape[2])
    statistics = [channel_statistics(layer, rows) for layer in grids]
    mean, scale = (torch.stack(part).float().to(device) for part in zip(*statistics, strict=True))
    rates = torch.tensor(list(learning_rates), device=device)
    centre, spread = (0.0, 1.0) if classes else value_statistics(masks, rows)
    shape = (len(grids), len(rates), max(classes, 1))
    parameters = [
        torch.zeros(*shape, grids[0].shape[1], device=device, requires_grad=True),
        torch.zeros(*shape, device=device, requires_grad=True),
    ]
    moments = [(torch.zeros_like(values), torch.zeros_like(values)) for values in parameters]
    order = _batches(len(rows), batch, generator)
    for step in range(steps):
        tokens, target, crop = random_crop(grids, masks, np.sort(rows[next(order)]), extent, generator)
        tokens = (tokens.to(device) - mean[:, None, :, None, None]) / scale[:, None, :, None, None]
        logits = upsampled(tokens, parameters[0], parameters[1], crop.extent)[..., crop.rows, crop.columns]
        heads = logits.flatten(1, 2)
        if classes:
            loss = _loss(heads, target.to(device), ignore)
        else:
            loss = _squares(heads[:, :, 0], (target.to(device) - centre) / spread)
        gradients = torch.autograd.grad(loss, parameters)
        decay = 0.5 * (1 + np.cos(np.pi * step / steps))
        _adam(parameters, gradients, moments, rates * decay, step + 1)
    weight, bias = (values.detach() for values in parameters)
    return [
        DenseFit(
            mean=mean[i],
            scale=scale[i],
            weight=weight[i],
            bias=bias[i],
            centre=centre,
            spread=spread,
        )
        for i in range(len(grids))
    ]


def _batches(count: int, batch: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    """Yield positions batch by batch, without end; each pass over the data has a new order."""
    waiting: list[int] = []
    while True:
        while len(waiting) < min(batch, count):
            waiting += torch.randperm(count, generator=generator).tolist()
        yield np.array(waiting[:batch])
        waiting = waiting[batch:]


def _loss(logits: Tensor, target: Tensor, ignore: int | None) -> Tensor:
    """Return the sum over heads of the mean cross-entropy over valid pixels; zero where a batch has none."""
    heads = logits.shape[1]
    valid = torch.ones_like(target, dtype=torch.bool) if ignore is None else target != ignore
    wanted = target.masked_fill(~valid, -1)[:, None].expand(-1, heads, -1, -1)
    total = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(0, 1), ignore_index=-1, reduction="sum")
    return total / max(1, int(valid.sum()))


def _squares(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the sum over heads (B, heads, H, W) of the mean squared error over pixels with a value (B, H, W)."""
    valid = target.isfinite()
    error = (outputs - target.nan_to_num()[:, None]) * valid[:, None]
    return error.square().sum() / max(1, int(valid.sum()))


def _adam(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    moments: Sequence[tuple[Tensor, Tensor]],
    rates: Tensor,
    step: int,
) -> None:
    """Take one Adam step in place, each head with its own rate."""
    with torch.no_grad():
        for values, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
            first.lerp_(gradient, 1 - BETAS[0])
            second.lerp_(gradient**2, 1 - BETAS[1])
            size = rates.reshape(-1, *(1 for _ in values.shape[2:]))
            values -= size * (first / (1 - BETAS[0] ** step)) / ((second / (1 - BETAS[1] ** step)).sqrt() + EPSILON)


def dense_outputs(
    fit: DenseFit,
    grids: ArrayLike,
    size: tuple[int, int],
    *,
    rows: np.ndarray,
    extent: tuple[int, int] | None = None,
    device: str = "cpu",
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield the outputs of every head for every pixel of some images, as many images at a time as fit in memory.

    Args:
        fit: R heads.
        grids: tokens (n, D, h, w).
        size: (H, W) of the label.
        rows: (m,) positions of the images in `grids`.
        extent: (H, W) pixels that a grid covers, by default the size of the label.
        device: torch device.

    Yields:
        Places (b,) in `rows`, and logits or values in their unit (b, R, K, H, W), where K is 1 for values.
    """
    heads, classes, _ = fit.weight.shape
    step = max(1, CHUNK_BYTES // (16 * heads * classes * int(np.prod(size))))
    for start in range(0, len(rows), step):
        places = np.arange(start, min(start + step, len(rows)))
        with torch.inference_mode():
            tokens = torch.from_numpy(np.asarray(grids[rows[places]], np.float32)).to(device)
            tokens = (tokens - fit.mean[:, None, None]) / fit.scale[:, None, None]
            outputs = upsampled(tokens[None], fit.weight[None], fit.bias[None], extent or size)[:, 0]
            outputs = outputs[..., : size[0], : size[1]]
            if (fit.centre, fit.spread) != (0.0, 1.0):
                outputs = outputs.double() * fit.spread + fit.centre
        yield places, outputs
