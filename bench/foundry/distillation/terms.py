"""Terms of a distillation loss: outputs, features, relations and detectors' maps of a student against its teacher's.

Every term is 0 where student and teacher agree, and passes no gradient to the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bench.core import Kind

SMALL = 1e-6


def output_term(
    student: Tensor, teacher: Tensor, kind: Kind, *, temperature: float = 1.0, valid: Tensor | None = None
) -> Tensor:
    """Return how far a student's outputs are from its teacher's, as a mean over samples or valid pixels.

    Classes: T^2 KL(teacher || student) of the softened distributions (Hinton et al. 2015, arXiv 1503.02531). Labels:
    the same of a Bernoulli distribution per class, averaged over classes. Values: the squared error, in standardised
    units.

    Args:
        student: (B, K), or (B, K, H, W) for dense tasks, logits or standardised values.
        teacher: of the same shape; what is not finite does not count.
        kind: of the task.
        temperature: T, of classes and labels.
        valid: (B, H, W), pixels that count; all by default.
    """
    student, teacher = student.float(), teacher.detach().float()
    counts = teacher.isfinite().all(1)
    if valid is not None:
        counts = counts & valid
    teacher = teacher.nan_to_num(0.0, 0.0, 0.0)
    if kind in ("regression", "dense_regression"):
        each = (student - teacher).square().mean(1)
    elif kind == "multilabel":
        each = _bernoulli(student / temperature, teacher / temperature).mean(1) * temperature**2
    else:
        each = _categorical(student / temperature, teacher / temperature) * temperature**2
    return (each * counts).sum() / counts.sum().clamp_min(1)


def _categorical(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) along axis 1."""
    expected = teacher.log_softmax(1)
    return (expected.exp() * (expected - student.log_softmax(1))).sum(1)


def _bernoulli(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of each probability, from logits."""
    chance = teacher.sigmoid()
    on = functional.logsigmoid(teacher) - functional.logsigmoid(student)
    off = functional.logsigmoid(-teacher) - functional.logsigmoid(-student)
    return chance * on + (1 - chance) * off


def feature_term(student: Tensor, teacher: Tensor, how: str) -> Tensor:
    """Return the distance of projected student features from the teacher's, a mean over samples and cells.

    ``mse`` is the squared error of features whose channels are divided by the teacher's spread in the batch (FitNets,
    Romero et al. 2015, arXiv 1412.6550); ``cosine`` is 1 - the cosine of the angle between them.

    Args:
        student: (B, D, h, w), already projected to the teacher's channels.
        teacher: (B, D, h', w'), to whose grid the student's is interpolated.
        how: ``mse`` or ``cosine``.
    """
    student, teacher = student.float(), teacher.detach().float()
    usable = teacher.flatten(1).isfinite().all(1)
    teacher = teacher.nan_to_num(0.0, 0.0, 0.0)
    student = resized(student, (teacher.shape[-2], teacher.shape[-1]))
    if how == "cosine":
        each = (1 - functional.cosine_similarity(student, teacher, dim=1)).mean((1, 2))
    else:
        spread = teacher.std((0, 2, 3), correction=0).clamp_min(SMALL)[None, :, None, None]
        each = ((student - teacher) / spread).square().mean((1, 2, 3))
    return (each * usable).sum() / usable.sum().clamp_min(1)


def relation_term(student: Tensor, teacher: Tensor) -> Tensor:
    """Return how far the relations among a student's image vectors are from those among its teacher's.

    Relational knowledge distillation (Park et al. 2019, arXiv 1904.05068): Huber loss of pairwise distances over their
    mean, plus twice that of the cosines of the angles of triples.

    Args:
        student: (B, D).
        teacher: (B, D'); vectors that are not finite are left out. Below three samples the term is 0.
    """
    usable = teacher.isfinite().all(1)
    student, teacher = student.float()[usable], teacher.detach().float()[usable]
    if len(student) < 3:
        return student.sum() * 0.0
    distance = functional.smooth_l1_loss(_distances(student), _distances(teacher))
    angle = functional.smooth_l1_loss(_angles(student), _angles(teacher))
    return distance + 2 * angle


def _distances(vectors: Tensor) -> Tensor:
    """Return the distances of all pairs, over their mean."""
    products = vectors @ vectors.T
    squares = products.diagonal()
    lengths = (squares[:, None] + squares[None] - 2 * products).clamp_min(1e-12).sqrt()
    lengths = lengths * (1 - torch.eye(len(vectors), device=vectors.device))
    return lengths / (lengths.sum() / (len(vectors) * (len(vectors) - 1))).clamp_min(SMALL)


def _angles(vectors: Tensor) -> Tensor:
    """Return the cosine of the angle at each vector between each two others, (B, B, B)."""
    directions = functional.normalize(vectors[None] - vectors[:, None], dim=2)
    return directions @ directions.transpose(1, 2)


def map_term(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Return 1 - the correlation of the maps of two detectors' feature pyramids, a mean over levels and channels.

    PKD (Cao et al. 2022, arXiv 2207.02039): each channel is standardised over batch and space, so that the squared
    error becomes 1 - Pearson's r and the magnitudes of the two networks, their levels and channels do not matter. It
    needs no labels, and no equal heads.

    Args:
        student: maps (B, D, h, w), fine to coarse.
        teacher: as many maps of as many channels, to whose grids the student's are interpolated.
    """
    terms = []
    for own, other in zip(student, teacher, strict=True):
        grid = resized(own.float(), (other.shape[-2], other.shape[-1]))
        usable = other.detach().flatten(1).isfinite().all(1)
        if bool(usable.any()):
            difference = _standardised(grid[usable]) - _standardised(other.detach().float()[usable])
            terms.append(difference.square().mean() / 2)
    return torch.stack(terms).mean() if terms else student[0].sum() * 0.0


def _standardised(grid: Tensor) -> Tensor:
    centred = grid - grid.mean((0, 2, 3), keepdim=True)
    return centred / centred.square().mean((0, 2, 3), keepdim=True).add(SMALL**2).sqrt()


def resized(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a grid (B, D, h, w) interpolated to a size, as it is where it has that size."""
    if tuple(grid.shape[-2:]) == size:
        return grid
    return functional.interpolate(grid, size, mode="bilinear", align_corners=False)
