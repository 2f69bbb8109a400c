"""DOFA as a backbone gives what torchgeo gives."""

from __future__ import annotations

import pytest
import torch
from torchgeo.models import DOFA

from bench.networks.backbones import (
    seeded,
)
from bench.networks.dofa import DOFABackbone
from tests.builders.networks import S1, S2, assert_close, differ, normal

pytestmark = pytest.mark.usefixtures("no_gradients")


def test_taps_are_torchgeos() -> None:
    network = seeded(lambda: DOFA(img_size=32, patch_size=8, embed_dim=64, depth=3, num_heads=4, num_classes=0), 0)
    network.pos_embed.normal_()
    bands, wavelengths = (*S2[:3], *S1), [0.443, 0.49, 0.56, 3.75, 3.75]
    images = {"s1": normal(2, 1, 2, 32, 32, seed=1), "s2": normal(2, 1, 3, 32, 32, seed=2)}
    backbone = DOFABackbone(network, bands, wavelengths=wavelengths)
    taps = backbone(images, range(len(backbone.layers)))
    assert [layer.name for layer in backbone.layers] == ["embedding", "block_1", "block_2", "block_3"]
    whole = torch.cat([images["s2"], images["s1"]], 2)[:, 0]
    assert_close(network.fc_norm(taps[-1].vector), network.forward_features(whole, wavelengths))
    moved = DOFABackbone(network, bands, wavelengths=[*wavelengths[:3], 5.405, 5.405])(images, [0])[0]
    assert differ(moved.vector, taps[0].vector), "the wavelengths must reach the patch embedding"
