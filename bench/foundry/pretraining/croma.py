"""CROMA (Fuller et al. 2023, arXiv:2311.00566): encoders of two sensors, contrast, joint reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from bench.foundry.pretraining.mae import Decoder, masked_error
from bench.foundry.pretraining.settings import CROMASettings
from bench.foundry.pretraining.views import gathered, hidden_mask, patches_of, standardised, turned, visible_tokens
from bench.networks.croma import alibi

SENSORS = ("s1", "s2")


def contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the symmetric InfoNCE loss of paired vectors (B, D): each finds its partner in the batch."""
    cosines = functional.normalize(first, dim=-1) @ functional.normalize(second, dim=-1).T / temperature
    partner = torch.arange(len(cosines), device=cosines.device)
    return (functional.cross_entropy(cosines, partner) + functional.cross_entropy(cosines.T, partner)) / 2


class CrossModal(nn.Module):
    """Masked encoders of two sensors, the joint encoder on top, and the decoder that rebuilds both.

    Args:
        encoder: torchgeo ``CROMA`` for both sensors.
        settings: see `CROMASettings`.
    """

    bias: Tensor
    fixed: tuple[str, ...] = ()

    def __init__(self, encoder: Any, settings: CROMASettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.patch = int(encoder.patch_size)
        grid = int(encoder.image_size) // self.patch
        self.register_buffer("bias", alibi((grid, grid), int(encoder.num_heads))[0])
        self.values = [_encoder(encoder, sensor).linear_input.in_features for sensor in SENSORS]
        self.decoder = Decoder(
            grid=grid,
            width_in=int(encoder.encoder_dim),
            width=settings.decoder_width,
            depth=settings.decoder_depth,
            values=sum(self.values),
        )

    def encode(self, patches: list[Tensor], places: list[Tensor]) -> list[Tensor]:
        """Return (B, K, D) for each sensor: its visible patches (B, K, P) at `places` (B, K), after the final norm."""
        encoders = [_encoder(self.encoder, sensor) for sensor in SENSORS]
        return [
            encoder.transformer(encoder.linear_input(values), self._bias(seen, seen))
            for encoder, values, seen in zip(encoders, patches, places, strict=True)
        ]

    def join(self, tokens: list[Tensor], places: list[Tensor]) -> Tensor:
        """Return (B, K, D): the radar tokens after the joint encoder, in which they look at the optical ones."""
        (radar, optical), (here, there) = tokens, places
        joint: Any = self.encoder.joint_encoder
        for attention, cross_attention, feed_forward in joint.layers:
            radar = attention(radar, self._bias(here, here)) + radar
            radar = cross_attention(radar, optical, self._bias(here, there)) + radar
            radar = feed_forward(radar) + radar
        return joint.norm_out(radar)  # type: ignore[no-any-return]

    def loss(self, images: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """Return contrast plus reconstruction of a batch, ``s1`` and ``s2`` -> (B, C, H, W)."""
        joined = turned(torch.cat([images[sensor] for sensor in SENSORS], 1), generator)
        pixels = torch.split(joined, [images[sensor].shape[1] for sensor in SENSORS], 1)
        patches = [patches_of(values, self.patch) for values in pixels]
        batch, count = patches[0].shape[:2]
        hidden = self.settings.hidden
        places = [visible_tokens(batch, count, hidden, generator).to(joined.device) for _ in SENSORS]
        tokens = self.encode([gathered(*pair) for pair in zip(patches, places, strict=True)], places)
        network: Any = self.encoder
        vectors = (network.s1_GAP_FFN(tokens[0].mean(1)), network.s2_GAP_FFN(tokens[1].mean(1)))
        predicted = torch.split(self.decoder(self.join(tokens, places), places[0]), self.values, -1)
        errors = [
            masked_error(guess, standardised(truth), hidden_mask(seen, count))
            for guess, truth, seen in zip(predicted, patches, places, strict=True)
        ]
        return contrast(*vectors, self.settings.temperature) + torch.stack(errors).sum()

    def _bias(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return the attention bias (B, heads, Q, K) between visible places (B, Q) and (B, K)."""
        return self.bias[:, queries.unsqueeze(2), keys.unsqueeze(1)].transpose(0, 1)

    def after_step(self, share: float) -> None:
        """Do nothing: there is no teacher."""


def _encoder(network: Any, sensor: str) -> Any:
    return network.s2_encoder if sensor == "s2" else network.s1_encoder
