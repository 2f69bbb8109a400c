"""torchgeo's CROMA, tapped at every layer, with its attention biases for any grid of patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, Tap
from bench.networks.backbones import (
    ModulesMap,
    check_size,
    frozen,
    stack_sensors,
    tap_along,
    token_grid,
    transformer_layers,
)

# Where the parts of a block lie; a joint block has its feed-forward network third, after the cross-attention.
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
    """torchgeo's ``CROMA``, tapped along the encoder of the sensors given.

    With one sensor: its embedding, blocks and final norm; the norm's vector is the authors' pooled output (the mean of
    tokens through the feed-forward network ``GAP_FFN``). With both: the optical embedding and blocks, then the blocks
    of the joint encoder, numbered onwards, and its norm. The joint encoder starts from the radar encoder's output and
    looks at the optical encoder's, each after its own final norm. Positions are ALiBi biases: any grid of patches fits.

    Args:
        network: ``torchgeo.models.CROMA`` with the parts that the sensors need.
        bands: as given at load; ``s2``, ``s1`` or both.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.networks.backbones.ModulesMap`. No module returns a block's output, so there is no
            ``out``; joint blocks have ``cross_norm``, ``cross_q``, ``cross_k``, ``cross_v`` and ``cross_proj`` besides.
    """

    def __init__(self, network: Any, bands: Sequence[Band]) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        sensors = {band.sensor for band in bands}
        self.main = "s2" if "s2" in sensors else "s1"
        self.joint = sensors == {"s1", "s2"}
        self.patch = int(network.patch_size)
        own = len(self._encoder(self.main).transformer.layers)
        joint = len(network.joint_encoder.layers) if self.joint else 0
        self.layers = transformer_layers(own + joint, int(network.encoder_dim), self.patch, norm=True)
        paths = [f"network.{self.main}_encoder.transformer.layers.{i}" for i in range(own)]
        single = CROMA_ATTENTION | {name: f"1.{path}" for name, path in CROMA_FEED_FORWARD.items()}
        double = CROMA_ATTENTION | CROMA_CROSS | {name: f"2.{path}" for name, path in CROMA_FEED_FORWARD.items()}
        self.modules_map: ModulesMap = {
            **{f"block_{i + 1}": {n: f"{paths[i]}.{p}" for n, p in single.items()} for i in range(own)},
            **{
                f"block_{own + i + 1}": {n: f"network.joint_encoder.layers.{i}.{p}" for n, p in double.items()}
                for i in range(joint)
            },
        }
        frozen(self)

    def _encoder(self, sensor: str) -> Any:
        network: Any = self.network
        return network.s2_encoder if sensor == "s2" else network.s1_encoder

    def _pixels(self, images: Images, sensor: str) -> Tensor:
        return stack_sensors(images, [band for band in self.bands if band.sensor == sensor])

    def states(self, images: Images, bias: Tensor) -> Iterator[Tensor]:
        """Yield the tokens (B, h w, D) at each layer in turn, given the attention bias of `alibi`."""
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
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`. Dates and places are not used."""
        pixels = self._pixels(images, self.main)
        size = (pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch)
        check_size(pixels, (size[0] * self.patch, size[1] * self.patch))
        network: Any = self.network
        project = None if self.joint else network.s2_GAP_FFN if self.main == "s2" else network.s1_GAP_FFN

        def tap(index: int, tokens: Tensor) -> Tap:
            pooled = tokens.mean(1)
            if project is not None and index == len(self.layers) - 1:
                pooled = project(pooled)
            return Tap(token_grid(tokens, size), pooled)

        return tap_along(self.states(images, alibi(size, int(network.num_heads)).to(pixels)), layers, self.layers, tap)


def alibi(size: tuple[int, int], heads: int) -> Tensor:
    """Return CROMA's 2-D ALiBi attention bias (1, heads, h w, h w): minus slope times distance in patches.

    The slope of head i = 1 .. heads is ``2 ** (-8 i / heads)`` (arXiv 2311.00566, after 2108.12409).

    Args:
        size: (h, w) of the patch grid.
        heads: a power of two.
    """
    points = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1])).double()
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1, dtype=torch.float64) / heads)
    return (-slopes[:, None, None] * torch.cdist(points, points)).float().unsqueeze(0)
