"""torchgeo's CROMA as a backbone, with its attention biases computed for any grid of patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, ModulesMap, Tap
from bench.networks.backbones import frozen, grid_of, stack_sensors, tap_along, token_grid, transformer_layers
from bench.networks.blocks import map_modules

# Paths within a block. In a joint block the feed-forward network comes third, after the cross-attention.
CROMA_ATTENTION = {"norm1": "0.input_norm", "qkv": "0.to_qkv", "proj": "0.to_out"}
CROMA_CROSS = {
    "cross_norm": "1.input_norm",
    "cross_q": "1.to_q",
    "cross_k": "1.to_k",
    "cross_v": "1.to_v",
    "cross_proj": "1.to_out",
}
CROMA_FEED_FORWARD = {"norm2": "input_norm", "fc1": "net.0", "act": "net.1", "fc2": "net.3"}


class CROMABackbone(nn.Module):
    """torchgeo's ``CROMA``, with taps along the encoders of the given sensors.

    With one sensor, the layers are its embedding, blocks and final norm; the vector of the norm is the authors' pooled
    output (the mean of the tokens passed through the feed-forward network ``GAP_FFN``). With both sensors, the layers
    are the optical embedding and blocks, then the blocks of the joint encoder, numbered on from there, and its norm.
    The joint encoder starts from the output of the radar encoder and attends to that of the optical encoder, each after
    its own final norm. Positions are ALiBi biases, which exist for any grid of patches.

    Args:
        network: ``torchgeo.models.CROMA`` with the parts that the sensors need.
        bands: the bands given at load: those of ``s2``, ``s1`` or both.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`. No module returns the output of a block, so there is no ``out``.
            Joint blocks also have ``cross_norm``, ``cross_q``, ``cross_k``, ``cross_v`` and ``cross_proj``.
    """

    def __init__(self, network: Any, bands: Sequence[Band]) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        sensors = {band.sensor for band in bands}
        self.main = "s2" if "s2" in sensors else "s1"
        self.joint = sensors == {"s1", "s2"}
        self.patch = int(network.patch_size)
        single = len(self._encoder(self.main).transformer.layers)
        joint = len(network.joint_encoder.layers) if self.joint else 0
        self.layers = transformer_layers(single + joint, int(network.encoder_dim), self.patch, norm=True)
        self.modules_map: ModulesMap = map_modules(
            [f"network.{self.main}_encoder.transformer.layers.{i}" for i in range(single)],
            CROMA_ATTENTION | {name: f"1.{path}" for name, path in CROMA_FEED_FORWARD.items()},
        ) | map_modules(
            [f"network.joint_encoder.layers.{i}" for i in range(joint)],
            CROMA_ATTENTION | CROMA_CROSS | {name: f"2.{path}" for name, path in CROMA_FEED_FORWARD.items()},
            first=single + 1,
        )
        frozen(self)

    def _encoder(self, sensor: str) -> Any:
        network: Any = self.network
        return network.s2_encoder if sensor == "s2" else network.s1_encoder

    def _pixels(self, images: Images, sensor: str) -> Tensor:
        return stack_sensors(images, [band for band in self.bands if band.sensor == sensor])

    def states(self, images: Images, bias: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, h w, D) at each layer in turn.

        Args:
            images: see `bench.core.Backbone`.
            bias: attention bias, see `alibi`.
        """
        encoder: Any = self._encoder(self.main)
        # A patch is flattened as (channel, row, column), which is what unfold does.
        patches = functional.unfold(self._pixels(images, self.main), self.patch, stride=self.patch)
        tokens = encoder.linear_input(patches.transpose(1, 2))
        yield tokens
        for attention, feed_forward in encoder.transformer.layers:
            tokens = attention(tokens, bias) + tokens
            tokens = feed_forward(tokens) + tokens
            yield tokens
        tokens = encoder.transformer.norm_out(tokens)
        if self.joint:
            optical, tokens = tokens, self._encoder("s1")(self._pixels(images, "s1"), bias)
            joint: Any = self.network.joint_encoder
            for attention, cross_attention, feed_forward in joint.layers:
                tokens = attention(tokens, bias) + tokens
                tokens = cross_attention(tokens, optical, bias) + tokens
                tokens = feed_forward(tokens) + tokens
                yield tokens
            tokens = joint.norm_out(tokens)
        yield tokens

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Dates and coordinates are not used."""
        size = grid_of(self._pixels(images, self.main), self.patch)
        network: Any = self.network
        project = None if self.joint else network.s2_GAP_FFN if self.main == "s2" else network.s1_GAP_FFN

        def tap(index: int, tokens: Tensor) -> Tap:
            pooled = tokens.mean(1)
            if project is not None and index == len(self.layers) - 1:
                pooled = project(pooled)
            return Tap(token_grid(tokens, size), pooled)

        bias = alibi(size, int(network.num_heads)).to(images[self.main])
        return tap_along(self.states(images, bias), layers, self.layers, tap)


def alibi(size: tuple[int, int], heads: int) -> Tensor:
    """Return CROMA's two-dimensional ALiBi attention bias (1, heads, h w, h w): minus slope times distance in patches.

    The slope of head i = 1 .. heads is ``2 ** (-8 i / heads)`` (arXiv 2311.00566, after 2108.12409).

    Args:
        size: (h, w) of the patch grid.
        heads: a power of two.
    """
    points = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1])).double()
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1, dtype=torch.float64) / heads)
    return (-slopes[:, None, None] * torch.cdist(points, points)).float().unsqueeze(0)
