"""Suites by name, the tiny copies of their published layouts, and the checks that every sample must pass."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bench.catalogue.suites import load, shipped
from bench.core import UNITS, Suite

NAMES = list(shipped())


def suite_of(name: str) -> Suite:
    """Return a suite that ships with the package."""
    return load(name)


def suite_module(name: str) -> ModuleType:
    """Return the module that holds a suite."""
    return import_module(f"{shipped()[name]}.{name}")


def fixture_module(name: str) -> ModuleType:
    """Return the module that writes a suite's tiny copy: ``tests/fixtures/<collection>/<name>.py``."""
    return import_module(f"tests.fixtures.{shipped()[name].partition('.')[2]}.{name}")


def write(name: str, root: Path) -> Path:
    """Put the tiny copy of a suite below root; return the suite's own folder."""
    if suite_of(name).generated:
        return root
    written: Path = fixture_module(name).write(root)
    return written


def check_sample(suite, task, sample, bands):
    for sensor, values in sample.images.items():
        of_sensor = [band for band in bands if band.sensor == sensor]
        assert values.dtype == np.float32
        assert values.shape == (suite.dates or len(values), len(of_sensor), *suite.image_size) and len(values)
        for channel, band in enumerate(of_sensor):
            seen = values[:, channel][np.isfinite(values[:, channel])]
            assert seen.size and UNITS[band.unit].low <= seen.min() and seen.max() <= UNITS[band.unit].high
    assert list(sample.images) == list(dict.fromkeys(band.sensor for band in bands))
    if sample.when is not None:
        assert sample.when.shape == (len(values), 3)
        months = sample.when[:, 1]
        assert ((months == -1) | ((months >= 1) & (months <= 12))).all()
    if sample.where is not None:
        assert -180 <= sample.where[0] <= 180 and -90 <= sample.where[1] <= 90


def check_target(suite, task, target, summary):
    """A sample's own target, and what `targets()` says of it."""
    if task.kind == "classification":
        assert 0 <= target < len(task.classes)
        assert summary == target
    elif task.kind == "multilabel":
        assert target.shape == (len(task.classes),) and set(np.unique(target)) <= {0, 1}
        assert np.array_equal(summary, target)
    elif task.kind == "regression":
        assert target.dtype == np.float32 and target.ndim == 1 and np.isfinite(target).all()
        assert np.array_equal(summary, target)
    elif task.kind == "dense_regression":
        assert target.dtype == np.float32 and target.shape == suite.image_size
        assert summary == pytest.approx([np.nanmean(target)], rel=1e-5)
    elif task.kind == "detection":
        boxes, codes = target["boxes"], target["labels"]
        assert boxes.dtype == np.float32 and boxes.shape == (len(codes), 4) and codes.dtype == np.int64
        tall, wide = suite.image_size
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= wide).all() and (boxes[:, 3] <= tall).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all() and set(codes) <= set(range(len(task.classes)))
        assert [bool(flag) for flag in summary] == [code in set(codes) for code in range(len(task.classes))]
    else:
        assert target.dtype == np.int64 and target.shape == suite.image_size
        assert set(np.unique(target)) <= {task.ignore, *range(len(task.classes))}
        assert [bool(flag) for flag in summary] == [bool((target == code).any()) for code in range(len(task.classes))]


def bands_of(suite: Suite, *wanted: str):
    known = {band.name: band for band in suite.bands}
    return tuple(known[name] for name in wanted)
