"""Networks that come from terratorch, or that it carries too, against terratorch's own: files, and every layer."""

from __future__ import annotations

import importlib.util
import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.core import Band, ModelEntry
from bench.core.errors import Incompatible, MissingWeights
from bench.models import clay, prithvi, terramind

if importlib.util.find_spec("terratorch") is None:
    pytest.skip("terratorch is not installed", allow_module_level=True)

from bench.networks.clay import encoded_place, encoded_week
from bench.networks.from_terratorch import terratorch_module
from bench.networks.prithvi import prithvi_module, year_and_day

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")
PRITHVI = {entry.name: entry for entry in prithvi.ENTRIES}
TERRAMIND = {entry.name: entry for entry in terramind.ENTRIES}
CLAY = {entry.name: entry for entry in clay.ENTRIES}
NORM = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)
KNOWN = torch.tensor([[[2019, 3, 1], [2020, 12, 31], [2021, 6, 15], [2018, 1, 1], [2020, 3, 1]]] * 2)
PLACE = torch.tensor([[11.5, 48.25], [-60.0, -3.0]])  # longitude, latitude


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def whole_terratorch() -> Iterator[ModuleType]:
    """terratorch imported as its users import it, what that does to the process undone afterwards."""
    precision, flag = torch.get_float32_matmul_precision(), os.environ.get("TORCH_CUDNN_V8_API_DISABLED")
    import terratorch.models.backbones.prithvi_vit as module

    torch.set_float32_matmul_precision(precision)
    if flag is None:
        os.environ.pop("TORCH_CUDNN_V8_API_DISABLED", None)
    yield module


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shaken(module: nn.Module) -> Any:
    """Return the module with every parameter moved off its initial value, where zeros and ones hide mistakes."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def tokens_of(backbone: Any, *given: Any) -> list[Tensor]:
    return list(backbone.states(*given))


def assert_file_is_checked(entry: ModelEntry, state: dict[str, Tensor], path: Path, key: str) -> None:
    """A file that lacks a key, or holds one more, or one of another shape, is an error that names it."""
    for broken, said in (
        ({k: v for k, v in state.items() if k != key}, "missing from the file"),
        ({**state, "encoder.extra.weight": torch.zeros(1)}, r"unknown to the network \(.*extra\.weight"),
        ({**state, key: torch.zeros(3)}, "of another shape or type"),
    ):
        torch.save(broken, path)
        with pytest.raises(MissingWeights, match=said) as caught:
            entry.load(entry, path, 0, entry.bands)
        assert entry.name in str(caught.value)
        assert key.removeprefix("encoder.") in str(caught.value) or "extra" in str(caught.value)


# Prithvi


def small_prithvi(monkeypatch: pytest.MonkeyPatch, name: str) -> ModelEntry:
    monkeypatch.setitem(prithvi.HEADS, 32, 2)
    return replace(PRITHVI[name], image_size=32, patch=8, depth=3, width=32)


def published_prithvi(dates: int = 4, *, located: bool) -> Any:
    """Return the publishers' autoencoder with random weights, small."""
    return shaken(
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
    """Return year and day of the year (B, T, 2), and latitude and longitude (B, 2), as terratorch wants them."""
    days = [[[y, date(y, m, d).timetuple().tm_yday] for y, m, d in sample] for sample in when.tolist()]
    return torch.tensor(days, dtype=torch.float32), where.flip(-1)


@pytest.mark.parametrize("name", ["prithvi_v1_100", "prithvi_v2_tiny_tl"])
@pytest.mark.parametrize(("dates", "side"), [(1, (32, 32)), (2, (16, 24)), (4, (32, 32)), (5, (32, 32))])
def test_prithvi_agrees_with_terratorch_at_every_layer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, dates: int, side: tuple[int, int]
) -> None:
    entry, located = small_prithvi(monkeypatch, name), name.endswith("_tl")
    published = published_prithvi(located=located)
    torch.save(published.state_dict(), tmp_path / "prithvi.pt")
    backbone: Any = entry.load(entry, tmp_path / "prithvi.pt", 0, entry.bands)
    # terratorch's class is made for one number of dates; its weights, but for the positions, are not.
    encoder = published_prithvi(dates, located=located).encoder
    state = {k: v for k, v in published.encoder.state_dict().items() if k != "pos_embed"}
    assert encoder.load_state_dict(state, strict=False).missing_keys == ["pos_embed"]
    pixels, when = noise(2, dates, 6, *side), KNOWN[:, :dates]
    wanted = encoder.forward_features(pixels.transpose(1, 2), *coordinates(when, PLACE))
    found = tokens_of(backbone, pixels.transpose(1, 2), when, PLACE)
    assert len(found) == len(wanted) + 2
    for one, other in zip((*found[1:3], found[4]), wanted, strict=True):
        NORM(one, other)
    NORM(encoder.norm(found[3]), wanted[-1])
    NORM(encoder.blocks[0](found[0]), wanted[0])
    tap = backbone({"hls": pixels}, [4], when=when, where=PLACE)[0]
    patches = wanted[-1][:, 1:].reshape(2, dates, side[0] // 8, side[1] // 8, 32)
    NORM(tap.grid, patches.mean(1).permute(0, 3, 1, 2))
    NORM(tap.vector, wanted[-1][:, 1:].mean(1))
    NORM(tap.cls, wanted[-1][:, 0])


def test_prithvi_leaves_out_the_dates_and_places_that_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = small_prithvi(monkeypatch, "prithvi_v2_tiny_tl")
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    shaken(backbone)
    pixels, when, where = noise(2, 3, 6, 32, 32), KNOWN[:, :3].clone(), PLACE.clone()

    def vectors(when: Tensor | None, where: Tensor | None) -> Tensor:
        return backbone({"hls": pixels}, [4], when=when, where=where)[0].vector

    both, neither = vectors(when, where), vectors(None, None)
    assert not torch.allclose(both, vectors(when, None)) and not torch.allclose(both, vectors(None, where))
    when[1, 2, 1] = -1
    where[1, 0] = math.nan
    NORM(vectors(when, where), torch.stack([both[0], neither[1]]))
    # Dates mean nothing to the networks that were not told of them.
    plain: Any = (other := small_prithvi(monkeypatch, "prithvi_v2_300")).load(other, None, 0, other.bands)
    assert torch.equal(*(plain({"hls": pixels}, [4], when=w, where=PLACE)[0].vector for w in (KNOWN[:, :3], None)))


def test_prithvi_counts_days_as_the_calendar_does() -> None:
    draw = random.Random(0)
    days = [date.fromordinal(draw.randint(date(1999, 1, 1).toordinal(), date(2032, 12, 31).toordinal()))]
    days += [date(2000, 2, 29), date(2100, 3, 1), date(2020, 12, 31), date(2019, 12, 31), date(2021, 1, 1)]
    when = torch.tensor([[[day.year, day.month, day.day] for day in days]], dtype=torch.int32)
    found, known = year_and_day(when)
    assert found.tolist() == [[[float(day.year), float(day.timetuple().tm_yday)] for day in days]] and known.all()
    found, known = year_and_day(torch.tensor([[[2020, 3, -1]], [[-1, -1, -1]]]))
    assert found[0].tolist() == [[2020.0, 75.0]] and known.tolist() == [True, False]


def test_prithvi_is_told_of_a_wrong_file_or_wrong_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = small_prithvi(monkeypatch, "prithvi_v2_300_tl")
    state = published_prithvi(located=True).state_dict()
    assert_file_is_checked(entry, state, tmp_path / "file.pt", "encoder.blocks.1.attn.qkv.weight")
    # The files of the networks with and without dates and places are not each other's.
    torch.save(published_prithvi(located=False).state_dict(), tmp_path / "file.pt")
    with pytest.raises(MissingWeights, match=r"2 missing from the file \(temporal_embed_enc\.scale, location_embed"):
        entry.load(entry, tmp_path / "file.pt", 0, entry.bands)
    backbone = entry.load(entry, None, 0, entry.bands)
    for images in ({"s2": noise(1, 1, 6, 32, 32)}, {"hls": noise(1, 1, 5, 32, 32)}, {"hls": noise(1, 1, 6, 30, 32)}):
        with pytest.raises(Incompatible):
            backbone(images, [0])


def test_prithvi_loads_the_first_version_without_prefixes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = small_prithvi(monkeypatch, "prithvi_v1_100")
    state = published_prithvi(3, located=False).state_dict()
    taps = []
    for name, strip in (("new.pt", False), ("old.pt", True)):
        kept = {k.removeprefix("encoder.").removeprefix("decoder.") if strip else k: v for k, v in state.items()}
        torch.save(kept, tmp_path / name)
        backbone = entry.load(entry, tmp_path / name, 0, entry.bands)
        taps.append(backbone({"hls": noise(1, 1, 6, 32, 32)}, [4])[0])
    assert torch.equal(taps[0].grid, taps[1].grid)


@pytest.mark.slow
def test_prithvi_agrees_with_terratorch_as_its_users_load_it(whole_terratorch: ModuleType, tmp_path: Path) -> None:
    """Of the smallest published size, by terratorch's registry and its own way to read a file."""
    entry, module = PRITHVI["prithvi_v2_tiny_tl"], whole_terratorch
    settings = {key: value for key, value in module.prithvi_cfgs["prithvi_eo_v2_tiny_tl"].items() if key != "bands"}
    torch.save(shaken(prithvi_module().PrithviMAE(**settings)).state_dict(), tmp_path / "tiny.pt")
    theirs = module.prithvi_eo_v2_tiny_tl(pretrained=True, ckpt_path=str(tmp_path / "tiny.pt")).eval()
    backbone: Any = entry.load(entry, tmp_path / "tiny.pt", 0, entry.bands)
    pixels, when = noise(2, 1, 6, 224, 224), KNOWN[:, :1]
    wanted = theirs(pixels.transpose(1, 2), *coordinates(when, PLACE))
    for one, other in zip(tokens_of(backbone, pixels.transpose(1, 2), when, PLACE)[1:12], wanted, strict=False):
        NORM(one, other)
    NORM(backbone({"hls": pixels}, [13], when=when, where=PLACE)[0].vector, wanted[-1][:, 1:].mean(1))
    assert list(entry.normalise.shift) == settings["mean"] and list(entry.normalise.scale) == settings["std"]
    for name, facts in PRITHVI.items():
        theirs_ = module.prithvi_cfgs[name.replace("prithvi_", "prithvi_eo_")]
        assert [facts.depth, facts.width, facts.patch] == [theirs_[k] for k in ("depth", "embed_dim")] + [
            theirs_["patch_size"][1]
        ]
        assert prithvi.HEADS[facts.width] == theirs_["num_heads"]
        assert [*facts.normalise.shift, *facts.normalise.scale] == [*theirs_["mean"], *theirs_["std"]]
        there = module.pretrained_weights[name.replace("prithvi_", "prithvi_eo_")]
        assert facts.weights and f"/{there['hf_hub_id']}/" in facts.weights.url
        assert facts.weights.url.endswith(f"/{there['hf_hub_filename']}")


# TerraMind


def small_terramind(monkeypatch: pytest.MonkeyPatch, name: str) -> ModelEntry:
    monkeypatch.setitem(terramind.HEADS, 32, 2)
    monkeypatch.setattr(terramind, "GATED", (32,) if name == "terramind_base" else ())
    return replace(TERRAMIND[name], image_size=64, depth=3, width=32)


def published_terramind(*, gated: bool) -> Any:
    """Return the publishers' whole network, encoder and decoder, with random weights, small."""
    path = "models.backbones.terramind.model"
    facts = terratorch_module(f"{path}.modality_info").MODALITY_INFO
    inputs = ["untok_sen2l2a@224", "untok_sen2l1c@224", "untok_sen1grd@224", "untok_sen1rtc@224", "tok_lulc@224"]

    def embeddings(names: Sequence[str], kind: str) -> dict[str, nn.Module]:
        return {name: facts[name][kind](image_size=64, dim_tokens=32, **facts[name]) for name in names}

    return shaken(
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
def test_terramind_agrees_with_terratorch_at_every_layer(
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
    # As terratorch's checkpoint_filter_fn: what the encoder has, of what the file holds.
    state = published.state_dict()
    theirs.load_state_dict({key: state[key] for key in theirs.state_dict()})
    images = {sensor: noise(2, 1, 12 if sensor == "s2" else 2, *side, seed=len(sensor)) for sensor in sensors}
    wanted = theirs({terramind.MODALITIES[sensor]: values[:, 0] for sensor, values in images.items()})
    taps = backbone(images, range(5))
    size = (side[0] // 16, side[1] // 16)
    for tap, tokens in zip((*taps[1:3], taps[4]), wanted, strict=True):
        NORM(tap.grid, tokens.transpose(1, 2).reshape(2, 32, *size))
        NORM(tap.vector, tokens.mean(1))
        assert tap.cls is None
    states = tokens_of(backbone, {terramind.MODALITIES[s]: v[:, 0] for s, v in images.items()})
    NORM(theirs.encoder_norm(states[3]).unflatten(1, (len(sensors), -1)).mean(1), wanted[-1])
    assert ("fc3" in backbone.modules_map["block_1"]) == gated
    for path in backbone.modules_map["block_2"].values():
        assert isinstance(backbone.get_submodule(path), nn.Module)


def test_terramind_is_told_of_a_wrong_file_or_wrong_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = small_terramind(monkeypatch, "terramind_small")
    state = published_terramind(gated=False).state_dict()
    assert_file_is_checked(entry, state, tmp_path / "file.pt", "encoder_embeddings.untok_sen1grd@224.proj.weight")
    backbone = entry.load(entry, None, 0, entry.bands)
    for radar in ({}, {"s1": noise(1, 1, 2, 32, 64)}, {"s1": noise(1, 2, 2, 64, 64)}):
        with pytest.raises(Incompatible):
            backbone({"s2": noise(1, 1, 12, 64, 64), **radar}, [0])
    with pytest.raises(Incompatible):
        backbone({sensor: noise(1, 1, n, 60, 60) for sensor, n in (("s2", 12), ("s1", 2))}, [0])


@pytest.mark.slow
def test_terramind_has_the_facts_of_terratorch(whole_terratorch: ModuleType) -> None:
    import terratorch.models.backbones.terramind.model.terramind_register as register

    for name, entry in TERRAMIND.items():
        variant = name.replace("terramind_", "terramind_v1_")
        with torch.device("cpu"):
            theirs = register.__dict__[variant](modalities=["S2L2A", "S1GRD"]) if entry.depth == 12 else None
        if theirs is not None:
            assert sum(value.numel() for value in theirs.parameters()) == entry.parameters
        there = register.pretrained_weights[variant]
        assert entry.weights and f"/{there['hf_hub_id']}/" in entry.weights.url
        assert entry.weights.url.endswith(f"/{there['hf_hub_filename']}")
        embeddings = [terramind.EMBEDDINGS[sensor] for sensor in ("s2", "s1")]
        means, spreads = register.v1_pretraining_mean, register.v1_pretraining_std
        assert list(entry.normalise.shift) == [value for key in embeddings for value in means[key]]
        assert list(entry.normalise.scale) == [value for key in embeddings for value in spreads[key]]


def test_only_what_is_needed_of_terratorch_is_imported() -> None:
    """The whole of it would set the precision of every matrix product in the process."""
    code = (
        "import sys, torch\nfrom bench.models import prithvi, terramind\n"
        "with torch.device('meta'):\n"
        "    for entry in (*prithvi.ENTRIES[1:2], *terramind.ENTRIES[:1]): entry.load(entry, None, 0, entry.bands)\n"
        "assert torch.get_float32_matmul_precision() == 'highest'\n"
        "assert not {'terratorch', 'terratorch.tasks', 'lightning', 'albumentations'} & set(sys.modules)\n"
    )
    from subprocess import run
    from sys import executable

    assert run([executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


# Clay


@pytest.fixture(scope="module")
def clay_modules() -> tuple[ModuleType, ModuleType]:
    """terratorch's copies of Clay 1.0 and 1.5, what importing them does to the process undone."""
    precision, flag = torch.get_float32_matmul_precision(), os.environ.get("TORCH_CUDNN_V8_API_DISABLED")
    found = tuple(terratorch_module(f"models.backbones.{name}") for name in ("clay_v1.modules", "clay_v15.model"))
    torch.set_float32_matmul_precision(precision)
    if flag is None:
        os.environ.pop("TORCH_CUDNN_V8_API_DISABLED", None)
    return found[0], found[1]


def small_clay(monkeypatch: pytest.MonkeyPatch, name: str) -> ModelEntry:
    monkeypatch.setitem(clay.HEADS, 64, 2)
    return replace(CLAY[name], image_size=32, depth=3, width=64)


def clay_checkpoint(encoder: nn.Module, decoder: nn.Module) -> dict[str, Any]:
    """Return what Lightning saves of the publishers' training module: the teacher's and the optimiser's parts too."""
    parts = {"encoder": encoder, "decoder": decoder, "proj": nn.Linear(2, 3), "teacher": nn.Linear(3, 3)}
    state = {f"model.{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    optimiser = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-5, "params": [0]}]}
    settings = {"model_size": "large", "teacher": "vit", "dolls": [16, 32]}
    return {"epoch": 1, "state_dict": state, "optimizer_states": [optimiser], "hyper_parameters": settings}


SIZE = {"patch_size": 8, "dim": 64, "depth": 3, "heads": 2, "dim_head": 64, "mlp_ratio": 4}


@pytest.mark.parametrize("pattern", ["s2", "s1", "landsat", "naip", ""])
@pytest.mark.parametrize("name", ["clay_v1", "clay_v15"])
def test_clay_agrees_with_terratorch_at_every_layer(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    clay_modules: tuple[ModuleType, ModuleType],
    name: str,
    pattern: str,
) -> None:
    entry, (first, second) = small_clay(monkeypatch, name), clay_modules
    published = shaken(second.Encoder(mask_ratio=0.0, shuffle=False, **SIZE))
    decoder = second.Decoder(mask_ratio=0.0, encoder_dim=64, **{**SIZE, "dim": 32, "depth": 1})
    torch.save(clay_checkpoint(published, decoder), tmp_path / "clay.ckpt")
    bands = tuple(band for band in entry.bands if band.sensor.startswith(pattern))
    backbone: Any = entry.load(entry, tmp_path / "clay.ckpt", 0, bands)
    when = torch.tensor([[[2021, 1, 3]], [[2019, 7, 15]]])
    cube = {
        "pixels": noise(2, len(bands), 32, 32),
        "time": torch.tensor([authors_time(date(*row[0])) for row in when.tolist()]),
        "latlon": torch.tensor([authors_place(latitude, longitude) for longitude, latitude in PLACE.tolist()]),
        "gsd": torch.tensor({"s2": 10.0, "s1": 10.0, "landsat": 30.0}.get(pattern, 1.0)),
        "waves": torch.tensor([band.wavelength_um for band in bands]),
    }
    every = first.EmbeddingEncoder(img_size=32, **SIZE).eval()
    every.load_state_dict(published.state_dict())
    wanted = every(cube)
    found = tokens_of(backbone, cube["pixels"], when, PLACE)
    for one, other in zip((*found[1:3], found[4]), wanted, strict=True):
        NORM(one, other)
    NORM(found[4], published(cube)[0])
    NORM(every.transformer.norm(found[3]), wanted[-1])
    counts = {sensor: sum(band.sensor == sensor for band in bands) for sensor in dict.fromkeys(b.sensor for b in bands)}
    images = dict(zip(counts, cube["pixels"][:, None].split(list(counts.values()), 2), strict=True))
    tap = backbone(images, [4], when=when, where=PLACE)[0]
    NORM(tap.vector, wanted[-1][:, 0])
    NORM(tap.grid, wanted[-1][:, 1:].transpose(1, 2).reshape(2, 64, 4, 4))
    for path in backbone.modules_map["block_3"].values():
        assert isinstance(backbone.get_submodule(path), nn.Module)


def authors_time(day: date) -> list[float]:
    """Return the authors' encoding of the week (``docs/tutorials/wall-to-wall.ipynb``), the hour unknown."""
    week = day.isocalendar().week * 2 * math.pi / 52
    return [math.sin(week), math.cos(week), 0.0, 0.0]


def authors_place(latitude: float, longitude: float) -> list[float]:
    angles = [latitude * math.pi / 180, longitude * math.pi / 180]
    return [value for angle in angles for value in (math.sin(angle), math.cos(angle))]


def test_clay_gives_zeros_for_what_is_not_known() -> None:
    assert not encoded_week(None, 2).any() and not encoded_place(None, 2).any()
    when = torch.tensor([[[2021, 5, -1]], [[2021, -1, -1]], [[-1, -1, -1]]])
    assert encoded_week(when, 3).tolist() == [pytest.approx(authors_time(date(2021, 5, 15))), [0.0] * 4, [0.0] * 4]
    places = encoded_place(torch.tensor([[math.nan, 3.0], [10.0, 50.0]]), 2)
    NORM(places, torch.tensor([[0.0] * 4, authors_place(50.0, 10.0)]))


def test_clay_knows_the_ground_size_of_a_pixel_as_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = small_clay(monkeypatch, "clay_v15")
    images = {"s2": noise(1, 1, 10, 32, 32)}
    vectors = []
    for gsd in (10.0, 2.5):
        bands = tuple(replace(band, gsd_m=gsd) for band in entry.bands if band.sensor == "s2")
        vectors.append(entry.load(entry, None, 0, bands)(images, [4])[0].vector)
    assert not torch.allclose(*vectors)


def test_clay_is_told_of_a_wrong_file(
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


def test_each_band_of_clay_has_its_wavelength() -> None:
    for entry in CLAY.values():
        assert {band.name: band.wavelength_um for band in entry.bands} == clay.WAVELENGTHS
    assert Band(name="landsat.red", unit="dn", wavelength_um=0.65, gsd_m=30.0) in CLAY["clay_v1"].bands
