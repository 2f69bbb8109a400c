"""Lineage deltas as codes: principal components of what members changed in a trunk, by the Gram matrix of N members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.errors import Incompatible


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Names and shapes of the parameters that a flat vector holds, in order."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """Number of values."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    def flat(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return the parameters of a state as one vector (P,) float32."""
        return torch.cat([state[name].detach().float().flatten() for name in self.shapes])

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parameters that a vector (P,) holds, by name; views of it, through which gradients pass."""
        parts = torch.split(vector, [torch.Size(shape).numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """The principal components of deltas; a code has mean 0 and variance 1 per dimension over the members.

    Attributes:
        mean: (P,) mean delta.
        basis: (k, P) orthonormal components.
        scale: (k,) standard deviation of the members along each.
        eigenvalues: (N - 1,) of the covariance, descending; see `spectrum`.
        codes: (N, k) of the members.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor
    eigenvalues: Tensor
    codes: Tensor

    def encode(self, deltas: Tensor) -> Tensor:
        """Return the codes (n, k) of deltas (n, P)."""
        return ((deltas - self.mean) @ self.basis.T) / self.scale

    def decode(self, codes: Tensor) -> Tensor:
        """Return the deltas (n, P) of codes (n, k)."""
        return self.mean + (codes * self.scale) @ self.basis


def codebook(deltas: Tensor, components: int = 0) -> Codebook:
    """Return the principal components of deltas (N, P), found through their N x N Gram matrix.

    Args:
        deltas: members minus trunk.
        components: k, at most N - 1, which is also meant by 0.

    Raises:
        Incompatible: fewer than two members, or members that do not differ.
    """
    count = len(deltas)
    if count < 2:
        raise Incompatible(f"{count} member: a distribution of weights needs at least two of one lineage")
    mean = deltas.mean(0)
    centred = deltas - mean
    gram = (centred @ centred.T).double()
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0)[: count - 1].clamp_min(0), vectors.flip(1)[:, : count - 1]
    rank = int((values > 1e-6 * values[0]).sum()) if float(values[0]) > 0 else 0
    if not rank:
        raise Incompatible(f"the {count} members are copies of one network: there is nothing to learn")
    kept = min(rank, components or count - 1, count - 1)
    lengths = values[:kept].sqrt()
    basis = ((vectors[:, :kept] / lengths).T.float() @ centred).contiguous()
    scale = (lengths / (count - 1) ** 0.5).float()
    return Codebook(
        mean=mean,
        basis=basis,
        scale=scale,
        eigenvalues=(values / (count - 1)).float(),
        codes=(vectors[:, :kept] * lengths).float() / scale,
    )


def spectrum(deltas: Tensor, book: Codebook) -> dict[str, float]:
    """Return what there is to learn beyond a Gaussian, as figures.

    ``first_over_median`` of the eigenvalues and ``effective_rank`` (exponential of their entropy over N - 1): 1 and 1
    for independent members. ``mean_share``: share of the deltas' squared length that the mean delta explains.
    """
    values = book.eigenvalues.double()
    share = values / values.sum()
    entropy = -(share * share.clamp_min(1e-300).log()).sum()
    return {
        "first_over_median": float(values[0] / values.median().clamp_min(1e-30)),
        "effective_rank": float(entropy.exp() / len(values)),
        "mean_share": float(book.mean.square().sum() / deltas.square().sum(1).mean()),
    }


def dispersion(samples: Tensor, real: Tensor) -> float:
    """Return the dispersion ratio: the spread of samples (n, k) around their mean over that of real codes (N, k).

    A generator that collapses to the mean is near 0, one that reproduces the spread near 1.
    """
    if len(samples) < 2:
        return float("nan")
    spreads = [(values - values.mean(0)).square().sum() / (len(values) - 1) for values in (samples, real)]
    return float((spreads[0] / spreads[1]).sqrt())


def standardised(vectors: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors (N, c) with mean 0 and variance 1 per column, and that mean and scale; constant columns are 0."""
    stacked = torch.stack(list(vectors)).float()
    mean = stacked.mean(0)
    spread = stacked.std(0) if len(stacked) > 1 else torch.zeros_like(mean)
    scale = torch.where(spread > 1e-6, spread, torch.full_like(spread, float("inf")))
    return (stacked - mean) / scale, mean, scale
