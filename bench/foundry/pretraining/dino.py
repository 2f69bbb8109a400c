"""Self-distillation without labels (DINO, Caron et al. 2021, arXiv:2104.14294)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from bench.foundry.pretraining.settings import DINOSettings
from bench.foundry.pretraining.views import cropped, recoloured


class Head(nn.Module):
    """The projection that outputs are compared in: three layers, a normalised bottleneck, weight-normed prototypes.

    Args:
        width: channels in.
        prototypes: channels out.
    """

    def __init__(self, width: int, prototypes: int) -> None:
        super().__init__()
        inner, bottleneck = 4 * width, 64
        self.mlp = nn.Sequential(
            nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, inner), nn.GELU(), nn.Linear(inner, bottleneck)
        )
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return (B, K) cosines between the projected vectors (B, D) and the prototypes."""
        return functional.normalize(self.mlp(vectors), dim=-1) @ functional.normalize(self.prototypes, dim=-1).T


class Projected(nn.Module):
    """An encoder with a head on its class token.

    Args:
        encoder: timm ``VisionTransformer``.
        prototypes: see `Head`.
    """

    def __init__(self, encoder: Any, prototypes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = Head(encoder.embed_dim, prototypes)

    def forward(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Return (B, K) for each of the views (B, C, H, W); neighbours of one size pass together."""
        sizes = [list(group) for _, group in groupby(views, key=lambda view: view.shape[-1])]
        vectors = [self.encoder.forward_features(torch.cat(group))[:, 0] for group in sizes]
        return list(self.head(torch.cat(vectors)).chunk(len(views)))


def distillation_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], tau: tuple[float, float]) -> Tensor:
    """Return the cross-entropy of teacher and student outputs, averaged over all pairs of different views (equation 3).

    Args:
        student: (B, K) a view, the teacher's views first.
        teacher: (B, K) a view, the centre taken off.
        tau: temperatures of student and teacher; the lower one of the teacher sharpens the target.
    """
    targets = [(output / tau[1]).softmax(-1) for output in teacher]
    logs = [(output / tau[0]).log_softmax(-1) for output in student]
    pairs = [(target, log) for i, target in enumerate(targets) for j, log in enumerate(logs) if i != j]
    return torch.stack([-(target * log).sum(-1).mean() for target, log in pairs]).mean()


class SelfDistillation(nn.Module):
    """A student that predicts the output of its own moving average, the teacher, for another view.

    Args:
        student: timm ``VisionTransformer`` whose class token is compared.
        settings: see `DINOSettings`.

    Attributes:
        encoder: the teacher's network, which is what is kept.
    """

    centre: Tensor
    fixed = ("teacher.",)

    def __init__(self, student: Any, settings: DINOSettings) -> None:
        super().__init__()
        self.settings = settings
        self.student = Projected(student, settings.prototypes)
        self.teacher = copy.deepcopy(self.student)
        self.register_buffer("centre", torch.zeros(settings.prototypes))

    @property
    def encoder(self) -> nn.Module:
        """The teacher's network without its head."""
        return self.teacher.encoder  # type: ignore[no-any-return]

    def views(self, pixels: Tensor, generator: Generator) -> list[Tensor]:
        """Return two global and then all local views of (B, C, H, W)."""
        own = self.settings
        kinds = [(own.global_size, own.global_area)] * 2 + [(own.local_size, own.local_area)] * own.local_views
        return [
            recoloured(
                cropped(pixels, size, area, generator),
                gain=own.gain,
                offset=own.offset,
                noise=own.noise,
                generator=generator,
            )
            for size, area in kinds
        ]

    def loss(self, images: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """Return the distillation loss of a batch, sensor -> (B, C, H, W) of one sensor; moves the centre."""
        (pixels,) = images.values()
        views = self.views(pixels, generator)
        with torch.no_grad():
            teacher = self.teacher(views[:2])
        tau = (self.settings.student_temperature, self.settings.teacher_temperature)
        loss = distillation_loss(self.student(views), [output - self.centre for output in teacher], tau)
        self.centre.lerp_(torch.cat(teacher).mean(0), 1 - self.settings.centre_momentum)
        return loss

    @torch.no_grad()
    def after_step(self, share: float) -> None:
        """Move the teacher towards the student; `share` of the training is done, 0..1."""
        momentum = 1 - (1 - self.settings.momentum) * (math.cos(math.pi * share) + 1) / 2
        for old, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            old.lerp_(new, 1 - momentum)
