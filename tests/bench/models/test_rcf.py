"""Random convolutional features are those of torchgeo, over images and over cells."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torchgeo.models import RCF

from bench.core import Band
from bench.core.errors import Incompatible, MissingWeights
from bench.models import rcf
from tests.builders.entries import RGB
from tests.builders.networks import assert_same_taps, differ, normal

ENTRY = rcf.ENTRIES[0]


def published() -> RCF:
    return RCF(in_channels=3, features=256, kernel_size=3, bias=-1.0, seed=7)


def test_the_vector_is_torchgeos() -> None:
    pixels = normal(3, 3, 24, 16)
    tap = ENTRY.load(ENTRY, None, 7, RGB)({"rgb": pixels[:, None]}, [0])[0]
    expected = published()(functional.pad(pixels, (1, 1, 1, 1)))
    torch.testing.assert_close(tap.vector, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tap.grid.mean((-2, -1)), tap.vector)


def test_a_cell_depends_on_its_own_pixels_and_a_border_of_one() -> None:
    pixels = normal(1, 3, 24, 24)
    tap = ENTRY.load(ENTRY, None, 7, RGB)({"rgb": pixels[:, None]}, [0])[0]
    expected = published()(pixels[:, :, 7:17, 7:17])
    torch.testing.assert_close(tap.grid[:, :, 1, 1], expected, rtol=1e-4, atol=1e-5)


def test_series_of_pixels_are_taken_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = {"rgb": normal(5, 4, 3, 1, 1), "era5": normal(5, 4, 1, 1, 1, seed=1)}
    tap = ENTRY.load(ENTRY, None, 0, (*RGB, Band(name="era5.t2m", unit="kelvin")))(pixels, [0])[0]
    assert tap.grid.shape[2:] == (1, 1)
    torch.testing.assert_close(tap.grid[:, :, 0, 0], tap.vector)
    images = {"rgb": normal(5, 2, 3, 16, 16)}
    backbone = ENTRY.load(ENTRY, None, 0, RGB)
    whole = backbone(images, [0])
    monkeypatch.setattr("bench.networks.rcf.CHUNK", 1)
    assert_same_taps(backbone(images, [0]), whole)
    with pytest.raises(Incompatible, match="multiples of 8"):
        backbone({"rgb": normal(1, 1, 3, 12, 16)}, [0])
    with pytest.raises(Incompatible, match="loaded for 3"):
        backbone({"rgb": normal(1, 1, 2, 16, 16)}, [0])


def test_the_order_of_dates_matters() -> None:
    backbone = ENTRY.load(ENTRY, None, 0, RGB)
    pixels = normal(2, 4, 3, 1, 1)
    forward, backward = (backbone({"rgb": values}, [0])[0].vector for values in (pixels, pixels.flip(1)))
    assert differ(forward, backward)


def test_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with pytest.raises(MissingWeights, match=r"rcf: its network has no parameters.*empty\.safetensors"):
        ENTRY.load(ENTRY, tmp_path / "empty.safetensors", 0, RGB)
