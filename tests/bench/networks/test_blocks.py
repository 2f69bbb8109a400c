"""Maps of sub-modules name the modules of consecutive blocks."""

from __future__ import annotations

from torch import nn

from bench.networks.blocks import SPLIT_BLOCK, SUBMODULES, TIMM_BLOCK, TORCHVISION_SWIN_BLOCK, map_modules
from bench.networks.vit import ViTBackbone
from tests.builders.networks import RGB, tiny_vit


def test_names_are_canonical_and_unique() -> None:
    assert len(set(SUBMODULES)) == len(SUBMODULES)
    for paths in (TIMM_BLOCK, SPLIT_BLOCK, TORCHVISION_SWIN_BLOCK):
        assert set(paths) <= set(SUBMODULES)
        assert len(set(paths.values())) == len(paths)


def test_blocks_are_numbered_from_the_first_and_the_empty_path_is_the_block() -> None:
    assert map_modules(["a.0", "a.1"], {"fc1": "mlp.fc1", "out": ""}, first=3) == {
        "block_3": {"fc1": "a.0.mlp.fc1", "out": "a.0"},
        "block_4": {"fc1": "a.1.mlp.fc1", "out": "a.1"},
    }
    assert map_modules([], TIMM_BLOCK) == {}


def test_modules_of_a_transformer_are_those_named() -> None:
    backbone = ViTBackbone(tiny_vit(), RGB, pool="cls")
    assert list(backbone.modules_map) == ["block_1", "block_2", "block_3"]
    block = backbone.network.blocks[1]  # type: ignore[index, union-attr]
    expected = {
        **{"norm1": block.norm1, "qkv": block.attn.qkv, "proj": block.attn.proj, "norm2": block.norm2},
        **{"fc1": block.mlp.fc1, "act": block.mlp.act, "fc2": block.mlp.fc2, "out": block},
    }
    modules = {name: backbone.get_submodule(path) for name, path in backbone.modules_map["block_2"].items()}
    assert modules == expected
    assert isinstance(modules["act"], nn.GELU)
