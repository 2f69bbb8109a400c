"""CROMA as a backbone gives what torchgeo gives, for each set of sensors and any grid."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torchgeo.models import CROMA
from torchgeo.models.croma import get_2dalibi

from bench.core import Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import (
    seeded,
)
from bench.networks.croma import CROMABackbone, alibi
from tests.builders.networks import S1, S2, Counted, assert_same_taps, normal

pytestmark = pytest.mark.usefixtures("no_gradients")


def tokens(tap: Tap) -> Tensor:
    """Return the patch tokens (B, h w, D) of a tap."""
    return tap.grid.flatten(2).transpose(1, 2)


def croma(modalities: Sequence[str] = ("sar", "optical"), size: int = 32) -> CROMA:
    """Return a small network of torchgeo at random init."""
    return seeded(
        lambda: CROMA(modalities=list(modalities), encoder_dim=64, encoder_depth=4, num_heads=16, image_size=size), 0
    )


def test_taps_are_torchgeos_for_each_set_of_sensors() -> None:
    s1, s2 = normal(2, 1, 2, 32, 32, seed=1), normal(2, 1, 12, 32, 32, seed=2)
    network = croma()
    expected = network(s1[:, 0], s2[:, 0])
    cases = (("optical", S2, 4), ("sar", S1, 2), ("joint", (*S2, *S1), 6))
    for name, bands, blocks in cases:
        backbone = CROMABackbone(network, bands)
        tap = backbone({"s1": s1, "s2": s2}, [len(backbone.layers) - 1])[0]
        assert [layer.name for layer in backbone.layers] == [
            "embedding",
            *(f"block_{index}" for index in range(1, blocks + 1)),
            "norm",
        ]
        torch.testing.assert_close(tokens(tap), expected[f"{name}_encodings"])
        torch.testing.assert_close(tap.vector, expected[f"{name}_GAP"])


def test_the_first_layers_of_both_sensors_are_those_of_the_optical_encoder() -> None:
    images = {"s1": normal(1, 1, 2, 32, 32, seed=1), "s2": normal(1, 1, 12, 32, 32, seed=2)}
    both, optical = CROMABackbone(croma(), (*S2, *S1)), CROMABackbone(croma(), S2)
    assert_same_taps(both(images, range(5)), optical(images, range(5)))


@pytest.mark.parametrize("side", [1, 2, 5])
def test_alibi_is_torchgeos(side: int) -> None:
    torch.testing.assert_close(alibi((side, side), 16), get_2dalibi(16, side * side), rtol=1e-6, atol=1e-6)


def test_alibi_of_an_oblong_grid_by_hand() -> None:
    bias = alibi((2, 3), 4)[0]
    assert bias.shape == (4, 6, 6)
    # From (0, 0) to (1, 2) the distance is sqrt 5; the slopes of four heads are 1/4, 1/16, 1/64 and 1/256.
    torch.testing.assert_close(bias[:, 0, 5], -(5**0.5) * torch.tensor([1 / 4, 1 / 16, 1 / 64, 1 / 256]))


def test_positions_exist_for_other_grids() -> None:
    pixels = normal(1, 12, 16, 16)
    network, of_this_size = croma(["optical"], size=32), croma(["optical"], size=16)
    weights = {key: value for key, value in network.state_dict().items() if key != "attn_bias"}
    of_this_size.load_state_dict(weights, strict=False)
    backbone = CROMABackbone(network, S2)
    expected = of_this_size(x_optical=pixels)["optical_encodings"]
    torch.testing.assert_close(tokens(backbone({"s2": pixels[:, None]}, [5])[0]), expected)
    with pytest.raises(Incompatible, match=r"\(20, 16\)"):
        backbone({"s2": normal(1, 1, 12, 20, 16)}, [0])


def test_the_radar_encoder_runs_only_for_the_joint_encoder() -> None:
    network = croma()
    counted = Counted(network.s1_encoder)
    backbone = CROMABackbone(network, (*S2, *S1))
    backbone.network.s1_encoder = counted
    images = {"s1": normal(1, 1, 2, 32, 32), "s2": normal(1, 1, 12, 32, 32)}
    backbone(images, range(5))
    assert counted.calls == 0
    backbone(images, range(8))
    assert counted.calls == 1
