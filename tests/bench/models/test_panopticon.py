"""Panopticon against torchgeo, its positions against DINOv2's, and its channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchgeo.models
from torch import nn
from torchgeo.models import Panopticon

from bench.core import Band
from bench.core.errors import Incompatible
from bench.models import panopticon
from bench.networks.dinov2 import resized_positions
from tests.builders.networks import (
    assert_same_taps,
    assert_taps_are,
    normal,
    outputs_of,
    with_noise,
)


def test_features_are_torchgeos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def tiny(img_size: int) -> Any:
        assert img_size == 518
        whole = Panopticon(attn_dim=48, img_size=56)
        whole.model.blocks = whole.model.blocks[:2]
        return whole

    monkeypatch.setattr(torchgeo.models, "panopticon_vitb14", tiny)
    published, entry = with_noise(tiny(518).model), panopticon.ENTRIES[0]
    torch.save({**published.state_dict(), "mask_token": torch.zeros(1, 768)}, tmp_path / "teacher.pth")
    bands = (
        Band(name="s2.b04", unit="dn"),
        Band(name="s1.vv", unit="db"),
        Band(name="naip.nir", unit="uint8", wavelength_um=0.8409),
        Band(name="s1.vh", unit="db"),
    )
    backbone: Any = entry.load(entry, tmp_path / "teacher.pth", 0, bands)
    images = {sensor: normal(2, 1, count, 56, 56, seed=count) for sensor, count in (("s2", 1), ("s1", 2), ("naip", 1))}
    given = {
        "imgs": torch.cat([images[sensor][:, 0] for sensor in ("s2", "s1", "naip")], 1),
        "chn_ids": torch.tensor([[664.6, -1.0, -2.0, 840.9]] * 2),
    }
    final, states = outputs_of(published.blocks, lambda: published.forward_features(given))
    taps = [backbone(images, range(1, 4)) for _ in range(2)]
    assert_taps_are(taps[0], [*states, final])
    assert_same_taps(taps[1], taps[0])
    assert backbone.channels.tolist() == [[664.0, -1.0, -2.0, 840.0]], "the network must not round them in place"
    assert taps[0][2].vector is taps[0][2].cls
    larger = {sensor: normal(1, 1, values.shape[2], 70, 42) for sensor, values in images.items()}
    assert backbone(larger, [2])[0].grid.shape == (1, 768, 5, 3)
    with pytest.raises(Incompatible, match="60"):
        backbone({sensor: normal(1, 1, values.shape[2], 60, 56) for sensor, values in images.items()}, [2])


def test_positions_are_interpolated_as_in_dinov2() -> None:
    with torch.device("meta"):
        backbone: Any = panopticon.ENTRIES[0].load(panopticon.ENTRIES[0], None, 0, panopticon.BANDS[:1])
    learned = normal(1, 1 + 37 * 37, 4)
    backbone.network.pos_embed = nn.Parameter(learned)
    backbone.network.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
    # With empty patches the tokens are the positions.
    backbone.network.patch_embed.forward = lambda given: torch.zeros(len(given["imgs"]), 16 * 12, 4)
    tokens = backbone.embed(torch.zeros(1, 1, 16 * 14, 12 * 14))
    torch.testing.assert_close(tokens, resized_positions(learned, (37, 37), (16, 12)))


def test_a_band_has_the_authors_number_or_its_wavelength_or_is_refused() -> None:
    landsat = Band(name="landsat.thermal", unit="kelvin", wavelength_um=10.9)
    s2, s1 = Band(name="s2.b8a", unit="dn"), Band(name="s1.vh", unit="db")
    # Bands are grouped by sensor, as images are stacked. The authors' number precedes the suite's wavelength.
    assert panopticon.channels_of((s2, landsat, s1, Band(name="s2.b02", unit="dn", wavelength_um=0.6))) == [
        864,
        492,
        10900,
        -2,
    ]
    for band in (Band(name="s2.ndvi", unit="index"), Band(name="landsat.qa", unit="class", wavelength_um=0.0)):
        with pytest.raises(Incompatible, match=f"{band.name} declares none"):
            panopticon.channels_of((s2, band))
