"""CROMA: the keys of torchgeo's file for each set of sensors, and its features."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import nn
from torchgeo.models import croma_base

from bench.core.errors import MissingWeights
from bench.models import croma
from tests.builders.networks import normal

BASE = croma.ENTRIES[0]


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in module.state_dict().items()}


def test_the_network_has_exactly_the_keys_of_its_sensors_in_the_file() -> None:
    with torch.device("meta"):
        both: Any = BASE.load(BASE, None, 0, croma.BANDS)
        radar: Any = BASE.load(BASE, None, 0, croma.BANDS[-2:])
        published = croma_base(image_size=8)
    # torchgeo loads s1_encoder, s2_encoder, s1_GAP_FFN, s2_GAP_FFN and joint_encoder from its file.
    file = {key: shape for key, shape in shapes(published).items() if key != "attn_bias"}
    assert shapes(both.network) == {key: shape for key, shape in file.items() if "GAP_FFN" not in key}
    assert shapes(radar.network) == {key: shape for key, shape in file.items() if key.startswith("s1_")}


@pytest.mark.heavy
@pytest.mark.parametrize("sensors", [("s1",), ("s2",), ("s2", "s1")])
def test_features_are_torchgeos(sensors: tuple[str, ...]) -> None:
    """The file has one dictionary per part, as CROMA_base.pt; parts for an absent sensor are dropped."""
    published = croma_base(image_size=16).eval()
    file = {name: part.state_dict() for name, part in published.named_children()}
    bands = tuple(band for band in BASE.bands if band.sensor in sensors)
    images = {"s1": normal(2, 1, 2, 16, 16), "s2": normal(2, 1, 12, 16, 16, seed=1)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "CROMA_base.pt"
        torch.save(file, path)
        backbone: Any = BASE.load(BASE, path, 0, bands)
        tap = backbone(images, [len(backbone.layers) - 1])[0]
        file["joint_encoder" if len(sensors) == 2 else f"{sensors[0]}_encoder"]["extra.weight"] = torch.zeros(1)
        torch.save(file, path)
        with pytest.raises(MissingWeights, match=r"1 unknown to the network \(.*extra\.weight\)"):
            BASE.load(BASE, path, 0, bands)
    expected = published(images["s1"][:, 0], images["s2"][:, 0])
    output = "joint_GAP" if len(sensors) == 2 else {"s1": "sar_GAP", "s2": "optical_GAP"}[sensors[0]]
    torch.testing.assert_close(tap.vector, expected[output], rtol=1e-4, atol=1e-5)
