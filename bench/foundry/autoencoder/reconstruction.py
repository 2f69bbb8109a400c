"""Reconstruction by role and depth, against the rate bound and against principal components of the same rate.

Of tokens whose values are independent, a code of k values for d keeps at most the share k / d of the variance. A
coefficient of determination is therefore reported with that bound and with principal components of k directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.foundry.autoencoder.network import WeightAutoencoder
from bench.foundry.autoencoder.settings import Size
from bench.foundry.autoencoder.sources import TokenSource, batch_of
from bench.foundry.tokens.roles import ROLES
from bench.foundry.tokens.windows import windows

DEPTHS = 4  # parts that a network's depth is divided into
AT_ONCE = 16  # windows
COLUMNS = ("split", "role", "depth", "values", "r2", "r2_pca", "bound")


def principal_components(sources: Sequence[TokenSource], size: Size, most: int = 100) -> tuple[Tensor, Tensor]:
    """Return mean (d,) and directions (latent, d) of the tokens of models, every model with equal weight.

    Args:
        sources: models that they are fitted on.
        size: of the autoencoder.
        most: windows that are read per model, at even distances.
    """
    total, outer, count = torch.zeros(size.token).double(), torch.zeros(size.token, size.token).double(), 0.0
    for source in sources:
        own, products, tokens = torch.zeros_like(total), torch.zeros_like(outer), 0
        for window in list(windows(source.layout.tokens, size.window, 0))[:: _stride(source, size, most)]:
            values, mask, _ = source.read(window.start, window.end)
            real = (values * mask)[:, : size.token].double()
            own += real.sum(0)
            products += real.T @ real
            tokens += len(real)
        total, outer, count = total + own / tokens, outer + products / tokens, count + 1
    mean = total / count
    _, vectors = torch.linalg.eigh(outer / count - torch.outer(mean, mean))
    return mean.float(), vectors[:, -size.latent :].T.float()


def _stride(source: TokenSource, size: Size, most: int) -> int:
    return max(1, -(-source.layout.tokens // size.window) // most)


@torch.no_grad()
def reconstruct(network: WeightAutoencoder, source: TokenSource, *, halo: int = 8, device: str = "cpu") -> Tensor:
    """Return the reconstructed tokens (tokens, token) of a model, window by window.

    Args:
        network: trained.
        source: of the model.
        halo: tokens read on either side of what is kept of a window.
        device: that the network is on.
    """
    size = network.size
    parts = []
    every = list(windows(source.layout.tokens, size.window - 2 * halo, halo))
    for start in range(0, len(every), AT_ONCE):
        some = every[start : start + AT_ONCE]
        length = max(window.last - window.first for window in some)
        batch = batch_of([(source, window.first, window.last) for window in some], length).to(device)
        output, _ = network(batch.values, batch.mask, batch.positions)
        for row, window in zip(output.float().cpu(), some, strict=True):
            parts.append(row[window.start - window.first : window.end - window.first, : size.token])
    return torch.cat(parts)


@torch.no_grad()
def reconstruction_rows(
    network: WeightAutoencoder,
    splits: dict[str, Sequence[TokenSource]],
    fitted_on: Sequence[TokenSource],
    *,
    device: str = "cpu",
) -> list[dict[str, object]]:
    """Return one row per split, role and part of the depth, and one per split for all: R2, that of PCA, and the bound.

    Values count as the network sees them (scaled, unless published). R2 is 1 minus the squared error over the squared
    deviation from the mean of the group.

    Args:
        network: trained.
        splits: name -> models.
        fitted_on: models that the principal components are fitted on.
        device: that the network is on.
    """
    network.eval()
    size = network.size
    mean, directions = principal_components(fitted_on, size)
    rows = []
    for split, sources in splits.items():
        sums: dict[tuple[str, int], Tensor] = {}
        for source in sources:
            _add(sums, network, source, mean, directions, device)
        for (role, depth), parts in [*sorted(sums.items()), (("all", -1), sum(sums.values(), torch.zeros(5)))]:
            count, total, squares, error, linear = parts.tolist()
            spread = squares - total**2 / max(count, 1)
            rows.append(
                {
                    "split": split,
                    "role": role,
                    "depth": "all" if depth < 0 else f"{depth + 1} of {DEPTHS}",
                    "values": int(count),
                    "r2": 1 - error / spread if spread > 0 else float("nan"),
                    "r2_pca": 1 - linear / spread if spread > 0 else float("nan"),
                    "bound": size.latent / size.token,
                }
            )
    return rows


def _add(
    sums: dict[tuple[str, int], Tensor],
    network: WeightAutoencoder,
    source: TokenSource,
    mean: Tensor,
    directions: Tensor,
    device: str,
) -> None:
    """Add the sums of one model: count, sum, squares, error of the network, error of principal components."""
    size, layout = network.size, source.layout
    output = reconstruct(network, source, device=device)
    for slot in layout.slots:
        last = slot.start + -(-slot.values // layout.size)
        depth = min(DEPTHS - 1, slot.depth * DEPTHS // max(1, layout.depth))
        values, mask, _ = source.read(slot.start, last)
        values, mask = values[:, : size.token], mask[:, : size.token]
        linear = mean + (values * mask - mean) @ directions.T @ directions
        real = values[mask].double()
        parts = [
            torch.tensor(float(len(real))),
            real.sum(),
            real.square().sum(),
            (output[slot.start : last][mask] - real).square().sum(),
            (linear[mask] - real).square().sum(),
        ]
        key = (slot.role, depth)
        assert slot.role in ROLES
        sums[key] = sums.get(key, torch.zeros(5, dtype=torch.float64)) + torch.stack([part.double() for part in parts])
