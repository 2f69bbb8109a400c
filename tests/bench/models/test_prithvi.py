"""Prithvi against terratorch: files, and every layer."""

from __future__ import annotations

import importlib.util
import math
import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core import ModelEntry
from bench.core.errors import Incompatible, MissingWeights
from bench.models import prithvi
from bench.networks.prithvi import prithvi_module, year_and_day
from tests.builders.networks import (
    assert_close,
    assert_file_is_checked,
    assert_same_taps,
    normal,
    torch_settings_kept,
    with_noise,
)

if importlib.util.find_spec("terratorch") is None:
    pytest.skip("terratorch is not installed", allow_module_level=True)


PRITHVI = {entry.name: entry for entry in prithvi.ENTRIES}
KNOWN = torch.tensor([[[2019, 3, 1], [2020, 12, 31], [2021, 6, 15], [2018, 1, 1], [2020, 3, 1]]] * 2)
PLACE = torch.tensor([[11.5, 48.25], [-60.0, -3.0]])  # longitude, latitude


def small_prithvi(monkeypatch: pytest.MonkeyPatch, name: str) -> ModelEntry:
    monkeypatch.setitem(prithvi.HEADS, 32, 2)
    return replace(PRITHVI[name], image_size=32, patch=8, depth=3, width=32)


def published_prithvi(dates: int = 4, *, located: bool) -> Any:
    """Return a small autoencoder of the publishers with random weights."""
    return with_noise(
        prithvi_module().PrithviMAE(
            img_size=32,
            patch_size=(1, 8, 8),
            num_frames=dates,
            in_chans=6,
            embed_dim=32,
            depth=3,
            num_heads=2,
            decoder_embed_dim=32,
            decoder_depth=1,
            decoder_num_heads=2,
            coords_encoding=["time", "location"] if located else [],
            coords_scale_learn=located,
        )
    )


def coordinates(when: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Return year and day of the year (B, T, 2), and latitude and longitude (B, 2), as terratorch takes them."""
    days = [[[y, date(y, m, d).timetuple().tm_yday] for y, m, d in sample] for sample in when.tolist()]
    return torch.tensor(days, dtype=torch.float32), where.flip(-1)


@pytest.mark.parametrize("name", ["prithvi_v1_100", "prithvi_v2_tiny_tl"])
@pytest.mark.parametrize(("dates", "side"), [(1, (32, 32)), (2, (16, 24)), (4, (32, 32)), (5, (32, 32))])
def test_every_layer_agrees_with_terratorch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, dates: int, side: tuple[int, int]
) -> None:
    entry, located = small_prithvi(monkeypatch, name), name.endswith("_tl")
    published = published_prithvi(located=located)
    torch.save(published.state_dict(), tmp_path / "prithvi.pt")
    backbone: Any = entry.load(entry, tmp_path / "prithvi.pt", 0, entry.bands)
    # terratorch's class is built for one number of dates; all its weights but the positions fit any number.
    encoder = published_prithvi(dates, located=located).encoder
    state = {k: v for k, v in published.encoder.state_dict().items() if k != "pos_embed"}
    assert encoder.load_state_dict(state, strict=False).missing_keys == ["pos_embed"]
    pixels, when = normal(2, dates, 6, *side), KNOWN[:, :dates]
    expected = encoder.forward_features(pixels.transpose(1, 2), *coordinates(when, PLACE))
    states = list(backbone.states(pixels.transpose(1, 2), when, PLACE))
    assert len(states) == len(expected) + 2
    for state, output in zip((*states[1:3], states[4]), expected, strict=True):
        assert_close(state, output)
    assert_close(encoder.norm(states[3]), expected[-1])
    assert_close(encoder.blocks[0](states[0]), expected[0])
    tap = backbone({"hls": pixels}, [4], when=when, where=PLACE)[0]
    patches = expected[-1][:, 1:].reshape(2, dates, side[0] // 8, side[1] // 8, 32)
    assert_close(tap.grid, patches.mean(1).permute(0, 3, 1, 2))
    assert_close(tap.vector, expected[-1][:, 1:].mean(1))
    assert_close(tap.cls, expected[-1][:, 0])


def test_unknown_dates_and_coordinates_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = small_prithvi(monkeypatch, "prithvi_v2_tiny_tl")
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    with_noise(backbone)
    pixels, when, where = normal(2, 3, 6, 32, 32), KNOWN[:, :3].clone(), PLACE.clone()

    def vectors(when: Tensor | None, where: Tensor | None) -> Tensor:
        return backbone({"hls": pixels}, [4], when=when, where=where)[0].vector

    both, neither = vectors(when, where), vectors(None, None)
    assert not torch.allclose(both, vectors(when, None)) and not torch.allclose(both, vectors(None, where))
    when[1, 2, 1] = -1
    where[1, 0] = math.nan
    assert_close(vectors(when, where), torch.stack([both[0], neither[1]]))
    # Networks that were trained without dates ignore them.
    entry = small_prithvi(monkeypatch, "prithvi_v2_300")
    plain: Any = entry.load(entry, None, 0, entry.bands)
    dated, undated = (plain({"hls": pixels}, [4], when=dates, where=PLACE)[0] for dates in (KNOWN[:, :3], None))
    assert_close(dated.vector, undated.vector)


def test_days_of_the_year_are_those_of_the_calendar() -> None:
    generator = random.Random(0)
    first, last = date(1999, 1, 1).toordinal(), date(2032, 12, 31).toordinal()
    days = [date.fromordinal(generator.randint(first, last)) for _ in range(50)]
    days += [date(2000, 2, 29), date(2100, 3, 1), date(2020, 12, 31), date(2019, 12, 31), date(2021, 1, 1)]
    when = torch.tensor([[[day.year, day.month, day.day] for day in days]], dtype=torch.int32)
    coded, known = year_and_day(when)
    assert coded.tolist() == [[[float(day.year), float(day.timetuple().tm_yday)] for day in days]] and known.all()
    coded, known = year_and_day(torch.tensor([[[2020, 3, -1]], [[-1, -1, -1]]]))
    assert coded[0].tolist() == [[2020.0, 75.0]] and known.tolist() == [True, False]


def test_a_wrong_file_or_wrong_images_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = small_prithvi(monkeypatch, "prithvi_v2_300_tl")
    state = published_prithvi(located=True).state_dict()
    assert_file_is_checked(entry, state, tmp_path / "file.pt", "encoder.blocks.1.attn.qkv.weight")
    # A network with dates and coordinates does not load the file of one without, nor the reverse.
    torch.save(published_prithvi(located=False).state_dict(), tmp_path / "file.pt")
    with pytest.raises(MissingWeights, match=r"2 missing from the file \(temporal_embed_enc\.scale, location_embed"):
        entry.load(entry, tmp_path / "file.pt", 0, entry.bands)
    backbone = entry.load(entry, None, 0, entry.bands)
    for images in ({"s2": normal(1, 1, 6, 32, 32)}, {"hls": normal(1, 1, 5, 32, 32)}, {"hls": normal(1, 1, 6, 30, 32)}):
        with pytest.raises(Incompatible):
            backbone(images, [0])


def test_files_of_the_first_version_without_prefixes_are_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = small_prithvi(monkeypatch, "prithvi_v1_100")
    state = published_prithvi(3, located=False).state_dict()
    taps = []
    for name, strip in (("new.pt", False), ("old.pt", True)):
        kept = {k.removeprefix("encoder.").removeprefix("decoder.") if strip else k: v for k, v in state.items()}
        torch.save(kept, tmp_path / name)
        backbone = entry.load(entry, tmp_path / name, 0, entry.bands)
        taps.append(backbone({"hls": normal(1, 1, 6, 32, 32)}, [4])[0])
    assert_same_taps(taps[:1], taps[1:])


@pytest.mark.slow
def test_the_smallest_network_agrees_with_terratorch_as_a_whole(tmp_path: Path) -> None:
    """terratorch builds the smallest published network from its registry and reads the file in its own way."""
    with torch_settings_kept():
        import terratorch.models.backbones.prithvi_vit as module

    entry = PRITHVI["prithvi_v2_tiny_tl"]
    settings = {key: value for key, value in module.prithvi_cfgs["prithvi_eo_v2_tiny_tl"].items() if key != "bands"}
    torch.save(with_noise(prithvi_module().PrithviMAE(**settings)).state_dict(), tmp_path / "tiny.pt")
    theirs = module.prithvi_eo_v2_tiny_tl(pretrained=True, ckpt_path=str(tmp_path / "tiny.pt")).eval()
    backbone: Any = entry.load(entry, tmp_path / "tiny.pt", 0, entry.bands)
    pixels, when = normal(2, 1, 6, 224, 224), KNOWN[:, :1]
    expected = theirs(pixels.transpose(1, 2), *coordinates(when, PLACE))
    states = list(backbone.states(pixels.transpose(1, 2), when, PLACE))
    for state, output in zip(states[1:12], expected, strict=False):
        assert_close(state, output)
    assert_close(backbone({"hls": pixels}, [13], when=when, where=PLACE)[0].vector, expected[-1][:, 1:].mean(1))
    assert list(entry.normalise.shift) == settings["mean"] and list(entry.normalise.scale) == settings["std"]
    for name, facts in PRITHVI.items():
        variant = name.replace("prithvi_", "prithvi_eo_")
        config, file = module.prithvi_cfgs[variant], module.pretrained_weights[variant]
        assert (facts.depth, facts.width, facts.patch) == (
            config["depth"],
            config["embed_dim"],
            config["patch_size"][1],
        )
        assert prithvi.HEADS[facts.width] == config["num_heads"]
        assert [*facts.normalise.shift, *facts.normalise.scale] == [*config["mean"], *config["std"]]
        assert facts.weights and f"/{file['hf_hub_id']}/" in facts.weights.url
        assert facts.weights.url.endswith(f"/{file['hf_hub_filename']}")
