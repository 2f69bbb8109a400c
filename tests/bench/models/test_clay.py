"""Clay against terratorch's copies of it: files, and every layer."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from bench.core import Band, ModelEntry
from bench.core.errors import MissingWeights
from bench.models import clay
from bench.networks.clay import encoded_place, encoded_week
from bench.networks.from_terratorch import terratorch_module
from tests.builders.networks import assert_close, differ, normal, torch_settings_kept, with_noise

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")
if importlib.util.find_spec("terratorch") is None:
    pytest.skip("terratorch is not installed", allow_module_level=True)


CLAY = {entry.name: entry for entry in clay.ENTRIES}


PLACE = torch.tensor([[11.5, 48.25], [-60.0, -3.0]])  # longitude, latitude


@pytest.fixture(scope="module")
def clay_modules() -> tuple[ModuleType, ModuleType]:
    """terratorch's copies of Clay 1.0 and 1.5."""
    with torch_settings_kept():
        first, second = (
            terratorch_module(f"models.backbones.{name}") for name in ("clay_v1.modules", "clay_v15.model")
        )
    return first, second


def small_clay(monkeypatch: pytest.MonkeyPatch, name: str) -> ModelEntry:
    monkeypatch.setitem(clay.HEADS, 64, 2)
    return replace(CLAY[name], image_size=32, depth=3, width=64)


def clay_checkpoint(encoder: nn.Module, decoder: nn.Module) -> dict[str, Any]:
    """Return a checkpoint of the publishers' training module as Lightning saves it, with teacher and optimiser."""
    parts = {"encoder": encoder, "decoder": decoder, "proj": nn.Linear(2, 3), "teacher": nn.Linear(3, 3)}
    state = {f"model.{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    optimiser = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-5, "params": [0]}]}
    settings = {"model_size": "large", "teacher": "vit", "dolls": [16, 32]}
    return {"epoch": 1, "state_dict": state, "optimizer_states": [optimiser], "hyper_parameters": settings}


SIZE = {"patch_size": 8, "dim": 64, "depth": 3, "heads": 2, "dim_head": 64, "mlp_ratio": 4}


@pytest.mark.parametrize("pattern", ["s2", "s1", "landsat", "naip", ""])
@pytest.mark.parametrize("name", ["clay_v1", "clay_v15"])
def test_every_layer_agrees_with_terratorch(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    clay_modules: tuple[ModuleType, ModuleType],
    name: str,
    pattern: str,
) -> None:
    entry, (first, second) = small_clay(monkeypatch, name), clay_modules
    published = with_noise(second.Encoder(mask_ratio=0.0, shuffle=False, **SIZE))
    decoder = second.Decoder(mask_ratio=0.0, encoder_dim=64, **{**SIZE, "dim": 32, "depth": 1})
    torch.save(clay_checkpoint(published, decoder), tmp_path / "clay.ckpt")
    bands = tuple(band for band in entry.bands if band.sensor.startswith(pattern))
    backbone: Any = entry.load(entry, tmp_path / "clay.ckpt", 0, bands)
    when = torch.tensor([[[2021, 1, 3]], [[2019, 7, 15]]])
    cube = {
        "pixels": normal(2, len(bands), 32, 32),
        "time": torch.tensor([authors_time(date(*row[0])) for row in when.tolist()]),
        "latlon": torch.tensor([authors_place(latitude, longitude) for longitude, latitude in PLACE.tolist()]),
        "gsd": torch.tensor({"s2": 10.0, "s1": 10.0, "landsat": 30.0}.get(pattern, 1.0)),
        "waves": torch.tensor([band.wavelength_um for band in bands]),
    }
    # Clay 1.0 as terratorch has it gives every layer; Clay 1.5 gives the last one.
    layered = first.EmbeddingEncoder(img_size=32, **SIZE).eval()
    layered.load_state_dict(published.state_dict())
    expected = layered(cube)
    states = list(backbone.states(cube["pixels"], when, PLACE))
    for state, output in zip((*states[1:3], states[4]), expected, strict=True):
        assert_close(state, output)
    assert_close(states[4], published(cube)[0])
    assert_close(layered.transformer.norm(states[3]), expected[-1])
    counts = {sensor: sum(band.sensor == sensor for band in bands) for sensor in dict.fromkeys(b.sensor for b in bands)}
    images = dict(zip(counts, cube["pixels"][:, None].split(list(counts.values()), 2), strict=True))
    tap = backbone(images, [4], when=when, where=PLACE)[0]
    assert_close(tap.vector, expected[-1][:, 0])
    assert_close(tap.grid, expected[-1][:, 1:].transpose(1, 2).reshape(2, 64, 4, 4))
    for path in backbone.modules_map["block_3"].values():
        assert isinstance(backbone.get_submodule(path), nn.Module)


def authors_time(day: date) -> list[float]:
    """Return the authors' encoding of the week (``docs/tutorials/wall-to-wall.ipynb``), the hour unknown."""
    week = day.isocalendar().week * 2 * math.pi / 52
    return [math.sin(week), math.cos(week), 0.0, 0.0]


def authors_place(latitude: float, longitude: float) -> list[float]:
    """Return the authors' encoding of coordinates in degrees."""
    angles = [latitude * math.pi / 180, longitude * math.pi / 180]
    return [value for angle in angles for value in (math.sin(angle), math.cos(angle))]


def test_unknown_dates_and_coordinates_are_zeros() -> None:
    assert not encoded_week(None, 2).any() and not encoded_place(None, 2).any()
    when = torch.tensor([[[2021, 5, -1]], [[2021, -1, -1]], [[-1, -1, -1]]])
    assert encoded_week(when, 3).tolist() == [pytest.approx(authors_time(date(2021, 5, 15))), [0.0] * 4, [0.0] * 4]
    places = encoded_place(torch.tensor([[math.nan, 3.0], [10.0, 50.0]]), 2)
    assert_close(places, torch.tensor([[0.0] * 4, authors_place(50.0, 10.0)]))


def test_the_ground_size_of_a_pixel_as_fed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = small_clay(monkeypatch, "clay_v15")
    images = {"s2": normal(1, 1, 10, 32, 32)}
    vectors = []
    for gsd in (10.0, 2.5):
        bands = tuple(replace(band, gsd_m=gsd) for band in entry.bands if band.sensor == "s2")
        vectors.append(entry.load(entry, None, 0, bands)(images, [4])[0].vector)
    assert differ(*vectors)


def test_a_wrong_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clay_modules: tuple[ModuleType, ModuleType]
) -> None:
    entry = small_clay(monkeypatch, "clay_v15")
    state = {
        f"model.encoder.{k}": v for k, v in clay_modules[1].Encoder(0.0, shuffle=False, **SIZE).state_dict().items()
    }
    key = "model.encoder.transformer.layers.2.1.net.1.weight"
    torch.save({"state_dict": {k: v for k, v in state.items() if k != key}}, tmp_path / "file.ckpt")
    with pytest.raises(MissingWeights, match=r"1 missing from the file \(transformer\.layers\.2\.1\.net\.1\.weight\)"):
        entry.load(entry, tmp_path / "file.ckpt", 0, entry.bands)
    torch.save({"state_dict": {**state, "model.encoder.extra": torch.zeros(1)}}, tmp_path / "file.ckpt")
    with pytest.raises(MissingWeights, match=r"1 unknown to the network \(extra\)"):
        entry.load(entry, tmp_path / "file.ckpt", 0, entry.bands)


def test_each_band_has_its_wavelength() -> None:
    for entry in CLAY.values():
        assert {band.name: band.wavelength_um for band in entry.bands} == clay.WAVELENGTHS
    assert Band(name="landsat.red", unit="dn", wavelength_um=0.65, gsd_m=30.0) in CLAY["clay_v1"].bands
