"""DOFA: the keys of torchgeo's file, its features, and the wavelength of each band."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch.nn import functional
from torchgeo.models import dofa_base_patch16_224

from bench.core import Band
from bench.core.errors import Incompatible
from bench.models import dofa
from tests.builders.entries import RGB
from tests.builders.networks import normal

BASE = dofa.ENTRIES[0]


def test_the_network_has_exactly_the_keys_of_the_file() -> None:
    with torch.device("meta"):
        backbone: Any = BASE.load(BASE, None, 0, RGB)
        published = dofa_base_patch16_224(num_classes=0)
    # torchgeo asserts that its file holds every key of its class except these.
    expected = {k: v.shape for k, v in published.state_dict().items() if not k.startswith(("fc_norm.", "head."))}
    assert {key: value.shape for key, value in backbone.network.state_dict().items()} == expected


@pytest.mark.heavy
def test_features_are_torchgeos() -> None:
    published = dofa_base_patch16_224(num_classes=0).eval()
    published.pos_embed.normal_(std=0.02)
    state = {key: value for key, value in published.state_dict().items() if not key.startswith("fc_norm.")}
    with TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "dofa.pth")
        backbone = BASE.load(BASE, Path(folder) / "dofa.pth", 0, RGB)
        pixels = normal(1, 3, 224, 224)
        tap = backbone({"rgb": pixels[:, None]}, [12])[0]
    expected = published.forward_features(pixels, [0.665, 0.56, 0.49])
    torch.testing.assert_close(functional.layer_norm(tap.vector, (768,), eps=1e-6), expected, rtol=1e-4, atol=1e-5)


def test_a_band_has_the_authors_wavelength_or_its_own_or_is_refused() -> None:
    landsat = Band(name="landsat.b5", unit="reflectance", wavelength_um=0.865)
    s2 = Band(name="s2.b04", unit="dn", wavelength_um=0.6)
    s1 = Band(name="s1.vv", unit="db")
    # Bands are grouped by sensor, as images are stacked. The authors' value precedes that of the suite.
    narrow_infrared = Band(name="s2.b8a", unit="dn", wavelength_um=0.865)
    assert dofa.wavelengths_of((s2, landsat, s1, narrow_infrared)) == [0.665, 0.865, 0.865, 3.75]
    for band in (Band(name="s2.ndvi", unit="index"), Band(name="landsat.b9", unit="dn", wavelength_um=0.0)):
        with pytest.raises(Incompatible, match=f"{band.name} declares none"):
            dofa.wavelengths_of((s2, band))
