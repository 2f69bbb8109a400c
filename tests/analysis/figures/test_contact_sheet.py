"""A contact sheet shows what it says, read back from its artists."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from analysis.figures.contact_sheet import contact_sheet
from analysis.figures.style import saved
from bench.core import Band, Sample, Task
from suites.reading.samples import Samples
from tests.builders.suite_and_model import toy_suite

RGB = tuple(Band(name=f"rgb.{colour}", unit="uint8") for colour in ("red", "green", "blue"))
S1 = (Band(name="s1.vv", unit="db"), Band(name="s1.vh", unit="db"))
KINDS = {
    "classification": dict(classes=("a", "b"), metric="accuracy"),
    "multilabel": dict(classes=("a", "b", "c"), metric="micro_f1"),
    "regression": dict(quantity="mass", unit="t", metric="r2"),
    "segmentation": dict(classes=("land", "water"), metric="miou", ignore=-1),
    "change": dict(classes=("same", "gone"), metric="miou", ignore=-1),
    "dense_regression": dict(quantity="height", unit="m", metric="r2"),
    "detection": dict(classes=("tree", "house"), metric="box_map"),
}
TARGETS = {
    "classification": (1, lambda n: np.arange(n) % 2),
    "multilabel": (np.array([1, 0, 1]), lambda n: np.tile([1, 0, 1], (n, 1))),
    "regression": (np.array([3.5], np.float32), lambda n: np.full((n, 1), 3.5)),
    "segmentation": (np.pad(np.ones((8, 8), np.int64), 4, constant_values=-1), lambda n: np.tile([0, 1], (n, 1))),
    "change": (np.eye(16, dtype=np.int64), lambda n: np.tile([1, 1], (n, 1))),
    "dense_regression": (np.full((16, 16), 7.0, np.float32), lambda n: np.full((n, 1), 7.0)),
    "detection": (
        {"boxes": np.array([[1, 2, 5, 9], [0, 0, 3, 3]], np.float32), "labels": np.array([0, 1])},
        lambda n: np.tile([1, 1], (n, 1)),
    ),
}


def a_split(kind, bands, images, count=9):
    target, targets = TARGETS[kind]
    return Samples(
        ids=[f"sample_{i}" for i in range(count)],
        blocks=[f"sample_{i}" for i in range(count)],
        read=lambda i: Sample(images={bands[0].sensor: images(i)}, target=target),
        read_targets=lambda: targets(count),
    )


def sheet(kind, bands=RGB, images=None, **changes):
    dates = 2 if kind == "change" else 1
    images = images or (lambda i: np.full((dates, len(bands), 16, 16), 10.0 * i + 50, np.float32))
    task = Task(name="what", kind=kind, **KINDS[kind])
    suite = dataclasses.replace(toy_suite(), name="mine", title="My images", bands=bands, tasks=(task,), dates=dates)
    return contact_sheet(dataclasses.replace(suite, **changes), task, a_split(kind, bands, images), bands)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bands", [RGB, S1], ids=["colour", "radar"])
def test_every_kind_is_drawn(kind, bands):
    figure = sheet(kind, bands, None if bands is RGB else lambda i: -15 + np.random.default_rng(i).normal(
        size=(2 if kind == "change" else 1, 2, 16, 16)).astype(np.float32))  # fmt: skip
    assert saved(figure, "png")[:4] == b"\x89PNG"
    pictures = [axes for axes in figure.axes if axes.images and axes.get_title("left")]
    assert len(pictures) == 6 and pictures[0].get_title("left").startswith("sample_0")


def test_images_share_one_range_and_no_data_is_white():
    def images(index):
        values = np.full((1, 3, 16, 16), 10.0 * index + 50, np.float32)
        values[:, :, 0] = np.nan
        return values

    figure = sheet("classification", RGB, images)
    first, *_, last = [axes for axes in figure.axes if axes.images]
    assert first.images[0].get_array()[8, 8].tolist() == pytest.approx([0.0] * 3, abs=0.05)
    assert last.images[0].get_array()[8, 8].tolist() == pytest.approx([1.0] * 3, abs=0.05)
    assert (np.asarray(first.images[0].get_array())[0] == 1).all()


def test_boxes_classes_and_values_are_those_of_the_split():
    figure = sheet("detection", RGB, lambda i: np.full((1, 3, 16, 16), 300.0 + i, np.float32))
    drawn = [axes for axes in figure.axes if axes.images]
    boxes = [patch for patch in drawn[0].patches if isinstance(patch, Rectangle)]
    assert [(box.get_x(), box.get_y(), box.get_width(), box.get_height()) for box in boxes] == [
        (1, 2, 4, 7),
        (0, 0, 3, 3),
    ]
    assert drawn[0].get_xlabel() == "2 boxes"
    balance = next(axes for axes in figure.axes if axes.get_title("left") == "2 classes")
    assert [bar.get_width() for bar in balance.patches] == [9, 9]
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert all("outside its unit" in text for text in texts) and len(texts) == 3


def test_generated_data_say_so():
    assert "generated data" in sheet("classification", generated=True).get_suptitle()
    assert "My images" in sheet("classification", generated=False).get_suptitle()


def test_a_pixel_series_is_drawn_as_lines():
    figure = sheet("regression", S1, lambda i: np.arange(8, dtype=np.float32).reshape(4, 2, 1, 1) + i, dates=4)
    lines = [axes for axes in figure.axes if axes.get_title("left").startswith("sample_")]
    assert len(lines) == 6 and all(len(axes.lines) == 2 and len(axes.lines[0].get_xdata()) == 4 for axes in lines)
    assert lines[0].get_xlabel() == "3.5 t"
