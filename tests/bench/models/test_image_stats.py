"""Image statistics are those of numpy, over images and over cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.core import Band
from bench.core.errors import Incompatible, MissingWeights
from bench.models import image_stats
from tests.builders.entries import RGB
from tests.builders.networks import normal

ENTRY = image_stats.ENTRIES[0]


def statistics(values: np.ndarray) -> np.ndarray:
    quantiles = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    return np.array([values.mean(), values.std(), values.min(), values.max(), *quantiles])


def test_statistics_are_those_of_numpy() -> None:
    bands = (*RGB[:2], Band(name="s1.vv", unit="db"))
    images = {"rgb": normal(2, 3, 2, 16, 24), "s1": normal(2, 1, 1, 16, 24, seed=1)}
    tap = ENTRY.load(ENTRY, None, 0, bands)(images, [0])[0]
    assert tap.grid.shape == (2, 27, 2, 3) and tap.vector.shape == (2, 27)
    rgb, s1 = images["rgb"].numpy(), images["s1"].numpy()
    for index, values in enumerate((rgb[:, :, 0], rgb[:, :, 1], s1[:, :, 0])):
        channels = slice(9 * index, 9 * index + 9)
        for image in range(2):
            expected = statistics(values[image])
            np.testing.assert_allclose(tap.vector[image, channels], expected, rtol=1e-5, atol=1e-6)
            expected = statistics(values[image, :, 8:16, 16:24])
            np.testing.assert_allclose(tap.grid[image, channels, 1, 2], expected, rtol=1e-5, atol=1e-6)


def test_series_of_pixels_are_taken_and_other_images_are_refused() -> None:
    pixels = {"rgb": normal(5, 4, 3, 1, 1), "era5": normal(5, 4, 1, 1, 1, seed=1)}
    tap = ENTRY.load(ENTRY, None, 0, (*RGB, Band(name="era5.t2m", unit="kelvin")))(pixels, [0])[0]
    assert tap.grid.shape[2:] == (1, 1)
    torch.testing.assert_close(tap.grid[:, :, 0, 0], tap.vector)
    backbone = ENTRY.load(ENTRY, None, 0, RGB)
    with pytest.raises(Incompatible, match="multiples of 8"):
        backbone({"rgb": normal(1, 1, 3, 12, 16)}, [0])
    with pytest.raises(Incompatible, match="loaded for 3"):
        backbone({"rgb": normal(1, 1, 2, 16, 16)}, [0])


def test_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with pytest.raises(MissingWeights, match=r"image_stats: its network has no parameters.*empty\.safetensors"):
        ENTRY.load(ENTRY, tmp_path / "empty.safetensors", 0, RGB)
