"""Pooling of features over dates: mean, max, and lightweight temporal attention (L-TAE).

Mean and max ignore the order of dates. L-TAE weights dates per pixel, by content and day of year; reordering the dates
together with their days changes nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from bench.core.errors import BadSetting, Incompatible, UnknownName

FOLDS = ("mean", "max", "ltae")
PERIOD = 1000.0  # of the slowest sinusoid: tau of the paper's code
DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def build(name: str, channels: int) -> nn.Module:
    """Return a module that pools over dates: ``(features, when, present)`` -> (B, D, h, w).

    Args:
        name: one of `FOLDS`.
        channels: D.

    Raises:
        UnknownName: another name.
    """
    if name not in FOLDS:
        raise UnknownName("fold over dates", name, FOLDS)
    return LTAE(channels) if name == "ltae" else Pool(name)  # type: ignore[arg-type]


def _present(features: Tensor, present: Tensor | None) -> Tensor:
    """Return which dates are present, (B, T) bool; all of them where `present` is None.

    Raises:
        Incompatible: the shapes do not fit, or a sample has no date.
    """
    batch, dates = features.shape[:2]
    if present is None:
        return torch.ones(batch, dates, dtype=torch.bool, device=features.device)
    if tuple(present.shape) != (batch, dates):
        raise Incompatible(f"present {tuple(present.shape)} does not fit features {tuple(features.shape)}")
    mask = present.to(features.device, torch.bool)
    if not bool(mask.any(1).all()):
        raise Incompatible("a sample has no date that is present")
    return mask


class Pool(nn.Module):
    """Mean or maximum over the dates that are present.

    Args:
        how: ``mean`` or ``max``.
    """

    def __init__(self, how: Literal["mean", "max"]) -> None:
        super().__init__()
        self.how = how

    def forward(self, features: Tensor, when: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        """Return (B, D, h, w).

        Args:
            features: (B, T, D, h, w).
            when: not used.
            present: (B, T) bool, False where a date is padding; all by default.
        """
        there = _present(features, present)[:, :, None, None, None]
        if self.how == "max":
            return features.masked_fill(~there, -math.inf).amax(1)
        return features.masked_fill(~there, 0).sum(1) / there.sum(1)


def day_of_year(when: Tensor) -> Tensor:
    """Return days (B, T) from 1 to 366 as float32, NaN where year or month is unknown; an unknown day is the 15th.

    Args:
        when: (B, T, 3) int year, month 1..12, day; -1 where unknown.
    """
    year, month, day = when.unbind(-1)
    before = torch.tensor(DAYS_BEFORE, device=when.device)[(month - 1).clamp(0, 11)]
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    ordinal = before + torch.where(day > 0, day, 15) + (leap & (month > 2))
    return ordinal.float().masked_fill((year < 1) | (month < 1), math.nan)


def sinusoids(position: Tensor, width: int) -> Tensor:
    """Return encodings (..., width): sines and cosines in turn at frequencies ``PERIOD ** (-2 floor(i / 2) / width)``.

    These are the encodings of Garnot & Landrieu 2020 (arXiv 2007.00586, eq. 2), with sines and cosines alternating as
    in their code. They are zero where the position is NaN, so that an unknown date carries no information.

    Args:
        position: (...) days or indices.
        width: number of values per position.
    """
    index = torch.arange(width, device=position.device)
    frequency = PERIOD ** (-2 * (index // 2) / width)
    angle = position[..., None] * frequency
    return torch.where(index % 2 == 0, angle.sin(), angle.cos()).nan_to_num(0.0)


class LTAE(nn.Module):
    """Lightweight temporal attention encoder (Garnot & Landrieu 2020, arXiv 2007.00586), for each pixel of a grid.

    Channels are split among heads. A head has one learned query, keys that are a linear map of the whole feature plus
    the encoding of the date, and its share of the channels as values. A linear layer, layer norm and ReLU map the
    concatenated heads back to D channels; the paper has batch norm, which fails for a single pixel of a single image.

    Args:
        channels: D.
        width: channels inside, a multiple of `heads`.
        heads: H.
        key: channels of a key and a query.
    """

    def __init__(self, channels: int, width: int = 256, heads: int = 16, key: int = 8) -> None:
        super().__init__()
        if width % heads:
            raise BadSetting(f"width must be a multiple of heads; got {width} and {heads}")
        self.heads, self.key = heads, key
        self.enter = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, width))
        # No bias: one vector added to all keys of a head is cancelled by the softmax.
        self.keys = nn.Linear(width, heads * key, bias=False)
        self.query = nn.Parameter(torch.empty(heads, key))
        nn.init.normal_(self.query, std=math.sqrt(2 / key))
        nn.init.normal_(self.keys.weight, std=math.sqrt(2 / key) / math.sqrt(width))
        self.leave = nn.Sequential(nn.Linear(width, channels), nn.LayerNorm(channels), nn.ReLU())

    def forward(self, features: Tensor, when: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        """Return (B, D, h, w).

        Args:
            features: (B, T, D, h, w).
            when: (B, T, 3) int year, month, day, -1 where unknown; None lets the index of a date stand for its day.
            present: (B, T) bool, False where a date is padding; all by default.
        """
        there = _present(features, present)
        batch, _, _, height, width = features.shape
        # Padding may hold any value, also NaN; it must affect neither the output nor, through 0 x NaN, a gradient.
        tokens = features.masked_fill(~there[:, :, None, None, None], 0).permute(0, 3, 4, 1, 2).flatten(1, 2)
        days = self._positions(features, when)
        inside = self.enter(tokens)
        split = inside.shape[-1] // self.heads
        inside = inside + sinusoids(days, split).repeat(1, 1, self.heads)[:, None].to(inside.dtype)
        keys = self.keys(inside).unflatten(-1, (self.heads, self.key))
        scores = torch.einsum("bntik,ik->bnit", keys, self.query) / math.sqrt(self.key)
        weight = scores.masked_fill(~there[:, None, None], -math.inf).softmax(-1)
        values = inside.unflatten(-1, (self.heads, split))
        gathered = torch.einsum("bnit,bntis->bnis", weight.to(values.dtype), values).flatten(2)
        pooled: Tensor = self.leave(gathered)
        return pooled.transpose(1, 2).reshape(batch, -1, height, width)

    @staticmethod
    def _positions(features: Tensor, when: Tensor | None) -> Tensor:
        if when is None:
            return torch.arange(features.shape[1], device=features.device).float().expand(len(features), -1)
        if tuple(when.shape) != (*features.shape[:2], 3):
            raise Incompatible(f"when {tuple(when.shape)} does not fit features {tuple(features.shape)}")
        return day_of_year(when.to(features.device))
