"""WeightAutoencoder: windows of tokens to latent codes and back (SANE, arXiv 2406.09997; GeoSANE, arXiv 2603.23408)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.foundry.autoencoder.settings import FEATURES, Size
from bench.networks.randomness import seeded_draws


class Block(nn.Module):
    """A transformer block without biases: attention over all tokens of a window, then a feed-forward network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.fc1 = nn.Linear(width, 4 * width, bias=False)
        self.fc2 = nn.Linear(4 * width, width, bias=False)

    def forward(self, tokens: Tensor, present: Tensor | None) -> Tensor:
        """Return the tokens (B, T, D); ``present`` (B, 1, 1, T) is false for tokens that nobody may attend to."""
        batch, length, width = tokens.shape
        joint = self.qkv(self.norm1(tokens)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=present)
        tokens = tokens + self.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        result: Tensor = tokens + self.fc2(functional.gelu(self.fc1(self.norm2(tokens))))
        return result


class WeightAutoencoder(nn.Module):
    """Encoder, decoder and projection.

    Args:
        size: see `Size`.
        seed: of the initial values.
    """

    def __init__(self, size: Size, seed: int = 0) -> None:
        super().__init__()
        self.size = size
        inputs = size.token if size.published else size.token + 2
        with seeded_draws(seed):
            self.embed = nn.Linear(inputs, size.width)
            self.encoder = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.blocks))
            self.compress = nn.Linear(size.width, size.latent)
            self.expand = nn.Linear(size.latent, size.width)
            self.decoder = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.blocks))
            self.restore = nn.Linear(size.width, inputs)
            self.projection = nn.Sequential(
                nn.Linear(size.window * size.latent, size.projection, bias=False),
                nn.LayerNorm(size.projection),
                nn.ReLU(),
                nn.Linear(size.projection, size.projection, bias=False),
                nn.LayerNorm(size.projection),
                nn.ReLU(),
            )
            if not size.published:
                self.places = nn.ModuleList(nn.Linear(FEATURES, size.width, bias=False) for _ in range(2))
            for block in [*self.encoder, *self.decoder]:  # as in GPT-2: the sum over blocks keeps its variance
                for name in ("qkv", "fc1", "proj", "fc2"):
                    spread = 0.02 / math.sqrt(4 * size.blocks) if name in ("proj", "fc2") else 0.02
                    nn.init.normal_(block.get_submodule(name).weight, std=spread)  # type: ignore[arg-type]

    def encode(self, values: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Return latent codes (B, T, latent).

        Args:
            values: (B, T, inputs); what `mask` leaves out is not seen.
            mask: bool (B, T, inputs); a token without any true value is padding of the window.
            positions: features (B, T, features), or coordinates (B, T, 3) in the published mode.
        """
        tokens = self.embed(torch.where(mask, values, 0.0)) + self._placed(positions, 0)
        for block in self.encoder:
            tokens = block(tokens, _present(mask))
        codes: Tensor = self.compress(tokens)
        return codes

    def decode(self, codes: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Return values (B, T, inputs) of latent codes; `mask` only says which tokens are padding of the window."""
        tokens = self.expand(codes) + self._placed(positions, 1)
        for block in self.decoder:
            tokens = block(tokens, _present(mask))
        values: Tensor = self.restore(tokens)
        return values

    def project(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Return the projection (B, projection) of windows; short windows are filled with zeros."""
        codes = codes * mask.any(-1, keepdim=True)
        missing = self.size.window - codes.shape[1]
        projected: Tensor = self.projection(functional.pad(codes, (0, 0, 0, missing)).flatten(1))
        return projected

    def forward(self, values: Tensor, mask: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (B, T, inputs) and the latent codes (B, T, latent)."""
        codes = self.encode(values, mask, positions)
        return self.decode(codes, mask, positions), codes

    def _placed(self, positions: Tensor, side: int) -> Tensor:
        placed: Tensor = (
            summed_sines(positions, self.size.width) if self.size.published else self.places[side](positions)
        )
        return placed


def _present(mask: Tensor) -> Tensor | None:
    """Return which tokens may be attended to, (B, 1, 1, T); None where all may."""
    present = mask.any(-1)
    return None if bool(present.all()) else present[:, None, None]


def summed_sines(positions: Tensor, width: int) -> Tensor:
    """Return the published position embedding (..., width): sines and cosines of base 10,000, summed over coordinates.

    The coordinates share their frequencies, so that swapped ones have one embedding; kept for comparison.
    """
    half = width // 2
    rates = torch.exp(-math.log(10_000.0) * torch.arange(half, device=positions.device) / half)
    angles = positions[..., None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], -1).sum(-2)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return the parameters for an optimiser: matrices decay, vectors do not."""
    parameters = list(network.parameters())
    return [
        {"params": [value for value in parameters if value.ndim > 1], "weight_decay": weight_decay},
        {"params": [value for value in parameters if value.ndim < 2], "weight_decay": 0.0},
    ]
