"""GFM: its publisher's file loads, and features are those of its publisher's code and of timm's Swin."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from torch import Tensor

from bench.core import ModelEntry
from bench.core.errors import MissingWeights
from bench.models import gfm
from tests.builders.networks import assert_recorded
from tests.builders.published_files import (
    Shapes,
    block,
    filled,
    images_of,
    linear,
    norm,
    saved,
)

ENTRY = dataclasses.replace(gfm.ENTRIES[0], width=256, depth=8)

# Eight values spread over the array, its mean and its standard deviation. Recorded from mmendiet/GFM@4dd248e (the
# encoder of models.teacher.SimMIM), with the weights of the file that `planted` makes.
PUBLISHED: dict[str, tuple[list[float], tuple[float, float]]] = {
    "block_1": (
        [-1.636728, -1.969084, 0.336801, -0.157636, 4.164086, 3.363034, 0.774403, 1.584446],
        (0.252233, 1.928914),
    ),
    "norm": (
        [-1.079269, 1.82931, -0.297294, 1.434291, 0.117434, -1.48416, 0.105137, 0.374661],
        (0.002345, 0.996894),
    ),
}


def swin_layout(prefix: str, width: int, window: int, depths: tuple[int, ...]) -> Shapes:
    """Return the shapes of Microsoft's Swin without buffers; it merges patches at the end of a stage."""
    shapes: Shapes = {
        f"{prefix}.patch_embed.proj.weight": (width, 3, 4, 4),
        f"{prefix}.patch_embed.proj.bias": (width,),
    }
    shapes |= norm(f"{prefix}.patch_embed.norm", width) | norm(f"{prefix}.norm", 8 * width)
    for stage, count in enumerate(depths):
        wide = width * 2**stage
        for index in range(count):
            path = f"{prefix}.layers.{stage}.blocks.{index}"
            shapes |= block(path, wide)
            shapes[f"{path}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, wide // 32)
        if stage < 3:
            shapes |= norm(f"{prefix}.layers.{stage}.downsample.norm", 4 * wide)
            shapes[f"{prefix}.layers.{stage}.downsample.reduction.weight"] = (2 * wide, 4 * wide)
    return shapes


def layout(entry: ModelEntry) -> Shapes:
    """Return every key and shape of the publisher's file, teacher and decoder included."""
    width = entry.width // 8
    return {
        **swin_layout("encoder", width, 6, (2, 2, entry.depth - 6, 2)),
        **swin_layout("teacher", width, 7, (2, 2, 2, 2)),
        "encoder.mask_token": (1, 1, width),
        "decoder.0.weight": (3072, 8 * width, 1, 1),
        "decoder.0.bias": (3072,),
        **linear("projector", 8 * width, 8 * width),
    }


def planted() -> tuple[ModelEntry, dict[str, Tensor]]:
    """Return a small entry and a state in the layout of its publisher."""
    state = filled(layout(ENTRY))
    for path in ("encoder.layers.0.blocks.1", "encoder.layers.1.blocks.0"):
        state[f"{path}.attn.relative_position_index"] = torch.zeros(36, 36, dtype=torch.int64)
    state["encoder.layers.0.blocks.1.attn_mask"] = torch.zeros(64, 36, 36)
    return ENTRY, state


def loaded(folder: Path) -> Any:
    entry, state = planted()
    return entry.load(entry, saved(folder, state, yacs=True), 0, entry.bands)


def test_features_agree_with_the_publishers(tmp_path: Path) -> None:
    block_1, final = loaded(tmp_path)(images_of(ENTRY), [1, 9])
    assert_recorded(block_1.vector, *PUBLISHED["block_1"])
    assert_recorded(final.grid, *PUBLISHED["norm"])


def test_features_are_those_of_timms_swin_with_timms_conversion(tmp_path: Path) -> None:
    (entry, state), backbone = planted(), loaded(tmp_path)
    reference = SwinTransformer(
        img_size=192, window_size=6, embed_dim=32, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), num_classes=0
    ).eval()
    student = {k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")}
    student.pop("mask_token")
    reference.load_state_dict(checkpoint_filter_fn(student, reference))
    pixels = images_of(entry, 1)
    first, stage_end, last = backbone(pixels, [0, 4, 9])
    maps = reference.forward_intermediates(pixels["rgb"][:, 0], indices=[1, 3], norm=True)
    torch.testing.assert_close(first.grid, reference.patch_embed(pixels["rgb"][:, 0]).permute(0, 3, 1, 2))
    torch.testing.assert_close(stage_end.grid, reference.forward_intermediates(pixels["rgb"][:, 0])[1][1])
    torch.testing.assert_close(last.grid, maps[0].permute(0, 3, 1, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(last.vector, reference(pixels["rgb"][:, 0]), rtol=0, atol=1e-5)
    assert [layer.stride for layer in backbone.layers] == [4, 4, 4, 8, 8, 16, 16, 32, 32, 32]


def test_a_wrong_or_partial_file_is_refused_with_its_keys(tmp_path: Path) -> None:
    entry, state = planted()
    key = "encoder.norm.weight"
    partial = {k: v for k, v in state.items() if k != key}
    with pytest.raises(MissingWeights, match=rf"{entry.name}: 1 missing from the file \(norm\.weight\)"):
        entry.load(entry, saved(tmp_path, partial, yacs=True), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"2 unknown to the network \(.*head\.weight, .*head\.bias\)"):
        head = {"encoder.head.weight": torch.zeros(62, 8), "encoder.head.bias": torch.zeros(62)}
        entry.load(entry, saved(tmp_path, state | head, yacs=True), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"of another shape or type \(norm\.weight: .*\(7,\) in the file"):
        entry.load(entry, saved(tmp_path, state | {key: torch.zeros(7)}, yacs=True), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"a pickle of pathlib\.Path, which is never run"):
        entry.load(entry, saved(tmp_path, state, yacs=True, extra=Path), 0, entry.bands)
