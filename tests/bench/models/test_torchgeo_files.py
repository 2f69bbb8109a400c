"""Entries whose file is one of torchgeo's accept the files that torchgeo accepts, and give its features."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchgeo.models import get_model, get_model_weights, list_models

from tests.builders.entries import ENTRIES, cases

# Networks of timm and torchvision. Those of torchgeo (CROMA, DOFA, ...) are compared in the tests of their family.
PLAIN = ("resnet", "swin", "vit")
# Names of bands in torchgeo.
NAMES = {
    **{f"B{number}": f"s2.b{number:02}" for number in range(1, 13)},
    **{f"B{number:02}": f"s2.b{number:02}" for number in range(1, 10)},
    **{
        "B8A": "s2.b8a",
        "B8a": "s2.b8a",
        "VV": "s1.vv",
        "VH": "s1.vh",
        "R": "rgb.red",
        "G": "rgb.green",
        "B": "rgb.blue",
    },
}
LANDSAT = {
    "tm_toa": {"B1": "blue", "B2": "green", "B3": "red", "B4": "nir", "B5": "swir1", "B6": "thermal", "B7": "swir2"},
    "oli_sr": {
        **{"B1": "coastal", "B2": "blue", "B3": "green", "B4": "red", "B5": "nir", "B6": "swir1", "B7": "swir2"},
        **{"B8": "pan", "B9": "cirrus", "B10": "tirs1", "B11": "tirs2"},
    },
}
LANDSAT["oli_tirs_toa"] = LANDSAT["oli_sr"]
LANDSAT["etm_toa"] = LANDSAT["etm_sr"] = {
    **{"B1": "blue", "B2": "green", "B3": "red", "B4": "nir", "B5": "swir1", "B6_VCID_1": "thermal_low"},
    **{"B6_VCID_2": "thermal_high", "B61": "thermal_low", "B62": "thermal_high", "B7": "swir2", "B8": "pan"},
}


def file_of(url: str) -> str:
    return url.rpartition("/")[2]


def published() -> dict[str, tuple[str, Any]]:
    """Return entry -> torchgeo's network and weights with the same file."""
    files = {}
    for name in list_models():
        if name.startswith(PLAIN):
            files.update({file_of(weights.url): (name, weights) for weights in get_model_weights(name)})
    urls = {name: entry.weights.url for name, entry in ENTRIES.items() if entry.weights}
    return {name: files[file_of(url)] for name, url in urls.items() if file_of(url) in files}


PUBLISHED = published()


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def test_most_entries_of_these_families_have_a_file_of_torchgeos() -> None:
    families = {name.partition("_")[0] for name in PUBLISHED}
    assert families == {"gassl", "satlas", "seco", "softcon", "ssl4eo", "ssl4eol"} and len(PUBLISHED) > 70


@pytest.mark.parametrize("name", [name for name, (_, weights) in PUBLISHED.items() if "bands" in weights.meta])
def test_bands_come_in_torchgeos_order(name: str) -> None:
    _, weights = PUBLISHED[name]
    names = [str(band).removeprefix("SR_") for band in weights.meta["bands"]]
    assert len(names) == weights.meta["in_chans"]
    bands = [band.name for band in ENTRIES[name].bands]
    if name.startswith("ssl4eol"):
        assert [f"landsat.{LANDSAT[name.partition('.')[2]][band]}" for band in names] == bands
    else:
        assert [NAMES[band] for band in names] == bands


def with_noisy_norms(network: nn.Module) -> nn.Module:
    """Return the network with noise on norms, biases and running statistics, which are plain at random init."""
    generator = torch.Generator().manual_seed(3)
    for value in (*network.parameters(), *network.buffers()):
        if value.is_floating_point() and value.ndim == 1:
            value.data += 0.1 * torch.rand(value.shape, generator=generator)
    return network.eval()


def features(network: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the image vector and the grid (B, D, h, w) that torchgeo's network gives."""
    if hasattr(network, "permute"):  # torchvision's Swin
        grid = network.permute(network.norm(network.features(pixels)))
        return grid.mean((-2, -1)), grid
    tokens = network.forward_features(pixels)
    if tokens.ndim == 4:
        return tokens.mean((-2, -1)), tokens
    size = (
        pixels.shape[-2] // network.patch_embed.patch_size[0],
        pixels.shape[-1] // network.patch_embed.patch_size[1],
    )
    return tokens[:, 0], tokens[:, 1:].transpose(1, 2).unflatten(2, size)


@pytest.mark.parametrize("head", [True, False], ids=["with_head", "without_head"])
@pytest.mark.parametrize("name", cases(list(PUBLISHED)))
def test_a_file_gives_torchgeos_features(name: str, head: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that passes torchgeo's assertions is read by both."""
    entry, (model, weights) = ENTRIES[name], PUBLISHED[name]
    settings: dict[str, Any] = {} if model.startswith("swin") else {"in_chans": len(entry.bands)}
    if "dinov2" in model:
        settings["img_size"] = weights.meta["img_size"]
    whole = get_model(model, weights=None, **settings)
    if model.startswith("swin"):
        whole.features[0][0] = nn.Conv2d(len(entry.bands), whole.features[0][0].out_channels, 4, 4)
    state = with_noisy_norms(whole).state_dict()
    # torchgeo's Swin needs its head in the file; here it is optional.
    heads = ("head.", "fc.")
    kept = {key: value for key, value in state.items() if head or not key.startswith(heads)}
    torch.save(kept, folder / "published.pth")
    file = state if model.startswith("swin") else kept
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: file)
    published = get_model(model, weights=weights).eval()
    side = entry.image_size if not entry.any_size else min(entry.image_size, 4 * entry.patch)
    pixels = torch.randn(2, len(entry.bands), side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        backbone = entry.load(entry, folder / "published.pth", 0, entry.bands)
        sensor = entry.bands[0].sensor
        tap = backbone({sensor: pixels[:, None]}, [len(backbone.layers) - 1])[0]
        vector, grid = features(published, pixels)
    torch.testing.assert_close(tap.vector, vector, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tap.grid, grid, rtol=1e-5, atol=1e-5)
