"""TerraMind against terratorch: files, and every layer."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.core import ModelEntry
from bench.core.errors import Incompatible
from bench.models import terramind
from bench.networks.from_terratorch import terratorch_module
from tests.builders.networks import assert_close, assert_file_is_checked, normal, torch_settings_kept, with_noise

if importlib.util.find_spec("terratorch") is None:
    pytest.skip("terratorch is not installed", allow_module_level=True)


TERRAMIND = {entry.name: entry for entry in terramind.ENTRIES}


def small_terramind(monkeypatch: pytest.MonkeyPatch, name: str) -> ModelEntry:
    monkeypatch.setitem(terramind.HEADS, 32, 2)
    monkeypatch.setattr(terramind, "GATED", (32,) if name == "terramind_base" else ())
    return replace(TERRAMIND[name], image_size=64, depth=3, width=32)


def published_terramind(*, gated: bool) -> Any:
    """Return a small network of the publishers, encoder and decoder, with random weights."""
    path = "models.backbones.terramind.model"
    facts = terratorch_module(f"{path}.modality_info").MODALITY_INFO
    inputs = ["untok_sen2l2a@224", "untok_sen2l1c@224", "untok_sen1grd@224", "untok_sen1rtc@224", "tok_lulc@224"]

    def embeddings(names: Sequence[str], kind: str) -> dict[str, nn.Module]:
        return {name: facts[name][kind](image_size=64, dim_tokens=32, **facts[name]) for name in names}

    return with_noise(
        terratorch_module(f"{path}.terramind").TerraMind(
            embeddings(inputs, "encoder_embedding"),
            embeddings(["tok_lulc@224"], "decoder_embedding"),
            facts,
            dim=32,
            encoder_depth=3,
            decoder_depth=1,
            num_heads=2,
            **terramind_style(gated),
        )
    )


def terramind_style(gated: bool) -> dict[str, Any]:
    """Return the settings in which base and large differ from tiny and small (``terramind_register.py``)."""
    norm = terratorch_module("models.backbones.terramind.model.tm_utils").LayerNorm
    return {
        "qkv_bias": not gated,
        "proj_bias": not gated,
        "mlp_bias": not gated,
        "norm_layer": partial(norm, eps=1e-6, bias=False),
        "act_layer": nn.SiLU if gated else nn.GELU,
        "gated_mlp": gated,
    }


@pytest.mark.parametrize("name", ["terramind_tiny", "terramind_base"])
@pytest.mark.parametrize("sensors", [("s2",), ("s1",), ("s2", "s1")])
@pytest.mark.parametrize("side", [(64, 64), (32, 48)])
def test_every_layer_agrees_with_terratorch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, sensors: tuple[str, ...], side: tuple[int, int]
) -> None:
    entry, gated = small_terramind(monkeypatch, name), name == "terramind_base"
    published = published_terramind(gated=gated)
    torch.save(published.state_dict(), tmp_path / "terramind.pt")
    bands = tuple(band for band in entry.bands if band.sensor in sensors)
    backbone: Any = entry.load(entry, tmp_path / "terramind.pt", 0, bands)
    modalities = [terramind.MODALITIES[sensor] for sensor in sensors]
    module = terratorch_module("models.backbones.terramind.model.terramind_vit")
    theirs = module.TerraMindViT(
        img_size=64, modalities=modalities, dim=32, encoder_depth=3, num_heads=2, **terramind_style(gated)
    ).eval()
    # As in terratorch's checkpoint_filter_fn: those tensors of the file that the encoder has.
    state = published.state_dict()
    theirs.load_state_dict({key: state[key] for key in theirs.state_dict()})
    images = {sensor: normal(2, 1, 12 if sensor == "s2" else 2, *side, seed=len(sensor)) for sensor in sensors}
    expected = theirs({terramind.MODALITIES[sensor]: values[:, 0] for sensor, values in images.items()})
    taps = backbone(images, range(5))
    size = (side[0] // 16, side[1] // 16)
    for tap, tokens in zip((*taps[1:3], taps[4]), expected, strict=True):
        assert_close(tap.grid, tokens.transpose(1, 2).reshape(2, 32, *size))
        assert_close(tap.vector, tokens.mean(1))
        assert tap.cls is None
    states = list(backbone.states({terramind.MODALITIES[s]: v[:, 0] for s, v in images.items()}))
    assert_close(theirs.encoder_norm(states[3]).unflatten(1, (len(sensors), -1)).mean(1), expected[-1])
    assert ("fc3" in backbone.modules_map["block_1"]) == gated
    for path in backbone.modules_map["block_2"].values():
        assert isinstance(backbone.get_submodule(path), nn.Module)


def test_a_wrong_file_or_wrong_images_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = small_terramind(monkeypatch, "terramind_small")
    state = published_terramind(gated=False).state_dict()
    assert_file_is_checked(entry, state, tmp_path / "file.pt", "encoder_embeddings.untok_sen1grd@224.proj.weight")
    backbone = entry.load(entry, None, 0, entry.bands)
    for radar in ({}, {"s1": normal(1, 1, 2, 32, 64)}, {"s1": normal(1, 2, 2, 64, 64)}):
        with pytest.raises(Incompatible):
            backbone({"s2": normal(1, 1, 12, 64, 64), **radar}, [0])
    with pytest.raises(Incompatible):
        backbone({sensor: normal(1, 1, n, 60, 60) for sensor, n in (("s2", 12), ("s1", 2))}, [0])


@pytest.mark.slow
def test_facts_are_those_of_terratorch() -> None:
    with torch_settings_kept():
        import terratorch.models.backbones.terramind.model.terramind_register as register

    for name, entry in TERRAMIND.items():
        variant = name.replace("terramind_", "terramind_v1_")
        with torch.device("cpu"):
            theirs = register.__dict__[variant](modalities=["S2L2A", "S1GRD"]) if entry.depth == 12 else None
        if theirs is not None:
            assert sum(value.numel() for value in theirs.parameters()) == entry.parameters
        file = register.pretrained_weights[variant]
        assert entry.weights and f"/{file['hf_hub_id']}/" in entry.weights.url
        assert entry.weights.url.endswith(f"/{file['hf_hub_filename']}")
        embeddings = [terramind.EMBEDDINGS[sensor] for sensor in ("s2", "s1")]
        means, spreads = register.v1_pretraining_mean, register.v1_pretraining_std
        assert list(entry.normalise.shift) == [value for key in embeddings for value in means[key]]
        assert list(entry.normalise.scale) == [value for key in embeddings for value in spreads[key]]
