"""SatMAE, SatMAE++, SpectralGPT and GFM: their publishers' files load, and what comes out is theirs.

Files are planted in the publishers' layout (every key and shape, decoders included) at a small size, filled by a
formula. `PUBLISHED` holds what the publishers' own classes give with those very weights; timm's Vision Transformer and
Swin are references that run here.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from bench.core import ModelEntry
from bench.core.errors import Incompatible, MissingWeights
from bench.models import gfm, satmae, spectralgpt
from bench.networks.satmae import FIRST_YEAR, sincos_1d, sincos_2d, time_codes

ENTRIES = {entry.name: entry for entry in (*satmae.ENTRIES, *spectralgpt.ENTRIES, *gfm.ENTRIES)}
SMALL = {
    "satmae_rgb_large": {"width": 128, "depth": 2, "image_size": 64},
    "satmaepp_rgb_large": {"width": 128, "depth": 2, "image_size": 64},
    "satmae_s2_base": {"width": 384, "depth": 2, "image_size": 32},
    "satmaepp_s2_large": {"width": 384, "depth": 2, "image_size": 32},
    "satmae_temporal_large": {"width": 512, "depth": 2, "image_size": 32},
    "spectralgpt_base": {"width": 192, "depth": 2, "image_size": 32},
    "gfm_base": {"width": 256, "depth": 8},
}
DECODER = 32
Shapes = dict[str, tuple[int, ...]]

# Of the norm's grid or vector: eight values spread over the array, its mean and its standard deviation.
# sustainlab-group/SatMAE@e31c11f (models_mae*.MaskedAutoencoder*.forward_encoder without a mask), techmn/satmae_pp@
# ee173bf (the same), danfenghong/IEEE_TPAMI_SpectralGPT@56d2c4d (models_mae_spectral), mmendiet/GFM@4dd248e
# (models.teacher.SimMIM's encoder).
PUBLISHED: dict[str, dict[str, tuple[list[float], tuple[float, float]]]] = {
    "satmae_rgb_large": {
        "block_1": (
            [3.715133, -0.125422, 0.953335, 2.219213, 0.771798, -1.334363, -1.199506, 0.281749],
            (-0.012362, 1.578679),
        ),
        "norm": (
            [2.609585, 0.545371, 0.48702, 0.755098, -0.915984, -1.240841, 0.988086, 0.442723],
            (0.007764, 1.008544),
        ),
    },
    "satmae_s2_base": {
        "block_1": (
            [2.685754, -0.970592, 0.644658, 0.293001, 0.387145, -1.094878, -0.851412, -0.213163],
            (0.015336, 1.182219),
        ),
        "norm": (
            [0.894984, -0.15985, 0.324562, 1.483743, 0.124524, -1.737885, -0.485963, 0.022561],
            (0.001626, 0.936679),
        ),
    },
    "satmae_temporal_large": {
        "norm": (
            [1.927311, -1.458509, 1.092877, 0.647693, 0.735514, 0.048924, -0.842959, 0.619255],
            (0.004959, 1.009123),
        ),
    },
    "spectralgpt_base": {
        "block_1": (
            [0.287101, 0.283633, 1.237115, -1.331114, 0.507268, 1.516526, 1.00641, 1.593004],
            (0.213011, 1.404379),
        ),
        "norm": (
            [-1.011147, 0.142865, 0.717286, -1.07451, 1.10253, -0.765497, -0.307414, -0.116358],
            (0.005386, 0.973437),
        ),
    },
    "gfm_base": {
        "block_1": (
            [-1.636728, -1.969084, 0.336801, -0.157636, 4.164086, 3.363034, 0.774403, 1.584446],
            (0.252233, 1.928914),
        ),
        "norm": (
            [-1.079269, 1.82931, -0.297294, 1.434291, 0.117434, -1.48416, 0.105137, 0.374661],
            (0.002345, 0.996894),
        ),
    },
}
# SatMAE++ has SatMAE's encoders: its own classes gave these very numbers.
PUBLISHED |= {
    "satmaepp_rgb_large": PUBLISHED["satmae_rgb_large"],
    "satmaepp_s2_large": PUBLISHED["satmae_s2_base"],
}


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def small(name: str) -> ModelEntry:
    return dataclasses.replace(ENTRIES[name], **SMALL[name])


def noise(*shape: int, phase: float = 0.0) -> Tensor:
    """Return values in -1..1 without pattern, the same on any machine and with any release of torch."""
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    return (2 * torch.frac((steps + phase).sin() * 43758.5453).abs() - 1).reshape(shape).float()


def norm(prefix: str, width: int) -> Shapes:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


def linear(prefix: str, outputs: int, inputs: int) -> Shapes:
    return {f"{prefix}.weight": (outputs, inputs), f"{prefix}.bias": (outputs,)}


def block(prefix: str, width: int, *, joint: bool = True) -> Shapes:
    names = (("qkv", 3),) if joint else (("q", 1), ("k", 1), ("v", 1))
    attention = {k: s for name, n in names for k, s in linear(f"{prefix}.attn.{name}", n * width, width).items()}
    return {
        **norm(f"{prefix}.norm1", width),
        **attention,
        **linear(f"{prefix}.attn.proj", width, width),
        **norm(f"{prefix}.norm2", width),
        **linear(f"{prefix}.mlp.fc1", 4 * width, width),
        **linear(f"{prefix}.mlp.fc2", width, 4 * width),
    }


def upsampling(prefix: str, width: int, bands: int) -> Shapes:
    """Of SatMAE++'s UpsampleBlock."""
    convolutions = {"res_block.conv1": width, "res_block.conv2": width, "proj_out": bands}
    return {
        f"{prefix}.up_conv.weight": (width, width, 4, 4),
        f"{prefix}.up_conv.bias": (width,),
        **norm(f"{prefix}.up_norm", width),
        **norm(f"{prefix}.res_norm", width),
        **{f"{prefix}.{name}.weight": (out, width, 3, 3) for name, out in convolutions.items()},
        **{f"{prefix}.{name}.bias": (out,) for name, out in convolutions.items()},
    }


def satmae_layout(entry: ModelEntry) -> Shapes:
    width, patch, places = entry.width, entry.patch, (entry.image_size // entry.patch) ** 2 + 1
    sentinel = len(entry.bands) == 10
    code, decoder = 256 if sentinel else 384 if entry.temporal else 0, 8 * DECODER  # code: of channel group or date
    groups = {f".{i}": len(group) for i, group in enumerate(((0, 1, 2, 6), (3, 4, 5, 7), (8, 9)))}
    shapes: Shapes = {
        "cls_token": (1, 1, width),
        "mask_token": (1, 1, decoder),
        "pos_embed": (1, places, width - code),
        "decoder_pos_embed": (1, places, decoder - code // 2),
        **{k: s for i in range(entry.depth) for k, s in block(f"blocks.{i}", width).items()},
        **block("decoder_blocks.0", decoder),
        **norm("norm", width),
        **norm("decoder_norm", decoder),
        **linear("decoder_embed", decoder, width),
    }
    for part, bands in (groups if sentinel else {"": 3}).items():
        shapes |= {f"patch_embed{part}.proj.weight": (width, bands, patch, patch)}
        shapes |= {f"patch_embed{part}.proj.bias": (width,)}
        shapes |= linear(f"decoder_pred{part}", bands * patch**2, decoder)
    if sentinel:
        shapes |= {"channel_embed": (1, 3, 256), "decoder_channel_embed": (1, 4, 128)}
    if entry.name.startswith("satmaepp"):
        bands, blocks = len(entry.bands), ("up_block1", "up_block2") if sentinel else ("up_block",)
        shapes |= {"proj_up_conv.weight": (4 * bands, bands, 1, 1), "proj_up_conv.bias": (4 * bands,)}
        shapes |= norm("proj_up_norm", 4 * bands)
        shapes |= {k: s for name in blocks for k, s in upsampling(name, 4 * bands, bands).items()}
    return shapes


def spectralgpt_layout(entry: ModelEntry) -> Shapes:
    width, patch, places = entry.width, entry.patch, (entry.image_size // entry.patch) ** 2
    return {
        "pos_embed_spatial": (1, places, width),
        "pos_embed_temporal": (1, 4, width),
        "decoder_pos_embed_spatial": (1, places, DECODER),
        "decoder_pos_embed_temporal": (1, 4, DECODER),
        "mask_token": (1, 1, DECODER),
        "patch_embed.proj.weight": (width, 1, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        **{k: s for i in range(entry.depth) for k, s in block(f"blocks.{i}", width, joint=False).items()},
        **block("decoder_blocks.0", DECODER, joint=False),
        **norm("norm", width),
        **norm("decoder_norm", DECODER),
        **linear("decoder_embed", DECODER, width),
        **linear("decoder_pred", 3 * patch**2, DECODER),
    }


def swin_layout(prefix: str, width: int, window: int, depths: tuple[int, ...]) -> Shapes:
    """Of Microsoft's Swin but for its integer and mask buffers: patches are merged at the end of a stage."""
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


def gfm_layout(entry: ModelEntry) -> Shapes:
    width = entry.width // 8
    return {
        **swin_layout("encoder", width, 6, (2, 2, entry.depth - 6, 2)),
        **swin_layout("teacher", width, 7, (2, 2, 2, 2)),
        "encoder.mask_token": (1, 1, width),
        "decoder.0.weight": (3072, 8 * width, 1, 1),
        "decoder.0.bias": (3072,),
        **linear("projector", 8 * width, 8 * width),
    }


def planted(name: str) -> tuple[ModelEntry, dict[str, Tensor]]:
    """Return a small entry and a state in its publisher's layout."""
    entry = small(name)
    family = name.partition("_")[0].removesuffix("pp")
    layout = {"satmae": satmae_layout, "spectralgpt": spectralgpt_layout, "gfm": gfm_layout}[family](entry)
    state = {}
    for index, (key, shape) in enumerate(sorted(layout.items())):
        # Norms scale by about 1, and weights keep their outputs there.
        size = 0.1 if len(shape) < 2 else 2.0 / math.sqrt(math.prod(shape[1:]))
        value = size * noise(*shape, phase=float(index))
        state[key] = 1 + value if "norm" in key and key.endswith("weight") else value
    if family == "satmae":
        state["pos_embed"][:, :1] = 0  # fixed sines, and none for the class token
    if family == "gfm":
        for path in ("encoder.layers.0.blocks.1", "encoder.layers.1.blocks.0"):
            state[f"{path}.attn.relative_position_index"] = torch.zeros(36, 36, dtype=torch.int64)
        state["encoder.layers.0.blocks.1.attn_mask"] = torch.zeros(64, 36, 36)
    return entry, state


class CfgNode(dict[str, Any]):
    """Stands for the class of that name in yacs, which GFM's settings are and which need not be there."""


CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"


def saved(folder: Path, state: dict[str, Tensor], **more: Any) -> Path:
    """Write a checkpoint as the publishers' training writes it, settings of the run included."""
    content = {"model": OrderedDict(state), "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}, "epoch": 199}
    if any(key.startswith("encoder.") for key in state):
        config = CfgNode(DATA=CfgNode(IMG_SIZE=192), BASE=[""])
        config.__dict__["__immutable__"] = True
        content |= {"lr_scheduler": {"base_values": [2e-4]}, "max_accuracy": 0.0, "config": config}
    else:
        settings = argparse.Namespace(model="mae_vit", dropped_bands=[0, 9, 10], lr=1e-4, resume="", log_dir=None)
        content |= {"scaler": {"scale": 65536.0}, "args": settings}
    stand_in: dict[str, Any] = {"yacs": SimpleNamespace(), "yacs.config": SimpleNamespace(CfgNode=CfgNode)}
    with mock.patch.dict(sys.modules, stand_in):
        torch.save(content | more, folder / "published.pth")
    return folder / "published.pth"


def images(entry: ModelEntry, count: int = 2) -> dict[str, Tensor]:
    dates = 3 if entry.temporal else 1
    side, sensor = entry.image_size, entry.bands[0].sensor
    return {sensor: 0.5 + 0.5 * noise(count, dates, len(entry.bands), side, side)}


def loaded(name: str, folder: Path) -> Any:
    entry, state = planted(name)
    return entry.load(entry, saved(folder, state), 0, entry.bands)


def assert_published(found: Tensor, values: list[float], moments: tuple[float, float]) -> None:
    flat = found.flatten().double()
    picked = flat[torch.linspace(0, len(flat) - 1, 8).long()]
    torch.testing.assert_close(picked, torch.tensor(values, dtype=torch.float64), atol=1e-5, rtol=0)
    assert float(flat.mean()) == pytest.approx(moments[0], abs=2e-6)
    assert float(flat.std()) == pytest.approx(moments[1], abs=2e-6)


@pytest.mark.parametrize("name", [name for name in SMALL if "temporal" not in name])
def test_features_agree_with_the_publishers(name: str, tmp_path: Path) -> None:
    backbone, entry = loaded(name, tmp_path), small(name)
    last = len(backbone.layers) - 1
    block_1, final = backbone(images(entry), [1, last])
    for what, found in (("block_1", block_1.vector), ("norm", final.grid)):
        assert_published(found, *PUBLISHED[name][what])


def test_dates_enter_as_the_publishers_codes(tmp_path: Path) -> None:
    """Year since 2002, month from 0 and hour; the hour is not known here, so tokens are compared with one put in."""
    backbone, entry = loaded("satmae_temporal_large", tmp_path), small("satmae_temporal_large")
    times = torch.tensor([[[12, 5, 10], [13, 0, 4], [8, 11, 22]], [[2, 3, 3], [15, 6, 0], [9, 9, 23]]])
    codes = torch.cat([sincos_1d(128, times[..., part]) for part in range(3)], -1)
    frames = images(entry)["rgb"]
    states = list(backbone.states(backbone.network.embed(frames, codes)))
    assert_published(states[-1], *PUBLISHED["satmae_temporal_large"]["norm"])
    when = torch.stack([times[..., 0] + FIRST_YEAR, times[..., 1] + 1, torch.ones(2, 3, dtype=torch.int64)], -1)
    torch.testing.assert_close(time_codes(when, 2)[..., :256], codes[..., :256], rtol=0, atol=0)
    hours = torch.stack([sincos_1d(128, torch.tensor(float(hour))) for hour in range(24)])
    torch.testing.assert_close(time_codes(when, 2)[1, 2, 256:], hours.mean(0), rtol=0, atol=1e-6)
    unknown = time_codes(torch.tensor([[[-1, -1, -1], [2014, 6, -1], [2014, -1, -1]]]), 1)
    torch.testing.assert_close(unknown[:, :1], time_codes(None, 1), rtol=0, atol=0)
    torch.testing.assert_close(unknown[0, 1, :256], codes[0, 0, :256], rtol=0, atol=0)
    assert torch.equal(unknown[0, 2, :128], unknown[0, 1, :128])
    assert torch.equal(unknown[0, 2, 128:], unknown[0, 0, 128:])


def test_three_dates_are_read_of_any_number(tmp_path: Path) -> None:
    backbone, entry = loaded("satmae_temporal_large", tmp_path), small("satmae_temporal_large")
    last, frames = entry.depth + 1, noise(1, 5, 3, entry.image_size, entry.image_size)
    when = torch.tensor([[[2010 + i, 1 + i, 1] for i in range(5)]])

    def vector(*dates: int, known: bool = True) -> Tensor:
        chosen = list(dates)
        return backbone({"rgb": frames[:, chosen]}, [last], when=when[:, chosen] if known else None)[0].vector

    assert torch.equal(vector(0, 1, 2, 3, 4), vector(0, 2, 4))
    assert torch.equal(vector(0, 1), vector(0, 1, 1))
    assert torch.equal(vector(3), vector(3, 3, 3))
    # A date goes with its frame, and attention has no order.
    torch.testing.assert_close(vector(0, 2, 4), vector(4, 2, 0), rtol=0, atol=1e-5)
    assert not torch.allclose(vector(0, 2, 4), vector(0, 2, 4, known=False))
    for wrong in ({"s2": frames}, {"rgb": frames[:, 0]}, {"rgb": frames[..., :16]}):
        with pytest.raises(Incompatible):
            backbone(wrong, [last])


@pytest.mark.parametrize("name", ["satmae_rgb_large", "satmaepp_rgb_large"])
def test_the_photograph_encoder_is_timms_vit(name: str, tmp_path: Path) -> None:
    (entry, state), backbone = planted(name), loaded(name, tmp_path)
    reference = VisionTransformer(img_size=64, patch_size=16, embed_dim=128, depth=2, num_heads=2, num_classes=0)
    kept = {key: value for key, value in state.items() if key in reference.state_dict()}
    reference.load_state_dict(kept)
    pixels = images(entry)
    tap = backbone(pixels, [entry.depth + 1])[0]
    expected = reference.eval().forward_features(pixels["rgb"][:, 0])
    torch.testing.assert_close(tap.cls, expected[:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(tap.vector, expected[:, 1:].mean(1), rtol=0, atol=1e-5)


def test_gfm_is_timms_swin_by_timms_own_conversion(tmp_path: Path) -> None:
    (entry, state), backbone = planted("gfm_base"), loaded("gfm_base", tmp_path)
    reference = SwinTransformer(
        img_size=192, window_size=6, embed_dim=32, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), num_classes=0
    ).eval()
    student = {k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")}
    student.pop("mask_token")
    reference.load_state_dict(checkpoint_filter_fn(student, reference))
    pixels = images(entry, 1)
    first, stage_end, last = backbone(pixels, [0, 4, 9])
    maps = reference.forward_intermediates(pixels["rgb"][:, 0], indices=[1, 3], norm=True)
    torch.testing.assert_close(first.grid, reference.patch_embed(pixels["rgb"][:, 0]).permute(0, 3, 1, 2))
    torch.testing.assert_close(stage_end.grid, reference.forward_intermediates(pixels["rgb"][:, 0])[1][1])
    torch.testing.assert_close(last.grid, maps[0].permute(0, 3, 1, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(last.vector, reference(pixels["rgb"][:, 0]), rtol=0, atol=1e-5)
    assert [layer.stride for layer in backbone.layers] == [4, 4, 4, 8, 8, 16, 16, 32, 32, 32]


@pytest.mark.parametrize("name", list(SMALL))
def test_a_wrong_or_partial_file_is_an_error_that_names_keys(name: str, tmp_path: Path) -> None:
    entry, state = planted(name)
    prefix = "encoder." if name.startswith("gfm") else ""
    key = f"{prefix}norm.weight"
    partial = {k: v for k, v in state.items() if k != key}
    with pytest.raises(MissingWeights, match=rf"{name}: 1 missing from the file \(norm\.weight\)"):
        entry.load(entry, saved(tmp_path, partial), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"2 unknown to the network \(.*head\.weight, .*head\.bias\)"):
        head = {f"{prefix}head.weight": torch.zeros(62, 8), f"{prefix}head.bias": torch.zeros(62)}
        entry.load(entry, saved(tmp_path, state | head), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"of another shape or type \(norm\.weight: .*\(7,\) in the file"):
        entry.load(entry, saved(tmp_path, state | {key: torch.zeros(7)}), 0, entry.bands)
    with pytest.raises(MissingWeights, match="other Python objects, which are never run"):
        entry.load(entry, saved(tmp_path, state, extra=Path), 0, entry.bands)


def test_a_photographs_file_is_not_taken_for_the_channel_groups(tmp_path: Path) -> None:
    entry, (_, state) = small("satmae_s2_base"), planted("satmae_rgb_large")
    with pytest.raises(MissingWeights, match=r"missing from the file \(.*channel_embed"):
        entry.load(entry, saved(tmp_path, state), 0, entry.bands)


def test_a_code_of_the_class_token_counts_where_the_file_has_one(tmp_path: Path) -> None:
    entry, state = planted("satmae_s2_base")
    pixels = images(entry)
    without = entry.load(entry, saved(tmp_path, state), 0, entry.bands)(pixels, [1])[0]
    zeros = entry.load(entry, saved(tmp_path, state | {"channel_cls_embed": torch.zeros(1, 1, 256)}), 0, entry.bands)
    assert torch.equal(zeros(pixels, [1])[0].cls, without.cls)
    coded = entry.load(entry, saved(tmp_path, state | {"channel_cls_embed": noise(1, 1, 256)}), 0, entry.bands)
    assert not torch.allclose(coded(pixels, [1])[0].cls, without.cls)


def test_spectralgpt_norms_what_it_has_pooled(tmp_path: Path) -> None:
    backbone, entry = loaded("spectralgpt_base", tmp_path), small("spectralgpt_base")
    block_2, final = backbone(images(entry), [2, 3])
    torch.testing.assert_close(final.vector, backbone.network.norm(block_2.vector), rtol=0, atol=0)
    assert not torch.allclose(final.vector, final.grid.mean((2, 3)), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "groups"), [("satmae_s2_base", 3), ("satmae_temporal_large", 3), ("spectralgpt_base", 4)]
)
def test_a_cell_is_the_mean_over_the_groups_at_its_place(name: str, groups: int, tmp_path: Path) -> None:
    backbone, entry = loaded(name, tmp_path), small(name)
    pixels, side = images(entry), entry.image_size // entry.patch
    found: list[Tensor] = []
    hook = backbone.network.blocks[1].register_forward_hook(lambda _, __, tokens: found.append(tokens))
    tap = backbone(pixels, [2])[0]
    hook.remove()
    patches = found[0][:, -groups * side * side :]
    for group in range(groups):
        tap.grid.sub_(patches[:, group * side**2 :][:, : side**2].transpose(1, 2).unflatten(2, (side, side)) / groups)
    assert float(tap.grid.abs().max()) < 1e-5
    torch.testing.assert_close(tap.vector, patches.mean(1))
    assert (tap.cls is None) == (name == "spectralgpt_base")


def test_positions_before_training_are_the_published_sines() -> None:
    codes = sincos_2d(64, 4)
    assert torch.equal(codes[0], torch.zeros(64))
    row, column = 2, 3
    rates = [10000 ** (-i / 16) for i in range(16)]
    expected = [
        f(place * rate) for place in (column, row) for f in (math.sin, math.cos) for rate in rates
    ]  # the column first, sines before cosines
    torch.testing.assert_close(codes[1 + row * 4 + column], torch.tensor(expected))
    entry = small("satmae_s2_base")
    network: Any = entry.load(entry, None, 0, entry.bands)
    torch.testing.assert_close(network.network.channel_embed[0, 1], sincos_1d(256, torch.tensor(1)))


def test_normalisation_is_the_published_one() -> None:
    entry = ENTRIES["satmae_s2_large"]
    mean, deviation = 1136.26026392, 965.23119807  # of b04
    low = (mean - 2 * deviation - entry.normalise.shift[2]) / entry.normalise.scale[2]
    high = (mean + 2 * deviation - entry.normalise.shift[2]) / entry.normalise.scale[2]
    assert low == pytest.approx(0, abs=1e-12) and high == pytest.approx(1) and entry.normalise.clip == (0, 1)
    names = [band.name for band in entry.bands]
    groups = [[names[i] for i in group] for group in ((0, 1, 2, 6), (3, 4, 5, 7), (8, 9))]
    assert groups == [
        ["s2.b02", "s2.b03", "s2.b04", "s2.b08"],
        ["s2.b05", "s2.b06", "s2.b07", "s2.b8a"],
        ["s2.b11", "s2.b12"],
    ]
    white = [(255 - shift) / scale for shift, scale in zip(*_affine("satmae_rgb_large"), strict=True)]
    published = ((0.41820073, 0.28774282), (0.42147991, 0.27541766), (0.39912757, 0.27640176))
    assert white == pytest.approx([(1 - mean) / deviation for mean, deviation in published])


def _affine(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return ENTRIES[name].normalise.shift, ENTRIES[name].normalise.scale


@pytest.mark.parametrize("name", list(SMALL))
def test_every_part_of_a_block_is_where_the_map_says(name: str) -> None:
    entry = small(name)
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    blocks = [layer.name for layer in backbone.layers if layer.name.startswith("block_")]
    assert list(backbone.modules_map) == blocks and len(blocks) == entry.depth
    projections = {"q", "k", "v"} if name.startswith("spectralgpt") else {"qkv"}
    for layer in backbone.layers[1:-1]:
        parts = {part: backbone.get_submodule(path) for part, path in backbone.modules_map[layer.name].items()}
        assert set(parts) == {"norm1", "proj", "norm2", "fc1", "act", "fc2", "out", *projections}
        assert parts["fc1"].in_features == parts["fc2"].out_features == parts["proj"].out_features == layer.channels
