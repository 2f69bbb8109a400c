"""Prepared inputs: samples as tensors, stacked by number of dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.core import Sample
from bench.core.errors import Incompatible
from bench.input.prepare import Statistics, prepare
from bench.input.recipe import InputRecipe


class PreparedInput(NamedTuple):
    """Prepared input of some samples that have equally many dates.

    Attributes:
        images: sensor -> (B, T, C, h, w), see `bench.input.prepare.prepare`.
        when: (B, T, 3) year, month, day, or None.
        where: (B, 2) longitude, latitude, or None.
    """

    images: dict[str, Tensor]
    when: Tensor | None
    where: Tensor | None

    @property
    def dates(self) -> int:
        """Number of dates T."""
        return next(iter(self.images.values())).shape[1]

    def crop(self, top: int, left: int, size: tuple[int, int]) -> PreparedInput:
        """Return the same of one window of the images."""
        rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
        return self._replace(images={sensor: values[..., rows, columns] for sensor, values in self.images.items()})


def prepare_input(samples: Sequence[Sample], recipe: InputRecipe, statistics: Statistics, device: str) -> PreparedInput:
    """Return the prepared input of samples with equally many dates."""
    images = {
        sensor: torch.from_numpy(np.stack([sample.images[sensor] for sample in samples])).to(device)
        for sensor in samples[0].images
    }
    when = _stack([sample.when for sample in samples], device)
    where = _stack([None if s.where is None else np.asarray(s.where, np.float32) for s in samples], device)
    return PreparedInput(prepare(images, recipe, statistics), when, where)


def by_length(samples: Sequence[Sample]) -> list[list[int]]:
    """Return the positions of samples grouped by their number of dates, in order of first appearance.

    Raises:
        Incompatible: the sensors of one sample have different numbers of dates.
    """
    groups: dict[int, list[int]] = {}
    for place, sample in enumerate(samples):
        groups.setdefault(_length(sample), []).append(place)
    return list(groups.values())


def _length(sample: Sample) -> int:
    """Return the number of dates of a sample."""
    dates = {sensor: len(values) for sensor, values in sample.images.items()}
    if len(set(dates.values())) > 1:
        counts = ", ".join(f"{count} of {sensor}" for sensor, count in dates.items())
        raise Incompatible(f"a sample has {counts}: dates are not shared; choose one sensor with bands=")
    return next(iter(dates.values()))


def _stack(values: list[np.ndarray | None], device: str) -> Tensor | None:
    if any(value is None for value in values):
        return None
    return torch.from_numpy(np.stack([value for value in values if value is not None])).to(device)
