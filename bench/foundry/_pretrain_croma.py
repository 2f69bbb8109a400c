"""CROMA (Fuller et al. 2023, arXiv:2311.00566): radar and optical encoders tied by contrast and by joint reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from bench.config import Settings
from bench.foundry._pretrain_mae import Decoder, masked_error
from bench.foundry._pretrain_views import gathered, hidden_mask, patches_of, standardised, turned, visible_tokens
from bench.backbones import alibi

SENSORS = ("s1", "s2")


class CROMASettings(Settings):
    """How the encoders of CROMA are trained.

    Attributes:
        epochs: passes over the pool.
        hidden: share of patches hidden, in each sensor on its own.
        temperature: of the contrast.
        decoder_width: channels of the decoder, which is thrown away afterwards; a multiple of 4 and of its heads.
        decoder_depth: its blocks.
    """

    epochs: int = Field(60, ge=1)
    hidden: float = Field(0.75, gt=0, lt=1)
    temperature: float = Field(0.1, gt=0)
    decoder_width: int = Field(64, ge=4)
    decoder_depth: int = Field(1, ge=1)


def contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the symmetric InfoNCE loss of paired vectors (B, D): each finds its partner among the batch (equation 1)."""
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

    def loss(self, images: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """Return contrast plus reconstruction of a batch, ``s1`` and ``s2`` -> (B, C, H, W)."""
        joined = turned(torch.cat([images[sensor] for sensor in SENSORS], 1), generator)
        pixels = joined.split([images[sensor].shape[1] for sensor in SENSORS], 1)
        patches = [patches_of(values, self.patch) for values in pixels]
        batch, count = patches[0].shape[:2]
        places = [
            visible_tokens(batch, count, self.settings.hidden, generator).to(joined.device) for _ in SENSORS
        ]
        network: Any = self.encoder
        tokens = [
            _encoder(network, sensor).transformer(
                _encoder(network, sensor).linear_input(gathered(values, seen)), self._bias(seen, seen)
            )
            for sensor, values, seen in zip(SENSORS, patches, places, strict=True)
        ]
        pooled = (network.s1_GAP_FFN(tokens[0].mean(1)), network.s2_GAP_FFN(tokens[1].mean(1)))
        return contrast(*pooled, self.settings.temperature) + self._reconstruction(tokens, patches, places)

    def _reconstruction(self, tokens: list[Tensor], patches: list[Tensor], places: list[Tensor]) -> Tensor:
        """Return the error over what was hidden of each sensor, decoded from the joint encoding at the radar's places."""
        radar, optical = places
        joint: Any = self.encoder.joint_encoder
        for attention, cross_attention, feed_forward in joint.layers:
            tokens[0] = attention(tokens[0], self._bias(radar, radar)) + tokens[0]
            tokens[0] = cross_attention(tokens[0], tokens[1], self._bias(radar, optical)) + tokens[0]
            tokens[0] = feed_forward(tokens[0]) + tokens[0]
        predicted = self.decoder(joint.norm_out(tokens[0]), radar).split(self.values, -1)
        errors = [
            masked_error(guess, standardised(truth), hidden_mask(seen, truth.shape[1]))
            for guess, truth, seen in zip(predicted, patches, places, strict=True)
        ]
        return torch.stack(errors).sum()

    def _bias(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return the attention bias (B, heads, Q, K) between visible places (B, Q) and (B, K)."""
        return self.bias[:, queries.unsqueeze(2), keys.unsqueeze(1)].transpose(0, 1)

    def after_step(self, share: float) -> None:
        """Do nothing: there is no teacher."""


def _encoder(network: Any, sensor: str) -> Any:
    return network.s2_encoder if sensor == "s2" else network.s1_encoder
