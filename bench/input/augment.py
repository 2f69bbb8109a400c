"""Augmentations, applied jointly to all dates and sensors of a sample and to its target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.core import Kind, Sample
from bench.core.errors import BadSetting

AUGMENTATIONS: dict[Kind, tuple[str, ...]] = {
    "classification": ("flips", "crop"),
    "multilabel": ("flips",),
    "regression": ("flips",),
    "segmentation": ("flips",),
    "change": ("flips",),
    "dense_regression": ("flips",),
    "detection": ("flips",),
}
"""The default augmentations. A crop may remove what a label or a value is about, so classes alone have it; where
windows are cut from large images, the windows of training lie anywhere."""
KNOWN = ("none", "flips", "crop", "views")
VIEWS = (0, 4, 1, 5, 2, 6, 3, 7)
"""The symmetries of the square in the order in which epochs take them: quarter turns, plus 4 where mirrored first."""
LEAST = 0.7  # side of a crop, as a share of the image's


def names_of(kind: Kind, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the augmentations in force: those given, or the kind's own for ``auto``; none for ``none``.

    Raises:
        BadSetting: one that is not known, not for this kind, or ``views`` with another one.
    """
    if given == ("auto",):
        return AUGMENTATIONS[kind]
    for name in given:
        if name not in KNOWN:
            raise BadSetting(f"augment={name}: known are auto, {', '.join(KNOWN)}")
        if name == "crop" and kind != "classification":
            raise BadSetting(f"augment=crop is for classes of whole images, not for {kind}")
    if "views" in given and len(given) > 1:
        raise BadSetting(f"augment={','.join(given)}: views stand alone; give views, or flips and crop")
    return tuple(name for name in given if name != "none")


def view_of(epoch: int, size: tuple[int, int]) -> int:
    """Return the symmetry that all images of an epoch are seen in, one of `VIEWS`; epoch 0 sees them as they are.

    Args:
        epoch: from 0.
        size: (H, W) of the images; those that are no square have four symmetries, single pixels one.
    """
    if size == (1, 1):
        return VIEWS[0]
    known = VIEWS if size[0] == size[1] else [view for view in VIEWS if view % 2 == 0]
    return known[epoch % len(known)]


def viewed(sample: Sample, kind: Kind, view: int) -> Sample:
    """Return a sample in one of `VIEWS`, its target, if it has one, transformed alike."""
    if view == VIEWS[0]:
        return sample
    turns, mirrored = view % 4, view >= 4
    size = next(iter(sample.images.values())).shape[-2:]
    images = {sensor: _moved(values, turns, mirrored) for sensor, values in sample.images.items()}
    target = None if sample.target is None else _target(sample.target, kind, size, turns, mirrored)
    return sample._replace(images=images, target=target)


def augmented(samples: Sequence[Sample], kind: Kind, names: tuple[str, ...], rng: np.random.Generator) -> list[Sample]:
    """Return samples whose images, and targets with positions, are transformed alike.

    ``flips`` takes one of the eight symmetries of the square (four of images that are none); seen from above, up is no
    direction. ``crop`` takes a random part with `LEAST` to all of each side, as large for all samples given together.
    ``views`` are not drawn, see `viewed`.

    Args:
        samples: of one batch, see `bench.core.Sample`; single pixels are left as they are.
        kind: of the task.
        names: the augmentations.
        rng: of every choice.
    """
    tall, wide = next(iter(samples[0].images.values())).shape[-2:]
    if (tall, wide) == (1, 1) or not names or names == ("views",):
        return list(samples)
    share = rng.uniform(LEAST, 1) if "crop" in names else 1.0
    high, broad = max(1, round(share * tall)), max(1, round(share * wide))
    turned = []
    for sample in samples:
        top, left = int(rng.integers(tall - high + 1)), int(rng.integers(wide - broad + 1))
        images, target = sample.images, sample.target
        if "crop" in names:
            images = {s: v[..., top : top + high, left : left + broad] for s, v in images.items()}
        if "flips" in names:
            turns = int(rng.integers(4)) if high == broad else 2 * int(rng.integers(2))
            mirrored = bool(rng.integers(2))
            images = {s: _moved(v, turns, mirrored) for s, v in images.items()}
            target = _target(target, kind, (tall, wide), turns, mirrored)
        turned.append(sample._replace(images=images, target=target))
    return turned


def _moved(values: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    values = values[..., ::-1] if mirrored else values
    return np.ascontiguousarray(np.rot90(values, turns, (-2, -1)))


def _target(target: Any, kind: Kind, size: tuple[int, int], turns: int, mirrored: bool) -> object:
    if kind in ("segmentation", "change", "dense_regression"):
        return _moved(np.asarray(target), turns, mirrored)
    if kind != "detection":
        return target
    boxes, (tall, wide) = np.asarray(target["boxes"], np.float32), size
    if mirrored:
        boxes = np.stack([wide - boxes[:, 2], boxes[:, 1], wide - boxes[:, 0], boxes[:, 3]], 1)
    for _ in range(turns):  # a quarter turn counter-clockwise: (x, y) goes to (y, width - x)
        boxes = np.stack([boxes[:, 1], wide - boxes[:, 2], boxes[:, 3], wide - boxes[:, 0]], 1)
        tall, wide = wide, tall
    return {**target, "boxes": boxes.astype(np.float32)}
