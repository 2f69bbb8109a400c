"""Dense linear probe: batch norm and a linear layer on the token grid, upsampled to the label grid, per layer.

Its targets are classes (cross-entropy) or values (squared error of standardised values; NaN where there is none).

The batch norm has exact train statistics and no affine part (the linear layer that follows would absorb it), so it is a
fixed z-score per channel. All learning rates of a layer are trained in one batched computation: they share the data and
its order, and their parameters never meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.core.errors import Incompatible

CHUNK_BYTES = 1 << 27
CROP = 128  # label pixels a side that one training step looks at
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam (Kingma & Ba 2015)


class ArrayLike(Protocol):
    """What is indexed by rows and not loaded whole: a numpy array or memory map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Return some rows."""
        ...


@dataclass(frozen=True, kw_only=True)
class DenseFit:
    """Linear heads of one layer, one a learning rate.

    Attributes:
        mean: (D,) of the training tokens.
        scale: (D,) standard deviation of the training tokens, 1 where a channel is constant.
        weight: (R, K, D).
        bias: (R, K).
        ignore: label code that is not scored, or None.
        centre: mean of the training values, 0 for classes; outputs are ``centre + spread * (weight x + bias)``.
        spread: their standard deviation, 1 for classes.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    ignore: int | None
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
        Incompatible: there is none.
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


def _logits(tokens: Tensor, weight: Tensor, bias: Tensor, size: Sequence[int]) -> Tensor:
    """Return logits (B, L, R, K, H, W); linear first, so that few channels are upsampled.

    Args:
        tokens: normalised (L, B, D, h, w).
        weight: (L, R, K, D).
        bias: (L, R, K).
        size: (H, W).
    """
    layers, heads, classes, width = weight.shape
    batch, *small = tokens.shape[1], *tokens.shape[-2:]
    columns = tokens.transpose(1, 2).reshape(layers, width, -1)
    flat = torch.baddbmm(bias.reshape(layers, -1, 1), weight.reshape(layers, -1, width), columns)
    grid = flat.reshape(layers * heads * classes, batch, *small).transpose(0, 1)
    if tuple(small) != tuple(size):
        grid = functional.interpolate(grid, tuple(size), mode="bilinear", align_corners=False)
    return grid.reshape(batch, layers, heads, classes, *size)


def _take(grids: ArrayLike, rows: np.ndarray, fit: DenseFit) -> Tensor:
    values = torch.from_numpy(np.asarray(grids[rows], np.float32)).to(fit.mean.device)
    return ((values - fit.mean[:, None, None]) / fit.scale[:, None, None])[None]


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
    device: str = "cpu",
) -> list[DenseFit]:
    """Return linear heads trained with Adam on cross-entropy over valid pixels: for each layer, one a learning rate.

    Every learning rate takes the same `steps` over the same batches, with a cosine decay; weights start at zero. Of an
    image larger than `CROP` a step sees a random part.

    Args:
        grids: tokens (n, D, h, w) of L layers of one shape, read in batches; each layer is trained as if alone.
        masks: labels (n, H, W).
        rows: (m,) positions to train on.
        classes: number of classes K; 0 where masks hold values.
        ignore: label code that adds nothing, or None.
        learning_rates: R of them.
        steps: optimiser steps.
        batch: images a step.
        generator: of the order of images.
        device: torch device.
    """
    statistics = [channel_statistics(layer, rows) for layer in grids]
    mean, scale = (torch.stack(part).float().to(device) for part in zip(*statistics, strict=True))
    rates = torch.tensor(list(learning_rates), device=device)
    centre, spread = (0.0, 1.0) if classes else value_statistics(masks, rows)
    shape = (len(grids), len(rates), max(classes, 1))
    parameters = [
        torch.zeros(*shape, grids[0].shape[1], device=device, requires_grad=True),
        torch.zeros(*shape, device=device, requires_grad=True),
    ]
    moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one in parameters]
    order = _batches(len(rows), batch, generator)
    for step in range(steps):
        tokens, target, crop = _crop(grids, masks, np.sort(rows[next(order)]), generator)
        tokens = (tokens.to(device) - mean[:, None, :, None, None]) / scale[:, None, :, None, None]
        logits = _logits(tokens, parameters[0], parameters[1], crop.size)[..., crop.rows, crop.columns]
        heads = logits.flatten(1, 2)
        if classes:
            loss = _loss(heads, target.to(device), ignore)
        else:
            loss = _squares(heads[:, :, 0], (target.to(device) - centre) / spread)
        gradients = torch.autograd.grad(loss, parameters)
        decay = 0.5 * (1 + np.cos(np.pi * step / steps))
        _adam(parameters, gradients, moments, rates * decay, step + 1)
    weight, bias = (one.detach() for one in parameters)
    return [
        DenseFit(
            mean=mean[i],
            scale=scale[i],
            weight=weight[i],
            bias=bias[i],
            ignore=ignore,
            centre=centre,
            spread=spread,
        )
        for i in range(len(grids))
    ]


class Crop(NamedTuple):
    """The label pixels a step looks at: upsample the tokens taken to `size`, then keep these rows and columns."""

    size: tuple[int, int]
    rows: slice
    columns: slice


def _crop(
    grids: Sequence[ArrayLike], masks: ArrayLike, chosen: np.ndarray, generator: torch.Generator
) -> tuple[Tensor, Tensor, Crop]:
    """Return tokens and labels of one place in some images, at most `CROP` pixels a side, and how to match them.

    A step on a large image looks at a part of it, for the cost of a small one. One token of margin is taken along, so
    that upsampling inside the crop is that of the whole image. Where a token is no whole number of pixels the image is
    taken whole.
    """
    tall, broad = grids[0].shape[2:]
    token_rows, rows, top, high = _part(tall, masks.shape[1], generator)
    token_columns, columns, left, wide = _part(broad, masks.shape[2], generator)
    parts = [np.asarray(layer[chosen][:, :, token_rows, token_columns], np.float32) for layer in grids]
    tokens = torch.from_numpy(np.stack(parts))
    part = np.asarray(masks[chosen][:, rows, columns])
    target = torch.from_numpy(part.astype(np.float32 if part.dtype.kind == "f" else np.int64))
    inside = Crop((high, wide), slice(top, top + target.shape[1]), slice(left, left + target.shape[2]))
    return tokens, target, inside


def _part(tokens: int, pixels: int, generator: torch.Generator) -> tuple[slice, slice, int, int]:
    """Return tokens with margin, label pixels, where these start in the upsampled tokens, and how long those are."""
    stride, rest = divmod(pixels, tokens)
    count = max(1, CROP // stride) if stride else tokens
    if rest or count >= tokens:
        return slice(None), slice(None), 0, pixels
    first = int(torch.randint(tokens - count + 1, (1,), generator=generator))
    low, high = max(0, first - 1), min(tokens, first + count + 1)
    kept = slice(first * stride, (first + count) * stride)
    return slice(low, high), kept, (first - low) * stride, (high - low) * stride


def _batches(count: int, batch: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    """Yield positions batch by batch, for ever: each pass in a new order."""
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
        for one, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
            first.lerp_(gradient, 1 - BETAS[0])
            second.lerp_(gradient**2, 1 - BETAS[1])
            size = rates.reshape(-1, *(1 for _ in one.shape[2:]))
            one -= size * (first / (1 - BETAS[0] ** step)) / ((second / (1 - BETAS[1] ** step)).sqrt() + EPSILON)


def dense_confusion(
    fit: DenseFit, grids: ArrayLike, masks: ArrayLike, *, rows: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """Return the confusion matrix of each image over every valid pixel.

    Args:
        fit: R heads.
        grids: tokens (n, D, h, w).
        masks: labels (n, H, W).
        rows: (m,) positions to score.
        device: torch device.

    Returns:
        (R, m, K, K) int64, rows truth, columns prediction.
    """
    heads, classes, _ = fit.weight.shape
    found = np.zeros((heads, len(rows), classes, classes), np.int64)
    step = max(1, CHUNK_BYTES // (16 * heads * classes * int(np.prod(masks.shape[1:]))))
    with torch.inference_mode():
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            target = torch.from_numpy(np.asarray(masks[part], np.int64)).to(device)
            logits = _logits(_take(grids, part, fit), fit.weight[None], fit.bias[None], target.shape[1:])
            said = logits[:, 0].argmax(2)
            valid = target >= 0 if fit.ignore is None else target != fit.ignore
            # One count serves all images and heads: each has codes of its own.
            own = torch.arange(len(part) * heads, device=target.device).view(-1, heads, 1, 1) * classes**2
            codes = own + target[:, None] * classes + said
            counts = torch.bincount(codes[valid[:, None].expand_as(codes)], minlength=len(part) * heads * classes**2)
            matrices = counts.view(len(part), heads, classes, classes).transpose(0, 1)
            found[:, start : start + len(part)] = matrices.cpu().numpy()
    return found


def predicted(
    fit: DenseFit, grids: ArrayLike, masks: ArrayLike, *, rows: np.ndarray
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the classes the first head gives to each image's pixels, and the true ones: (1, H, W) both, on the CPU."""
    with torch.inference_mode():
        for row in rows:
            one = np.array([row])
            target = torch.from_numpy(np.asarray(masks[one], np.int64))
            logits = _logits(_take(grids, one, fit), fit.weight[None], fit.bias[None], target.shape[1:])
            yield logits[:, 0, 0].argmax(1).cpu(), target


def dense_errors(
    fit: DenseFit, grids: ArrayLike, masks: ArrayLike, *, rows: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """Return what adds up to the scores of values, of each image over every pixel that has one.

    Args:
        fit: R heads.
        grids: tokens (n, D, h, w).
        masks: values (n, H, W), NaN where none.
        rows: (m,) positions to score.
        device: torch device.

    Returns:
        (R, m, 5) float64: sums of squared error, absolute error, value less `fit.centre` and its square, and count.
    """
    found = np.zeros((len(fit.weight), len(rows), 5))
    with torch.inference_mode():
        for place, row in enumerate(rows):
            one = np.array([row])
            target = torch.from_numpy(np.asarray(masks[one], np.float32)).to(device)
            outputs = _logits(_take(grids, one, fit), fit.weight[None], fit.bias[None], target.shape[1:])[0, 0, :, 0]
            valid = target[0].isfinite()
            value = (target[0][valid] - fit.centre).double()
            error = outputs[:, valid].double() * fit.spread - value
            found[:, place, 0] = error.square().sum(1).cpu().numpy()
            found[:, place, 1] = error.abs().sum(1).cpu().numpy()
            found[:, place, 2:] = float(value.sum()), float(value.square().sum()), float(valid.sum())
    return found
