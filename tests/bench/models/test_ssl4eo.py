"""SSL4EO-S12: files in the layout of torchgeo."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchgeo.models import vit_small_patch16_224

from bench.models import ssl4eo
from tests.builders.networks import assert_close, assert_same_weights, normal

ENTRIES = {entry.name: entry for entry in ssl4eo.ENTRIES}


@pytest.mark.parametrize("file", ["published.pth", "published.safetensors"])
def test_a_file_is_loaded_with_or_without_a_classification_head(tmp_path: Path, file: str) -> None:
    """The names are timm's; torchgeo accepts both kinds of file."""
    published = vit_small_patch16_224(in_chans=13).eval()
    state = published.state_dict()
    if file.endswith(".pth"):
        torch.save(state, tmp_path / file)
    else:
        save_file({key: value for key, value in state.items() if not key.startswith("head.")}, tmp_path / file)
    entry = ENTRIES["ssl4eo_moco_small"]
    backbone = entry.load(entry, tmp_path / file, 0, entry.bands)
    published.head = torch.nn.Identity()
    assert_same_weights(backbone.network, published)  # type: ignore[attr-defined]
    pixels = normal(2, 13, 224, 224)
    tap = backbone({"s2": pixels[:, None]}, [13])[0]
    assert_close(tap.cls, published.forward_features(pixels)[:, 0])
