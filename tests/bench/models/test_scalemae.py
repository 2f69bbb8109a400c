"""Scale-MAE against torchgeo."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgeo.models
from torch import nn
from torchgeo.models import ScaleMAE

from bench.models import scalemae
from tests.builders.networks import (
    assert_taps_are,
    normal,
    outputs_of,
    with_noise,
)

SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 4}


@pytest.mark.parametrize("side", [64, 96])
def test_features_are_torchgeos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, side: int) -> None:
    tiny = partial(ScaleMAE, img_size=side, norm_layer=partial(nn.LayerNorm, eps=1e-6), **SMALL)
    monkeypatch.setattr(torchgeo.models, "scalemae_large_patch16", tiny)
    published, entry = with_noise(tiny(res=1.0, num_classes=0)), scalemae.ENTRIES[0]
    extra = {f"{part}weight": torch.zeros(1) for part in ("decoder_embed.", "fpn.conv.", "mask_token_decoder.")}
    torch.save({"model": {**published.state_dict(), **extra}}, tmp_path / "scalemae.pth")
    backbone: Any = entry.load(entry, tmp_path / "scalemae.pth", 0, entry.bands)
    pixels = normal(2, 3, side, side)
    final, states = outputs_of(published.blocks, lambda: published.forward_features(pixels))
    taps = backbone({"rgb": pixels[:, None]}, range(1, 5))
    assert_taps_are(taps, [*states, final])
    assert taps[-1].vector is taps[-1].cls
