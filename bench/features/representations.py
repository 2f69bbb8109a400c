"""Summaries of a network's layers over one set of rows: principal coordinates, dimensions, and CKA between the layers.

What is kept of a layer suffices for debiased linear CKA with any other layer of the same rows. CKA depends on the
squared eigenvalues of the Gram matrix, so a few principal coordinates keep nearly all of it; the HSIC of the layer with
itself, which needs all of them, is stated exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.metrics.representations import effective_rank, hsic, participation, twonn_dimension

LEAST = 8
"""Components that are kept of every layer, where it has as many."""
MOST = 96
"""Components that are computed at most for a layer with more than `WIDE` rows and columns."""
WIDE = 1024
SHARES = 1 - 10.0 ** -np.arange(4.3, 0, -0.02)
"""Shares of the squared eigenvalues to try, from the largest."""
FEWEST_DISTINCT = 20
"""Distinct rows below which a TwoNN dimension is not stated."""
NEIGHBOURS = 4
"""Candidates for the two nearest rows, whose distances are then taken exactly."""
CLOSE, FEW = 0.01, 0.01
"""Where more than this share of the rows has its second neighbour closer than this share of its length, float32 cannot
tell which rows are nearest, and float64 does."""
TILE = 256
"""Rows of the Gram matrices that are held at a time."""


@dataclass(frozen=True, kw_only=True)
class LayerSummary:
    """Stored summary of one layer.

    Attributes:
        coordinates: (n, k) float32 centred rows in their first principal axes, in units of the root mean square row.
        kept: share of the sum of squared eigenvalues of the Gram matrix in these axes, NaN for constant rows.
        self_hsic: unbiased HSIC of the whole layer with itself, in the same units.
        rankme: effective rank of the rows as they are.
        participation_ratio: of the covariance.
        twonn: intrinsic dimension, NaN for fewer than 20 distinct rows.
    """

    coordinates: np.ndarray
    kept: float
    self_hsic: float
    rankme: float
    participation_ratio: float
    twonn: float


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One layer while the budget of components is not settled."""

    rows: Tensor  # (n, p) float32, centred, in units of the root mean square row; zeros for constant rows
    norms: Tensor  # (n,) float64, squared norms of the rows
    coordinates: Tensor
    shares: np.ndarray  # of the squared eigenvalues, summed up to each coordinate
    rankme: float
    participation_ratio: float


def summarise(
    layers: Iterable[np.ndarray], *, components: int, device: str = "cpu"
) -> tuple[list[LayerSummary], np.ndarray]:
    """Return a summary of each layer, and debiased linear CKA between the layers, (L, L) float64.

    Args:
        layers: rows (n, p) of each layer, the same n of at least 4.
        components: principal coordinates per layer, on average; layers that need fewer leave theirs to the others.
        device: torch device.
    """
    device = "cpu" if device.startswith("mps") else device  # float64 is needed
    measured = [_measured(torch.from_numpy(np.asarray(rows)).to(device)) for rows in layers]
    hsics, nearest = _pairs(measured)
    own = np.diag(hsics)
    varying = own > 0
    cka = np.full_like(hsics, np.nan)
    cka[np.ix_(varying, varying)] = hsics[np.ix_(varying, varying)] / np.sqrt(own[varying, None] * own[varying])
    counts = shared_out([layer.shares for layer in measured], components)
    summaries = [
        LayerSummary(
            coordinates=layer.coordinates[:, :count].float().cpu().numpy(),
            kept=float(layer.shares[count - 1]),
            self_hsic=float(value),
            rankme=layer.rankme,
            participation_ratio=layer.participation_ratio,
            twonn=_intrinsic_dimension(layer.rows, near),
        )
        for layer, count, value, near in zip(measured, counts, own, nearest, strict=True)
    ]
    return summaries, cka


def shared_out(shares: Sequence[np.ndarray], average: int) -> list[int]:
    """Return how many components each layer keeps: as many as reach one share in all, within the average.

    Args:
        shares: share of the squared eigenvalues up to each component, rising.
        average: components per layer.
    """
    counts: list[int] = []
    for share in SHARES:
        counts = [
            min(len(known), max(LEAST, int(np.searchsorted(np.nan_to_num(known, nan=1.0), share)) + 1))
            for known in shares
        ]
        if sum(counts) <= average * len(counts):
            return counts
    return [min(len(known), average) for known in shares]


def _measured(rows: Tensor) -> _Layer:
    rows = rows.double()
    centred = rows - rows.mean(0)
    scale = float(torch.linalg.vector_norm(centred)) / len(rows) ** 0.5
    if scale <= 1e-6 * float(torch.linalg.vector_norm(rows)) / len(rows) ** 0.5:  # rounding of rows that are all equal
        zeros = torch.zeros(len(rows), 1, dtype=torch.float64, device=rows.device)
        nan = float("nan")
        return _Layer(
            rows=zeros.float(),
            norms=zeros[:, 0],
            coordinates=zeros,
            shares=np.array([nan]),
            rankme=nan,
            participation_ratio=nan,
        )
    centred /= scale
    norms = torch.linalg.vector_norm(centred, dim=1).square()
    coordinates, values, squares = _principal(centred)
    return _Layer(
        rows=centred.float(),
        norms=norms,
        coordinates=coordinates,
        shares=np.cumsum(values**2) / squares,
        rankme=effective_rank(_singular_values(rows)),
        participation_ratio=participation(float(norms.sum()), squares),
    )


def _principal(centred: Tensor) -> tuple[Tensor, np.ndarray, float]:
    """Return principal coordinates (n, r), the eigenvalues (r,) of the Gram matrix, falling, and all squares summed."""
    count, width = centred.shape
    product = centred.T @ centred if width <= count else centred @ centred.T
    squares = float(torch.linalg.vector_norm(product)) ** 2
    if len(product) > WIDE:
        # Draws from torch's global generator, which a run seeds.
        left, singular, _ = torch.svd_lowrank(centred, q=MOST, niter=4)
        return left * singular, singular.square().cpu().numpy(), squares
    values, vectors = torch.linalg.eigh(product)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    coordinates = centred @ vectors if width <= count else vectors * values.sqrt()
    return coordinates, values.cpu().numpy(), squares


def _singular_values(rows: Tensor) -> np.ndarray:
    product = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    values: np.ndarray = torch.linalg.eigvalsh(product).clamp_min(0).sqrt().cpu().numpy()
    return values


def _pairs(layers: Sequence[_Layer]) -> tuple[np.ndarray, list[Tensor]]:
    """Return the unbiased HSIC of every pair of layers, (L, L), and of each layer its rows' nearest others, (n, c).

    The Gram matrices of all layers are gone through together, some rows at a time, so none is held whole.
    """
    count, number, device = len(layers[0].norms), len(layers), layers[0].norms.device
    products = torch.zeros(number, number, dtype=torch.float64, device=device)
    tiles, far = torch.empty(number, TILE, count, device=device), torch.empty(TILE, count, device=device)
    nearest: list[list[Tensor]] = [[] for _ in layers]
    for start in range(0, count, TILE):
        high = min(TILE, count - start)
        own = torch.arange(high, device=device)
        for place, layer in enumerate(layers):
            tile = torch.mm(layer.rows[start : start + high], layer.rows.T, out=tiles[place, :high])
            torch.sub(layer.norms.float(), tile, alpha=2, out=far[:high])
            far[own, start + own] = float("inf")
            nearest[place].append(far[:high].topk(min(NEIGHBOURS, count - 1), dim=1, largest=False).indices)
            tile[own, start + own] = 0  # the share of the diagonal is the shared term below
        flat = tiles[:, :high].reshape(number, -1)
        products += (flat @ flat.T).double()
    norms = torch.stack([layer.norms for layer in layers])
    shared, traces = norms @ norms.T, norms.sum(1)
    values: np.ndarray = hsic(products + shared, shared, traces[:, None], traces, count).cpu().numpy()
    return values, [torch.cat(parts) for parts in nearest]


def _intrinsic_dimension(rows: Tensor, nearest: Tensor) -> float:
    """Return the TwoNN dimension from the candidates for the nearest rows, (n, c); equal rows count once."""
    first, second = _two_distances(rows, nearest)
    close = second < CLOSE * torch.linalg.vector_norm(rows, dim=1)
    if not bool(first.all()) or float(close.double().mean()) > FEW:
        rows = torch.unique(rows, dim=0).double()
        if len(rows) < FEWEST_DISTINCT:
            return float("nan")
        squares = rows.square().sum(1)
        far = (squares - 2 * rows @ rows.T).fill_diagonal_(float("inf"))
        first, second = _two_distances(rows, far.topk(NEIGHBOURS, dim=1, largest=False).indices)
    if len(rows) < FEWEST_DISTINCT:
        return float("nan")
    return twonn_dimension(first.cpu().numpy(), second.cpu().numpy())


def _two_distances(rows: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distances (n,) of each row to its two nearest others.

    They are taken by difference: expanded squares cancel between close rows.
    """
    rows = rows.double()
    far = [torch.linalg.vector_norm(rows - rows[column], dim=1) for column in nearest.T]
    exact = torch.stack(far, 1).sort(1).values
    return exact[:, 0], exact[:, 1]
