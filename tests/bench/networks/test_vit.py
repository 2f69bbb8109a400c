"""Vision transformers as backbones give what timm gives, and do no more work than requested."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from bench.core import Tap
from bench.core.errors import Incompatible
from bench.networks.vit import ViTBackbone
from tests.builders.networks import RGB, Counted, assert_close, assert_same_taps, differ, normal, tiny_vit

pytestmark = pytest.mark.usefixtures("no_gradients")


def tokens(tap: Tap) -> Tensor:
    """Return the patch tokens (B, h w, D) of a tap."""
    return tap.grid.flatten(2).transpose(1, 2)


def test_taps_are_timms() -> None:
    network = tiny_vit()
    backbone = ViTBackbone(network, RGB, pool="cls")
    pixels = normal(2, 3, 32, 32)
    taps = backbone({"rgb": pixels[:, None]}, range(5))
    final, inner = network.forward_intermediates(pixels, return_prefix_tokens=True)
    for tap, (grid, prefix) in zip(taps[1:4], inner, strict=True):
        assert_close(tap.grid, grid)
        assert_close(tap.cls, prefix[:, 0])
        assert tap.vector is tap.cls
    assert_close(torch.cat([taps[4].cls[:, None], tokens(taps[4])], 1), final)
    embedded = network.patch_embed(pixels) + network.pos_embed[:, 1:]
    assert_close(tokens(taps[0]), embedded)
    assert taps[0].cls is None
    torch.testing.assert_close(taps[0].vector, embedded.mean(1))


def test_the_mean_pools_a_network_without_a_class_token() -> None:
    network = tiny_vit(class_token=False, global_pool="")
    tap = ViTBackbone(network, RGB, pool="mean")({"rgb": normal(2, 1, 3, 32, 32)}, [4])[0]
    assert tap.cls is None
    torch.testing.assert_close(tap.vector, tap.grid.mean((-2, -1)))


def test_positions_are_interpolated_only_where_the_network_declares_it() -> None:
    images = {"rgb": normal(1, 1, 3, 48, 16)}
    with pytest.raises(Incompatible, match=r"\(48, 16\).*\(32, 32\)"):
        ViTBackbone(tiny_vit(), RGB, pool="cls")(images, [0])
    network = tiny_vit(dynamic_img_size=True)
    tap = ViTBackbone(network, RGB, pool="cls")(images, [4])[0]
    assert tap.grid.shape == (1, 48, 6, 2)
    assert_close(tap.cls, network.forward_features(images["rgb"][:, 0])[:, 0])


def test_blocks_run_once_and_only_as_deep_as_requested() -> None:
    backbone = ViTBackbone(tiny_vit(), RGB, pool="cls")
    blocks = [Counted(block) for block in backbone.network.blocks]  # type: ignore[union-attr, arg-type]
    backbone.network.blocks = nn.ModuleList(blocks)
    images = {"rgb": normal(2, 1, 3, 32, 32)}
    backbone(images, [2, 0, 1, 2])
    assert [block.calls for block in blocks] == [1, 1, 0]
    backbone(images, [])
    assert [block.calls for block in blocks] == [1, 1, 0]


def test_layers_may_be_requested_in_any_order_and_repeatedly() -> None:
    backbone = ViTBackbone(tiny_vit(), RGB, pool="cls")
    images = {"rgb": normal(2, 1, 3, 32, 32)}
    every = backbone(images, range(5))
    assert_same_taps(backbone(images, [3, 0, 3]), [every[3], every[0], every[3]])
    for wrong in ([5], [-1]):
        with pytest.raises(IndexError, match=r"no layer .*embedding\.\.norm"):
            backbone(images, wrong)


def test_a_copy_is_independent() -> None:
    backbone = ViTBackbone(tiny_vit(), RGB, pool="cls")
    images = {"rgb": normal(1, 1, 3, 32, 32)}
    before = backbone(images, [4])[0].vector.clone()
    copied = copy.deepcopy(backbone)
    copied.network.blocks[0].mlp.fc1.weight.zero_()  # type: ignore[index, union-attr]
    assert_close(backbone(images, [4])[0].vector, before)
    assert differ(copied(images, [4])[0].vector, before)


def test_sides_that_are_no_multiple_of_the_patch_are_refused() -> None:
    backbone = ViTBackbone(tiny_vit(dynamic_img_size=True), RGB, pool="cls")
    with pytest.raises(Incompatible, match=r"\(32, 28\) pixels; the network takes multiples of its patch, 8"):
        backbone({"rgb": normal(1, 1, 3, 32, 28)}, [0])
