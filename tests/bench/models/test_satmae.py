"""SatMAE and SatMAE++: their publishers' files load, and features are those of their publishers' code."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from bench.core import ModelEntry
from bench.core.errors import Incompatible, MissingWeights
from bench.models import satmae
from bench.networks.satmae import FIRST_YEAR, sincos_1d, sincos_2d, time_codes
from tests.builders.networks import assert_close, assert_recorded, assert_same_taps, differ, outputs_of
from tests.builders.published_files import (
    DECODER_WIDTH,
    Shapes,
    block,
    blocks,
    filled,
    images_of,
    linear,
    norm,
    patternless,
    saved,
)

ENTRIES = {entry.name: entry for entry in satmae.ENTRIES}
SMALL = {
    "satmae_rgb_large": {"width": 128, "depth": 2, "image_size": 64},
    "satmaepp_rgb_large": {"width": 128, "depth": 2, "image_size": 64},
    "satmae_s2_base": {"width": 384, "depth": 2, "image_size": 32},
    "satmaepp_s2_large": {"width": 384, "depth": 2, "image_size": 32},
    "satmae_temporal_large": {"width": 512, "depth": 2, "image_size": 32},
}

# Of a grid or a vector: eight values spread over the array, its mean and its standard deviation. Recorded from
# sustainlab-group/SatMAE@e31c11f (models_mae*.MaskedAutoencoder*.forward_encoder without a mask) and
# techmn/satmae_pp@ee173bf (the same), with the weights of the files that `planted` makes.
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
}
# SatMAE++ has the encoders of SatMAE: its own classes gave the same numbers.
PUBLISHED |= {
    "satmaepp_rgb_large": PUBLISHED["satmae_rgb_large"],
    "satmaepp_s2_large": PUBLISHED["satmae_s2_base"],
}


def small(name: str) -> ModelEntry:
    return dataclasses.replace(ENTRIES[name], **SMALL[name])


def upsampling(prefix: str, width: int, bands: int) -> Shapes:
    """Return the shapes of an UpsampleBlock of SatMAE++."""
    convolutions = {"res_block.conv1": width, "res_block.conv2": width, "proj_out": bands}
    return {
        f"{prefix}.up_conv.weight": (width, width, 4, 4),
        f"{prefix}.up_conv.bias": (width,),
        **norm(f"{prefix}.up_norm", width),
        **norm(f"{prefix}.res_norm", width),
        **{f"{prefix}.{name}.weight": (out, width, 3, 3) for name, out in convolutions.items()},
        **{f"{prefix}.{name}.bias": (out,) for name, out in convolutions.items()},
    }


def layout(entry: ModelEntry) -> Shapes:
    """Return every key and shape of the publisher's file, the decoder included."""
    width, patch, places = entry.width, entry.patch, (entry.image_size // entry.patch) ** 2 + 1
    sentinel = len(entry.bands) == 10
    decoder = 8 * DECODER_WIDTH
    code = 256 if sentinel else 384 if entry.temporal else 0  # channels of the code of a channel group or a date
    groups = {f".{i}": len(group) for i, group in enumerate(((0, 1, 2, 6), (3, 4, 5, 7), (8, 9)))}
    shapes: Shapes = {
        "cls_token": (1, 1, width),
        "mask_token": (1, 1, decoder),
        "pos_embed": (1, places, width - code),
        "decoder_pos_embed": (1, places, decoder - code // 2),
        **blocks("blocks", entry.depth, width),
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
        bands, steps = len(entry.bands), ("up_block1", "up_block2") if sentinel else ("up_block",)
        shapes |= {"proj_up_conv.weight": (4 * bands, bands, 1, 1), "proj_up_conv.bias": (4 * bands,)}
        shapes |= norm("proj_up_norm", 4 * bands)
        shapes |= {k: s for name in steps for k, s in upsampling(name, 4 * bands, bands).items()}
    return shapes


def planted(name: str) -> tuple[ModelEntry, dict[str, Tensor]]:
    """Return a small entry and a state in the layout of its publisher."""
    entry = small(name)
    state = filled(layout(entry))
    state["pos_embed"][:, :1] = 0  # fixed sines, and zeros for the class token
    return entry, state


def loaded(name: str, folder: Path) -> Any:
    entry, state = planted(name)
    return entry.load(entry, saved(folder, state), 0, entry.bands)


@pytest.mark.parametrize("name", [name for name in SMALL if "temporal" not in name])
def test_features_agree_with_the_publishers(name: str, tmp_path: Path) -> None:
    backbone, entry = loaded(name, tmp_path), small(name)
    last = len(backbone.layers) - 1
    block_1, final = backbone(images_of(entry), [1, last])
    assert_recorded(block_1.vector, *PUBLISHED[name]["block_1"])
    assert_recorded(final.grid, *PUBLISHED[name]["norm"])


def test_dates_enter_as_the_publishers_codes(tmp_path: Path) -> None:
    """The codes are those of years since 2002, months from 0 and hours; tokens get an hour, which is unknown here."""
    backbone, entry = loaded("satmae_temporal_large", tmp_path), small("satmae_temporal_large")
    times = torch.tensor([[[12, 5, 10], [13, 0, 4], [8, 11, 22]], [[2, 3, 3], [15, 6, 0], [9, 9, 23]]])
    codes = torch.cat([sincos_1d(128, times[..., part]) for part in range(3)], -1)
    frames = images_of(entry)["rgb"]
    states = list(backbone.states(backbone.network.embed(frames, codes)))
    assert_recorded(states[-1], *PUBLISHED["satmae_temporal_large"]["norm"])
    when = torch.stack([times[..., 0] + FIRST_YEAR, times[..., 1] + 1, torch.ones(2, 3, dtype=torch.int64)], -1)
    torch.testing.assert_close(time_codes(when, 2)[..., :256], codes[..., :256], rtol=0, atol=1e-6)
    hours = torch.stack([sincos_1d(128, torch.tensor(float(hour))) for hour in range(24)])
    torch.testing.assert_close(time_codes(when, 2)[1, 2, 256:], hours.mean(0), rtol=0, atol=1e-6)
    unknown = time_codes(torch.tensor([[[-1, -1, -1], [2014, 6, -1], [2014, -1, -1]]]), 1)
    torch.testing.assert_close(unknown[:, :1], time_codes(None, 1), rtol=0, atol=1e-6)
    torch.testing.assert_close(unknown[0, 1, :256], codes[0, 0, :256], rtol=0, atol=1e-6)
    torch.testing.assert_close(unknown[0, 2, :128], unknown[0, 1, :128], rtol=0, atol=1e-6)
    torch.testing.assert_close(unknown[0, 2, 128:], unknown[0, 0, 128:], rtol=0, atol=1e-6)


def test_three_dates_of_a_series_are_read(tmp_path: Path) -> None:
    backbone, entry = loaded("satmae_temporal_large", tmp_path), small("satmae_temporal_large")
    last, frames = entry.depth + 1, patternless(1, 5, 3, entry.image_size, entry.image_size)
    when = torch.tensor([[[2010 + i, 1 + i, 1] for i in range(5)]])

    def vector(*dates: int, known: bool = True) -> Tensor:
        chosen = list(dates)
        return backbone({"rgb": frames[:, chosen]}, [last], when=when[:, chosen] if known else None)[0].vector

    assert_close(vector(0, 1, 2, 3, 4), vector(0, 2, 4))
    assert_close(vector(0, 1), vector(0, 1, 1))
    assert_close(vector(3), vector(3, 3, 3))
    # A date belongs to its frame, and attention has no order.
    assert_close(vector(0, 2, 4), vector(4, 2, 0))
    assert differ(vector(0, 2, 4), vector(0, 2, 4, known=False))
    for wrong in ({"s2": frames}, {"rgb": frames[:, 0]}, {"rgb": frames[..., :16]}):
        with pytest.raises(Incompatible):
            backbone(wrong, [last])


@pytest.mark.parametrize("name", ["satmae_rgb_large", "satmaepp_rgb_large"])
def test_the_photograph_encoder_is_timms_vit(name: str, tmp_path: Path) -> None:
    (entry, state), backbone = planted(name), loaded(name, tmp_path)
    reference = VisionTransformer(img_size=64, patch_size=16, embed_dim=128, depth=2, num_heads=2, num_classes=0)
    kept = {key: value for key, value in state.items() if key in reference.state_dict()}
    reference.load_state_dict(kept)
    pixels = images_of(entry)
    tap = backbone(pixels, [entry.depth + 1])[0]
    expected = reference.eval().forward_features(pixels["rgb"][:, 0])
    torch.testing.assert_close(tap.cls, expected[:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(tap.vector, expected[:, 1:].mean(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", list(SMALL))
def test_a_wrong_or_partial_file_is_refused_with_its_keys(name: str, tmp_path: Path) -> None:
    entry, state = planted(name)
    key = "norm.weight"
    partial = {k: v for k, v in state.items() if k != key}
    with pytest.raises(MissingWeights, match=rf"{entry.name}: 1 missing from the file \(norm\.weight\)"):
        entry.load(entry, saved(tmp_path, partial), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"2 unknown to the network \(.*head\.weight, .*head\.bias\)"):
        head = {"head.weight": torch.zeros(62, 8), "head.bias": torch.zeros(62)}
        entry.load(entry, saved(tmp_path, state | head), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"of another shape or type \(norm\.weight: .*\(7,\) in the file"):
        entry.load(entry, saved(tmp_path, state | {key: torch.zeros(7)}), 0, entry.bands)
    with pytest.raises(MissingWeights, match=r"a pickle of pathlib\.Path, which is never run"):
        entry.load(entry, saved(tmp_path, state, extra=Path), 0, entry.bands)


def test_a_file_for_photographs_does_not_load_as_channel_groups(tmp_path: Path) -> None:
    entry, (_, state) = small("satmae_s2_base"), planted("satmae_rgb_large")
    with pytest.raises(MissingWeights, match=r"missing from the file \(.*channel_embed"):
        entry.load(entry, saved(tmp_path, state), 0, entry.bands)


def test_a_code_of_the_class_token_in_the_file_is_used(tmp_path: Path) -> None:
    entry, state = planted("satmae_s2_base")
    pixels = images_of(entry)
    without = entry.load(entry, saved(tmp_path, state), 0, entry.bands)(pixels, [1])[0]
    zeros = entry.load(entry, saved(tmp_path, state | {"channel_cls_embed": torch.zeros(1, 1, 256)}), 0, entry.bands)
    assert_same_taps(zeros(pixels, [1]), [without])
    coded = entry.load(entry, saved(tmp_path, state | {"channel_cls_embed": patternless(1, 1, 256)}), 0, entry.bands)
    assert differ(coded(pixels, [1])[0].cls, without.cls)


@pytest.mark.parametrize("name", ["satmae_s2_base", "satmae_temporal_large"])
def test_a_cell_is_the_mean_over_the_groups_at_its_place(name: str, tmp_path: Path) -> None:
    backbone, entry = loaded(name, tmp_path), small(name)
    side, groups = entry.image_size // entry.patch, 3
    [tap], [tokens] = outputs_of([backbone.network.blocks[1]], lambda: backbone(images_of(entry), [2]))
    patches = tokens[:, 1:]
    expected = patches.reshape(len(patches), groups, side, side, -1).mean(1).permute(0, 3, 1, 2)
    assert_close(tap.grid, expected)
    assert_close(tap.vector, patches.mean(1))
    assert_close(tap.cls, tokens[:, 0])


def test_positions_before_training_are_the_published_sines() -> None:
    codes = sincos_2d(64, 4)
    assert torch.equal(codes[0], torch.zeros(64))
    row, column = 2, 3
    rates = [10000 ** (-i / 16) for i in range(16)]
    # The column comes first, and sines come before cosines.
    expected = [wave(place * rate) for place in (column, row) for wave in (math.sin, math.cos) for rate in rates]
    torch.testing.assert_close(codes[1 + row * 4 + column], torch.tensor(expected))
    entry = small("satmae_s2_base")
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    torch.testing.assert_close(backbone.network.channel_embed[0, 1], sincos_1d(256, torch.tensor(1)))


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
    photograph = ENTRIES["satmae_rgb_large"].normalise
    white = [(255 - shift) / scale for shift, scale in zip(photograph.shift, photograph.scale, strict=True)]
    published = ((0.41820073, 0.28774282), (0.42147991, 0.27541766), (0.39912757, 0.27640176))
    assert white == pytest.approx([(1 - mean) / deviation for mean, deviation in published])
