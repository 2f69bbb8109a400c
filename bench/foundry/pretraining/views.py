"""Random views of multi-band images for pretraining: crops, turns, recolouring and masks, drawn from a Generator.

Nothing here knows of red, green and blue: every band is standardised on its own beforehand, so gains and offsets are in
standard deviations of a band. Random numbers are drawn on the CPU, so a seed means the same on every device.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional


def turned(images: Tensor, generator: Generator) -> Tensor:
    """Return square images (B, C, H, H), each in one of the eight orientations of the square, all equally likely."""
    orientation = torch.randint(8, (len(images),), generator=generator).to(images.device)
    result = torch.empty_like(images)
    for kind in range(8):
        chosen = orientation == kind
        picked = images[chosen]
        axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if kind & bit]
        picked = picked.flip(axes) if axes else picked
        result[chosen] = picked.transpose(-2, -1) if kind & 4 else picked
    return result


def cropped(images: Tensor, size: int, area: tuple[float, float], generator: Generator) -> Tensor:
    """Return (B, C, size, size): of each image a random square in a random orientation, resampled bilinearly.

    Args:
        images: (B, C, H, H).
        size: side of the result in pixels.
        area: smallest and largest share of the image that a square covers.
        generator: on the CPU.
    """
    batch = len(images)
    draws = torch.rand(3, batch, generator=generator)
    side = (area[0] + (area[1] - area[0]) * draws[0]).sqrt()
    shift = (2 * draws[1:] - 1) * (1 - side)
    signs = torch.randint(2, (2, batch), generator=generator) * 2 - 1
    swap = torch.randint(2, (batch,), generator=generator)
    # Rows of the affine map from the result's coordinates (x, y) to the image's, both -1..1.
    theta = torch.zeros(batch, 2, 3)
    for row in range(2):
        theta[:, row, 0] = side * signs[row] * (swap == row)
        theta[:, row, 1] = side * signs[row] * (swap != row)
    theta[:, :, 2] = shift.T
    grid = functional.affine_grid(theta.to(images), [batch, images.shape[1], size, size], align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def recoloured(images: Tensor, *, gain: float, offset: float, noise: float, generator: Generator) -> Tensor:
    """Return images under another light: a gain and an offset a band and image, and white noise.

    Gain and offset are each the sum of a part that all bands of an image share and one of the band's own, so that both
    the brightness and the spectral shape of a scene change.

    Args:
        images: (B, C, H, W), bands standardised.
        gain: standard deviation of each part of the logarithm of the gain.
        offset: standard deviation of each part of the offset.
        noise: largest standard deviation of the noise; drawn uniformly from 0 upwards for each image.
        generator: on the CPU.
    """
    batch, channels = images.shape[:2]
    shared = torch.randn(2, batch, 1, 1, 1, generator=generator)
    own = torch.randn(2, batch, channels, 1, 1, generator=generator)
    log_gain, shift = shared + own
    level = noise * torch.rand(batch, 1, 1, 1, generator=generator)
    grain = torch.randn(images.shape, generator=generator) if noise else torch.zeros(())
    changed: Tensor = images * (gain * log_gain).exp().to(images) + (offset * shift).to(images)
    return changed + (level * grain).to(images)


def patches_of(images: Tensor, patch: int) -> Tensor:
    """Return (B, N, C patch^2): the patches of (B, C, H, W), row by row, each flattened as (channel, row, column)."""
    flat: Tensor = functional.unfold(images, patch, stride=patch)
    return flat.transpose(1, 2)


def standardised(patches: Tensor) -> Tensor:
    """Return patches (B, N, P), each with mean 0 and variance 1 over its own values (He et al. 2022, section 4.1)."""
    result: Tensor = functional.layer_norm(patches, patches.shape[-1:], eps=1e-6)
    return result


def visible_tokens(batch: int, tokens: int, hidden: float, generator: Generator) -> Tensor:
    """Return (B, K) int64: for each image the sorted indices of the tokens left visible, K = tokens (1 - hidden).

    Args:
        batch: B.
        tokens: tokens per image.
        hidden: share of them to hide, 0..1; K is rounded and at least 1.
        generator: on the CPU.
    """
    kept = max(1, round(tokens * (1 - hidden)))
    return torch.rand(batch, tokens, generator=generator).argsort(1)[:, :kept].sort(1).values


def gathered(tokens: Tensor, indices: Tensor) -> Tensor:
    """Return (B, K, D): the tokens (B, N, D) at `indices` (B, K)."""
    return tokens.gather(1, indices.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def hidden_mask(indices: Tensor, tokens: int) -> Tensor:
    """Return (B, N) float32: 1 where a token is hidden, 0 at the visible `indices` (B, K)."""
    return torch.ones(len(indices), tokens, device=indices.device).scatter(1, indices, 0.0)
