"""SpectralGPT: its publisher's file loads, and features are those of its publisher's code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core import ModelEntry
from bench.core.errors import MissingWeights
from bench.models import spectralgpt
from tests.builders.networks import assert_close, assert_recorded, differ, outputs_of
from tests.builders.published_files import (
    DECODER_WIDTH,
    Shapes,
    block,
    blocks,
    filled,
    images_of,
    linear,
    norm,
    saved,
)

ENTRY = dataclasses.replace(spectralgpt.ENTRIES[0], width=192, depth=2, image_size=32)

# Eight values spread over the array, its mean and its standard deviation. Recorded from
# danfenghong/IEEE_TPAMI_SpectralGPT@56d2c4d (models_mae_spectral), with the weights of the file that `planted` makes.
PUBLISHED: dict[str, tuple[list[float], tuple[float, float]]] = {
    "block_1": (
        [0.287101, 0.283633, 1.237115, -1.331114, 0.507268, 1.516526, 1.00641, 1.593004],
        (0.213011, 1.404379),
    ),
    "norm": (
        [-1.011147, 0.142865, 0.717286, -1.07451, 1.10253, -0.765497, -0.307414, -0.116358],
        (0.005386, 0.973437),
    ),
}


def layout(entry: ModelEntry) -> Shapes:
    """Return every key and shape of the publisher's file, the decoder included."""
    width, patch, places = entry.width, entry.patch, (entry.image_size // entry.patch) ** 2
    return {
        "pos_embed_spatial": (1, places, width),
        "pos_embed_temporal": (1, 4, width),
        "decoder_pos_embed_spatial": (1, places, DECODER_WIDTH),
        "decoder_pos_embed_temporal": (1, 4, DECODER_WIDTH),
        "mask_token": (1, 1, DECODER_WIDTH),
        "patch_embed.proj.weight": (width, 1, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        **blocks("blocks", entry.depth, width, joint=False),
        **block("decoder_blocks.0", DECODER_WIDTH, joint=False),
        **norm("norm", width),
        **norm("decoder_norm", DECODER_WIDTH),
        **linear("decoder_embed", DECODER_WIDTH, width),
        **linear("decoder_pred", 3 * patch**2, DECODER_WIDTH),
    }


def planted() -> tuple[ModelEntry, dict[str, Tensor]]:
    """Return a small entry and a state in the layout of its publisher."""
    return ENTRY, filled(layout(ENTRY))


def loaded(folder: Path) -> Any:
    entry, state = planted()
    return entry.load(entry, saved(folder, state), 0, entry.bands)


def test_features_agree_with_the_publishers(tmp_path: Path) -> None:
    block_1, final = loaded(tmp_path)(images_of(ENTRY), [1, 3])
    assert_recorded(block_1.vector, *PUBLISHED["block_1"])
    assert_recorded(final.grid, *PUBLISHED["norm"])


def test_a_wrong_or_partial_file_is_refused_with_its_keys(tmp_path: Path) -> None:
    entry, state = planted()
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


def test_the_norm_is_applied_after_pooling(tmp_path: Path) -> None:
    backbone = loaded(tmp_path)
    block_2, final = backbone(images_of(ENTRY), [2, 3])
    assert_close(final.vector, backbone.network.norm(block_2.vector))
    assert differ(final.vector, final.grid.mean((2, 3)), least=1e-3)


def test_a_cell_is_the_mean_over_the_groups_at_its_place(tmp_path: Path) -> None:
    backbone, side, groups = loaded(tmp_path), ENTRY.image_size // ENTRY.patch, 4
    [tap], [tokens] = outputs_of([backbone.network.blocks[1]], lambda: backbone(images_of(ENTRY), [2]))
    expected = tokens.reshape(len(tokens), groups, side, side, -1).mean(1).permute(0, 3, 1, 2)
    assert_close(tap.grid, expected)
    assert_close(tap.vector, tokens.mean(1))
    assert tap.cls is None
