"""Heads that give one vector per image: linear, attentive and learned layer mix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.core import Layer, Tap
from bench.decoders.parts.norms import Standardise, small_start

HEAD_WIDTH = 64


class Linear(nn.Module):
    """A linear layer on the standardised image vector.

    Args:
        channels: D of the vector.
        outputs: K, number of classes or values.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.norm = Standardise(channels)
        self.linear = small_start(nn.Linear(channels, outputs))

    def forward(self, taps: Sequence[Tap], size: tuple[int, int]) -> Tensor:
        """Return logits or values (B, K) in float32, from the vector of the last tap."""
        outputs: Tensor = self.linear(self.norm(taps[-1].vector))
        return outputs.float()


class Attentive(nn.Module):
    """One learned query attends to the tokens of the grid, and a linear layer follows.

    The attention has no biases: the softmax would cancel that of the keys, and the next layers absorb the others. The
    class token is not among the tokens, so that models with and without one are treated alike.

    Args:
        channels: D of the tokens.
        outputs: K, number of classes or values.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        heads = next(count for count in range(max(1, channels // HEAD_WIDTH), 0, -1) if channels % count == 0)
        self.norm = Standardise(channels)
        self.query = nn.Parameter(torch.empty(1, 1, channels))
        nn.init.trunc_normal_(self.query, std=0.02)
        self.attention = nn.MultiheadAttention(channels, heads, bias=False, batch_first=True)
        self.linear = small_start(nn.Linear(channels, outputs))

    def forward(self, taps: Sequence[Tap], size: tuple[int, int]) -> Tensor:
        """Return logits or values (B, K) in float32, from the grid of the last tap."""
        tokens = self.norm(taps[-1].grid).flatten(2).transpose(1, 2)
        query = self.query.expand(len(tokens), -1, -1)
        pooled, _ = self.attention(query, tokens, tokens, need_weights=False)
        outputs: Tensor = self.linear(pooled[:, 0])
        return outputs.float()


class LayerMix(nn.Module):
    """A linear layer on a weighted mean over layers of their mean tokens; the weights are a softmax of learned scores.

    Args:
        layers: the layers to mix. A layer narrower than the widest first passes a linear layer to the widest width.
        outputs: K, number of classes or values.
    """

    def __init__(self, layers: Sequence[Layer], outputs: int) -> None:
        super().__init__()
        width = max(layer.channels for layer in layers)
        self.norms = nn.ModuleList(Standardise(layer.channels) for layer in layers)
        self.maps = nn.ModuleList(
            nn.Identity() if layer.channels == width else nn.Linear(layer.channels, width, bias=False)
            for layer in layers
        )
        self.scores = nn.Parameter(torch.zeros(len(layers)))
        self.linear = small_start(nn.Linear(width, outputs))

    def forward(self, taps: Sequence[Tap], size: tuple[int, int]) -> Tensor:
        """Return logits or values (B, K) in float32, from the grids of all taps."""
        parts = zip(self.maps, self.norms, taps, strict=True)
        vectors = torch.stack([step(norm(tap.grid.mean((-2, -1)))) for step, norm, tap in parts])
        mixed = torch.einsum("l,lbd->bd", self.scores.softmax(0).to(vectors.dtype), vectors)
        outputs: Tensor = self.linear(mixed)
        return outputs.float()
