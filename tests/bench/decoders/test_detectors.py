"""Detectors find boxes at every stride, in any number, and in the pixels of the labels."""

from __future__ import annotations

import pytest
import torch

from bench.core.errors import Incompatible
from bench.metrics.boxes import average_precision, matched
from tests.builders.decoders import (
    CLASSES,
    DETECTORS,
    GEOMETRIES,
    Geometry,
    boxes_of,
    build,
    embedded,
    fit,
    taps_of,
    warm,
)

SIDES = [("patch_14", 3.5), ("patch_16", 4), ("patch_32", 8), ("cnn", 4), ("swin_quarters", 4)]
STEPS = {"faster_rcnn": (80, 3e-3), "retinanet": (100, 1e-3), "fcos": (120, 1e-3)}


def scenes():
    """Return three images of 64 x 64 pixels with rectangles of two classes; the last image has none."""
    images, targets = torch.zeros(3, 2, 64, 64), []
    rectangles = [
        [(5, 9, 21, 30, 0), (33, 30, 60, 52, 1)],
        [(3, 40, 19, 62, 1), (40, 4, 56, 18, 0)],
        [],
    ]
    for image, boxes in zip(images, rectangles, strict=True):
        for x1, y1, x2, y2, label in boxes:
            image[label, y1:y2, x1:x2] = 1
        targets.append(
            {
                "boxes": torch.tensor([box[:4] for box in boxes], dtype=torch.float32).reshape(-1, 4),
                "labels": torch.tensor([box[4] for box in boxes], dtype=torch.int64),
            }
        )
    return images, targets


def as_arrays(boxes):
    """Return boxes of images with numpy arrays instead of tensors."""
    return [{key: value.numpy() for key, value in of_image.items()} for of_image in boxes]


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("where", ["plain", "pyramid"])
def test_learns_boxes(name, where):
    """Boxes are given and returned in pixels of an image that is half as wide as the input of the network."""
    strides, channels = ((16,) * 4, (256,) * 4) if where == "plain" else ((4, 8, 16, 32), (16, 32, 64, 64))
    geometry = Geometry(strides, (64, 64), channels)
    images, targets = scenes()
    taps = embedded(name, images, geometry)
    half = [{**target, "boxes": target["boxes"] * torch.tensor([0.5, 1, 0.5, 1])} for target in targets]
    module = build(name, "detection", geometry, outputs=2)
    torch.manual_seed(0)
    steps, rate = STEPS[name]
    fit(module, lambda: sum(module(taps, (64, 32), half).values()), steps=steps, rate=rate)
    with torch.inference_mode():
        detections = as_arrays(module(taps, (64, 32)))
    scores = average_precision(*matched(detections, as_arrays(half), 2))
    assert scores["box_map50"] > 0.95
    assert not (detections[-1]["scores"] > 0.5).any()


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (40, 1)])
def test_any_number_of_boxes(name, counts):
    geometry = GEOMETRIES["patch_16"]
    module = build(name, "detection", geometry)
    taps = taps_of(name, geometry, 2)
    targets = [boxes_of(count, (112, 80)) for count in counts]
    targets[0]["boxes"] = targets[0]["boxes"].clamp(max=79)
    kept = (targets[0]["boxes"][:, 2:] > targets[0]["boxes"][:, :2]).all(1)
    targets[0] = {key: value[kept] for key, value in targets[0].items()}
    losses = module(taps, (112, 80), targets)
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in module.parameters())


@pytest.mark.parametrize("name", DETECTORS)
def test_targets_that_cannot_be_trained_on_are_refused(name):
    geometry = GEOMETRIES["patch_16"]
    module = build(name, "detection", geometry)
    taps = taps_of(name, geometry, 1)
    with pytest.raises(Incompatible, match="without area"):
        module(taps, (112, 80), [{"boxes": torch.tensor([[3.0, 3, 3, 9]]), "labels": torch.tensor([0])}])
    with pytest.raises(Incompatible, match="targets"):
        module(taps, (112, 80))
    with pytest.raises(Incompatible, match="label"):
        module(taps, (112, 80), [{"boxes": torch.tensor([[3.0, 3, 8, 9]]), "labels": torch.tensor([CLASSES])}])


@pytest.mark.parametrize("name", DETECTORS)
def test_boxes_stay_inside_the_image(name):
    geometry = GEOMETRIES["patch_14"]
    module = build(name, "detection", geometry)
    module(*warm(name, "detection", geometry))
    for detected in module.eval()(taps_of(name, geometry, 3), (50, 21)):
        boxes = detected["boxes"]
        assert len(boxes) and (boxes >= 0).all()
        assert (boxes[:, 0::2] <= 21.001).all() and (boxes[:, 1::2] <= 50.001).all()
        assert detected["labels"].min() >= 0 and detected["labels"].max() < CLASSES
        assert (detected["scores"].diff() <= 0).all()


@pytest.mark.parametrize(("where", "pixels"), SIDES)
def test_anchors_are_centred_on_the_cells_of_their_map(where, pixels):
    from bench.decoders.parts.anchors import Anchors, anchor_scales
    from bench.decoders.parts.boxes import finest_map, frame_of

    geometry = GEOMETRIES[where]
    assert finest_map(geometry.layers, geometry.image) == pixels
    frame = frame_of(geometry.layers, geometry.image)
    assert frame == pytest.approx([side * 4 / pixels for side in geometry.image])
    grids = [torch.zeros(2, 1, 5, 3), torch.zeros(2, 1, 3, 2), torch.zeros(2, 1, 2, 1), torch.zeros(2, 1, 1, 1)]
    scales = anchor_scales(min(frame))
    first, second = Anchors([[scale] for scale in scales], (0.5, 2.0))(None, grids)
    assert first is second and len(first) == 2 * (15 + 6 + 2 + 1)
    centre, extent = (first[:, :2] + first[:, 2:]) / 2, first[:, 2:] - first[:, :2]
    torch.testing.assert_close(centre[0:6:2], torch.tensor([[2.0, 2], [6, 2], [10, 2]]))
    torch.testing.assert_close(centre[-1], torch.tensor([16.0, 16]))
    torch.testing.assert_close(extent.prod(1).sqrt()[::2][:15], torch.full((15,), scales[0]))
    torch.testing.assert_close(extent[:, 1] / extent[:, 0], torch.tensor([0.5, 2.0]).repeat(24))


def test_small_patches_make_no_huge_maps():
    from bench.decoders.parts.boxes import finest_map

    layers = GEOMETRIES["patch_4"].layers
    assert finest_map(layers, (64, 64)) == 1 and finest_map(layers, (128, 128)) == 2
    assert finest_map(layers, (224, 224)) == 4
