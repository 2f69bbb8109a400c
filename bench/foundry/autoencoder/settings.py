"""Settings and sizes of the autoencoder of weight tokens; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.config import Settings
from bench.foundry.tokens.roles import ROLES

FREQUENCIES = 16
FEATURES = len(ROLES) + 4 * 2 * FREQUENCIES
"""Features of a position, see `bench.foundry.tokens.layout.position_features`."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of an autoencoder.

    Attributes:
        token: values per token.
        latent: values that a token is compressed to.
        width: of the transformer.
        blocks: of the encoder, and as many of the decoder.
        heads: of an attention.
        window: tokens per window; the projection is of this length.
        projection: values that a window is projected to for the contrastive loss.
        published: tokens, positions and loss as published (dense tokens, summed sines); else scaled tokens of every
            value, concatenated positions, and the clean weights as target.
    """

    token: int
    latent: int
    width: int
    blocks: int
    heads: int
    window: int
    projection: int = 30
    published: bool = False

    def counts(self) -> tuple[int, int]:
        """Return the numbers of parameters with weight decay and without."""
        inputs = self.token if self.published else self.token + 2
        matrices = 2 * self.blocks * 12 * self.width**2 + 2 * self.width * (inputs + self.latent)
        matrices += self.window * self.latent * self.projection + self.projection**2
        vectors = 4 * self.blocks * self.width + 2 * self.width + self.latent + inputs + 4 * self.projection
        return matrices + (0 if self.published else 2 * FEATURES * self.width), vectors


SIZES = {
    "paper": Size(token=230, latent=128, width=1536, blocks=16, heads=12, window=512, published=True),
    "default": Size(token=256, latent=128, width=384, blocks=6, heads=6, window=256),
    "tiny": Size(token=64, latent=32, width=128, blocks=2, heads=4, window=96),
    "tiny-paper": Size(token=230, latent=128, width=128, blocks=2, heads=4, window=96, published=True),
}
"""Sizes by name; the published number of heads is not known, 12 is the smaller of the two that the width admits."""


class LearnSettings(Settings):
    """What an autoencoder is trained on, how large it is and how long it is trained.

    Attributes:
        collection: folder that ``recipe=collect`` left.
        preset: ``paper`` as published (909 M parameters), ``default``, ``tiny``, or ``tiny-paper``: the published
            method at a size for two cores.
        steps: of training.
        batch: windows per step, drawn with equal chance for every model.
        learning_rate: highest of the one-cycle schedule.
        weight_decay: of matrices.
        gamma: share of the contrastive loss.
        temperature: of the contrastive loss.
        noise: spread of the noise of both views: times the values in the published method, else added to scaled values.
        held_out: lineages that are not trained on, by name; if none is named, every fifth of them.
        save_every: steps between checkpoints; a killed training goes on from the last one to the same bits.
        compile: whether the network is compiled on a GPU.
        seed: of initial values, windows and noise.
    """

    collection: Path
    preset: Literal["paper", "default", "tiny", "tiny-paper"] = "default"
    steps: int = Field(2000, ge=1)
    batch: int = Field(16, ge=2)
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(3e-9, ge=0)
    gamma: float = Field(0.05, ge=0, lt=1)
    temperature: float = Field(0.1, gt=0)
    noise: float = Field(0.1, ge=0)
    held_out: tuple[str, ...] = ()
    save_every: int = Field(200, ge=1)
    compile: bool = True
    seed: int = Field(0, ge=0)


def describe(settings: LearnSettings) -> str:
    """Return the sizes of the network in words; nothing is allocated."""
    size = SIZES[settings.preset]
    decayed, others = size.counts()
    return (
        f"preset={settings.preset}: {decayed:,} parameters with weight decay and {others:,} without; {size.blocks} + "
        f"{size.blocks} blocks of width {size.width}, tokens of {size.token} values to {size.latent}, windows of "
        f"{size.window} tokens; {settings.steps:,} steps of {settings.batch} windows. A linear code of white "
        f"tokens keeps {size.latent / size.token:.3f} of their variance at best."
    )
