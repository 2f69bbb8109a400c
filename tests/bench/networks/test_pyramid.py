"""Networks with a shrinking grid as backbones give what timm and torchvision give."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from timm.models.swin_transformer import SwinTransformer
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

from bench.networks.backbones import (
    seeded,
)
from bench.networks.pyramid import PyramidBackbone, timm_swin, torchvision_swin
from tests.builders.networks import (
    RGB,
    assert_close,
    normal,
    outputs_of,
)

pytestmark = pytest.mark.usefixtures("no_gradients")


def resnet() -> PyramidBackbone:
    """Return timm's ResNet-18 as a backbone, at random init."""
    return PyramidBackbone(
        seeded(lambda: timm.create_model("resnet18", num_classes=0), 0),
        RGB,
        steps=(("conv1", "bn1", "act1", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
        channels=(64, 64, 128, 256, 512),
        strides=(4, 4, 8, 16, 32),
    )


def test_taps_of_a_resnet_are_timms() -> None:
    backbone = resnet()
    pixels = normal(2, 3, 64, 64)
    taps = backbone({"rgb": pixels[:, None]}, range(5))
    network = backbone.network
    _, inner = network.forward_intermediates(pixels)  # type: ignore[operator]
    for tap, grid in zip(taps[1:], inner[1:], strict=True):
        assert_close(tap.grid, grid)
    assert_close(taps[0].grid, network.maxpool(inner[0]))  # type: ignore[operator]
    torch.testing.assert_close(taps[-1].vector, network(pixels))
    for tap, layer in zip(taps, backbone.layers, strict=True):
        assert tap.grid.shape == (2, layer.channels, 64 // layer.stride, 64 // layer.stride)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_taps_of_a_swin_are_those_of_its_library(library: str) -> None:
    """The outputs of blocks are recorded during the network's own forward pass."""
    if library == "timm":
        network = seeded(lambda: SwinTransformer(32, embed_dim=16, depths=(1, 2), num_heads=(1, 2), window_size=4), 0)
        blocks = [block for stage in network.layers for block in stage.blocks]
        backbone = timm_swin(network, RGB)
    else:
        network = seeded(
            lambda: torchvision.models.SwinTransformer(
                [4, 4], 16, [1, 2], [1, 2], [4, 4], block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2
            ),
            0,
        )
        blocks = [*network.features[1], *network.features[3]]
        backbone = torchvision_swin(network, RGB)
    pixels = normal(2, 3, 32, 32)
    run = network.forward_features if library == "timm" else lambda x: network.norm(network.features(x))
    final, maps = outputs_of(blocks, lambda: run(pixels))
    assert [(layer.name, layer.channels, layer.stride) for layer in backbone.layers] == [
        ("embedding", 16, 4), ("block_1", 16, 4), ("block_2", 32, 8), ("block_3", 32, 8), ("norm", 32, 8),
    ]  # fmt: skip
    for tap, features in zip(backbone({"rgb": pixels[:, None]}, range(1, 5)), [*maps, final], strict=True):
        assert_close(tap.grid, features.permute(0, 3, 1, 2))
    for number, block in enumerate(blocks, 1):
        assert backbone.get_submodule(backbone.modules_map[f"block_{number}"]["out"]) is block
