"""Networks of photographs, of any sensor and of series, against their publishers' own classes and recorded outputs."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.util
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchgeo.models
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torchgeo.models import CopernicusFM, Panopticon, ScaleMAE

from bench.core import Band, ModelEntry, Tap
from bench.core.errors import Incompatible
from bench.models import anysat, copernicusfm, dinov2, dinov3, olmoearth, panopticon, scalemae
from bench.networks.acquisition import days_since_1970
from bench.networks.anysat import AnySatBackbone, AnySatNetwork, buckets, days_of
from bench.networks.dinov2 import resized_positions

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 4}
needs_olmoearth = pytest.mark.skipif(
    importlib.util.find_spec("olmoearth_pretrain_minimal") is None, reason="olmoearth_pretrain_minimal is not installed"
)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shaken(network: Any, scale: float = 0.05) -> Any:
    """Return the network with noise on every weight, so that none is at a value that hides it."""
    generator = torch.Generator().manual_seed(1)
    for weight in network.parameters():
        weight.add_(scale * torch.randn(weight.shape, generator=generator))
    return network.eval()


def through(blocks: Sequence[nn.Module], run: Callable[[], Any]) -> tuple[Any, list[Tensor]]:
    """Return what `run` gives, and what each of `blocks` gave on the way."""
    seen: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, given: seen.append(given)) for block in blocks]
    try:
        return run(), seen
    finally:
        for hook in hooks:
            hook.remove()


def tokens(tap: Tap) -> Tensor:
    """Return (B, 1 + h w, D) of a tap with a class token."""
    assert tap.cls is not None
    return torch.cat([tap.cls[:, None], tap.grid.flatten(2).transpose(1, 2)], 1)


def hold(taps: Sequence[Tap], states: Sequence[Tensor], prefix: int = 1) -> None:
    """Assert that taps from ``block_1`` on are the states, where register tokens follow the class token."""
    assert len(taps) == len(states)
    for tap, state in zip(taps, states, strict=True):
        torch.testing.assert_close(tokens(tap), torch.cat([state[:, :1], state[:, prefix:]], 1), **CLOSE)


def entry_of(entries: Sequence[ModelEntry], name: str) -> ModelEntry:
    return next(entry for entry in entries if entry.name == name)


def small_timm(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Make timm build its networks narrow and shallow."""
    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **given: real(name, **{**given, **SMALL, **settings}))


# --- photographs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dinov2_small", "dinov2_small.reg4"])
def test_dinov2_is_timms_on_its_own_grid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    small_timm(monkeypatch, img_size=70)
    entry = entry_of(dinov2.ENTRIES, name)
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    pixels = normal(2, 3, 70, 70)
    shaken(backbone.network)
    final, states = through(backbone.network.blocks, lambda: backbone.network.forward_features(pixels))
    taps = backbone({"rgb": pixels[:, None]}, range(1, 5))
    hold(taps, [*states, final], prefix=backbone.network.num_prefix_tokens)
    assert torch.equal(taps[-1].vector, taps[-1].cls)


def test_dinov2_with_registers_is_timms_on_any_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch, img_size=70)
    entry = entry_of(dinov2.ENTRIES, "dinov2_small.reg4")
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    pixels = normal(2, 3, 42, 56)
    final = shaken(backbone.network).forward_features(pixels)
    hold(backbone({"rgb": pixels[:, None]}, [4]), [final], prefix=5)


def test_dinov2_samples_its_positions_where_its_authors_do() -> None:
    """Bicubic interpolation keeps a ramp but for ripples, so values tell places: (i + 0.5) 37 / 16.1 - 0.5."""
    ramp = torch.arange(37.0).reshape(1, 37, 1, 1).expand(1, 37, 37, 2)
    positions = torch.cat([torch.full((1, 1, 2), 7.0), ramp.reshape(1, -1, 2)], 1)
    assert torch.equal(resized_positions(positions, (37, 37), (37, 37)), positions)
    resized = resized_positions(positions, (37, 37), (16, 14))
    assert resized.shape == (1, 1 + 16 * 14, 2) and bool((resized[:, 0] == 7).all())
    rows = resized[0, 1:, 0].reshape(16, 14)[:, 0]
    ripples = (rows - ((torch.arange(16) + 0.5) * 37 / 16.1 - 0.5))[1:-1]
    assert float(ripples.abs().max()) < 0.06 and abs(float(ripples.mean())) < 0.01


def test_dinov2_loads_the_authors_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_timm(monkeypatch, img_size=70)
    entry = entry_of(dinov2.ENTRIES, "dinov2_small")
    first: Any = entry.load(entry, None, 0, entry.bands)
    torch.save({**first.network.state_dict(), "mask_token": torch.zeros(1, 48)}, tmp_path / "dinov2.pth")
    again = entry.load(entry, tmp_path / "dinov2.pth", 1, entry.bands)
    images = {"rgb": normal(1, 1, 3, 42, 42)}
    assert torch.equal(again(images, [4])[0].grid, first(images, [4])[0].grid)


def test_dinov3_is_timms_with_rounded_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    entry = dinov3.ENTRIES[0]
    backbone: Any = entry.load(entry, None, 0, entry.bands)
    network, pixels = shaken(backbone.network), normal(2, 3, 64, 48)
    exact = network.rope.temperature ** (2 * torch.arange(3) / 6)
    assert torch.equal(network.rope.periods, exact.to(torch.bfloat16).float())
    final, states = through(network.blocks, lambda: network.forward_features(pixels))
    hold(backbone({"rgb": pixels[:, None]}, range(1, 5)), [*states, final], prefix=5)
    assert backbone.layers[-1].name == "norm" and not isinstance(network.norm, nn.Identity)


@pytest.mark.parametrize("entry", [*dinov2.ENTRIES, *dinov3.ENTRIES], ids=lambda entry: entry.name)
def test_facts_of_photograph_networks_are_timms(entry: ModelEntry) -> None:
    tag = entry.weights.url.split("/")[4]
    facts = get_pretrained_cfg(tag)
    assert facts.hf_hub_id == f"timm/{tag}" and facts.license.replace("-", " ") in (
        "apache 2.0",
        "dinov3 license",
    )
    for value, published in zip(entry.normalise.shift + entry.normalise.scale, facts.mean + facts.std, strict=True):
        assert math.isclose(value, 255 * published)
    if entry.name.startswith("dinov3"):
        assert entry.image_size == facts.input_size[-1]


def test_random_twins_of_dino_are_more_than_their_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    for entry in (dinov2.ENTRIES[0], dinov3.ENTRIES[0]):
        first, last = entry.load(entry, None, 0, entry.bands)({"rgb": normal(1, 1, 3, 224, 224)}, [0, 3])
        assert float((first.grid - last.grid).std() / first.grid.std()) > 0.01


@pytest.mark.parametrize("side", [64, 96])
def test_scalemae_is_torchgeos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, side: int) -> None:
    tiny = partial(ScaleMAE, img_size=side, norm_layer=partial(nn.LayerNorm, eps=1e-6), **SMALL)
    monkeypatch.setattr(torchgeo.models, "scalemae_large_patch16", tiny)
    published, entry = shaken(tiny(res=1.0, num_classes=0)), scalemae.ENTRIES[0]
    extra = {f"{part}weight": torch.zeros(1) for part in ("decoder_embed.", "fpn.conv.", "mask_token_decoder.")}
    torch.save({"model": {**published.state_dict(), **extra}}, tmp_path / "scalemae.pth")
    backbone: Any = entry.load(entry, tmp_path / "scalemae.pth", 0, entry.bands)
    pixels = normal(2, 3, side, side)
    final, states = through(published.blocks, lambda: published.forward_features(pixels))
    taps = backbone({"rgb": pixels[:, None]}, range(1, 5))
    hold(taps, [*states, final])
    assert torch.equal(taps[-1].vector, taps[-1].cls)


# --- any bands --------------------------------------------------------------------------------------------------------


def test_panopticon_is_torchgeos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def tiny(img_size: int) -> Any:
        assert img_size == 518
        built = Panopticon(attn_dim=48, img_size=56)
        built.model.blocks = built.model.blocks[:2]
        return built

    monkeypatch.setattr(torchgeo.models, "panopticon_vitb14", tiny)
    published, entry = shaken(tiny(518).model), panopticon.ENTRIES[0]
    torch.save({**published.state_dict(), "mask_token": torch.zeros(1, 768)}, tmp_path / "teacher.pth")
    bands = (
        Band(name="s2.b04", unit="dn"),
        Band(name="s1.vv", unit="db"),
        Band(name="naip.nir", unit="uint8", wavelength_um=0.8409),
        Band(name="s1.vh", unit="db"),
    )
    backbone: Any = entry.load(entry, tmp_path / "teacher.pth", 0, bands)
    images = {sensor: normal(2, 1, count, 56, 56, seed=count) for sensor, count in (("s2", 1), ("s1", 2), ("naip", 1))}
    given = {
        "imgs": torch.cat([images[sensor][:, 0] for sensor in ("s2", "s1", "naip")], 1),
        "chn_ids": torch.tensor([[664.6, -1.0, -2.0, 840.9]] * 2),
    }
    final, states = through(published.blocks, lambda: published.forward_features(given))
    taps = [backbone(images, range(1, 4)) for _ in range(2)]
    hold(taps[0], [*states, final])
    assert torch.equal(taps[0][2].grid, taps[1][2].grid), "channels must not change from call to call"
    assert torch.equal(taps[0][2].vector, taps[0][2].cls)
    larger = {sensor: normal(1, 1, values.shape[2], 70, 42) for sensor, values in images.items()}
    assert backbone(larger, [2])[0].grid.shape == (1, 768, 5, 3)
    with pytest.raises(Incompatible, match="60"):
        backbone({sensor: normal(1, 1, values.shape[2], 60, 56) for sensor, values in images.items()}, [2])


def test_panopticon_brings_positions_to_other_grids_as_dinov2() -> None:
    with torch.device("meta"):
        backbone: Any = panopticon.ENTRIES[0].load(panopticon.ENTRIES[0], None, 0, panopticon.BANDS[:1])
    learnt = normal(1, 1 + 37 * 37, 4)
    backbone.network.pos_embed = nn.Parameter(learnt)
    backbone.network.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
    # Patches of nothing leave the positions.
    backbone.network.patch_embed.forward = lambda given: torch.zeros(len(given["imgs"]), 16 * 12, 4)
    tokens = backbone.embed(torch.zeros(1, 1, 16 * 14, 12 * 14))
    torch.testing.assert_close(tokens, resized_positions(learnt, (37, 37), (16, 12)))


def test_panopticon_knows_each_channel_or_refuses() -> None:
    landsat = Band(name="landsat.thermal", unit="kelvin", wavelength_um=10.9)
    s2, s1 = Band(name="s2.b8a", unit="dn"), Band(name="s1.vh", unit="db")
    # Grouped by sensor as images are stacked; the authors' number before the suite's wavelength.
    assert panopticon.channels_of((s2, landsat, s1, Band(name="s2.b02", unit="dn", wavelength_um=0.6))) == [
        864,
        492,
        10900,
        -2,
    ]
    for band in (Band(name="s2.ndvi", unit="index"), Band(name="landsat.qa", unit="class", wavelength_um=0.0)):
        with pytest.raises(Incompatible, match=f"{band.name} declares none"):
            panopticon.channels_of((s2, band))


@pytest.fixture
def copernicus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Any, Callable[..., Any]]:
    """torchgeo's class, small, and what the entry loads of its file for bands of a ground sampling distance."""
    tiny = partial(CopernicusFM, **SMALL)
    monkeypatch.setattr(torchgeo.models, "copernicusfm_base", tiny)
    published = shaken(tiny(norm_layer=partial(nn.LayerNorm, eps=1e-6)))
    state = {key: value for key, value in published.state_dict().items() if not key.startswith(("fc_norm.", "head."))}
    torch.save(state, tmp_path / "copernicusfm.pth")
    entry = copernicusfm.ENTRIES[0]

    def load(gsd: float | None, *names: str) -> Any:
        bands = tuple(dataclasses.replace(band, gsd_m=gsd) for band in entry.bands if band.name in names)
        return entry.load(entry, tmp_path / "copernicusfm.pth", 0, bands)

    return published, load


WHERE = torch.tensor([[11.0, 48.0], [-60.0, -3.0]])
WHEN = torch.tensor([[[2020, 5, 15]], [[1969, 12, 31]]])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("side", [224, 96])
def test_copernicusfm_is_torchgeos(copernicus: tuple[Any, Callable[..., Any]], known: bool, side: int) -> None:
    published, load = copernicus
    backbone = load(10.0 if known else None, "s2.b02", "s2.b8a", "s1.vv")
    images = {"s2": normal(2, 1, 2, side, side), "s1": normal(2, 1, 1, side, side, seed=1)}
    meta = torch.full((2, 4), torch.nan)
    if known:
        meta = torch.cat([WHERE, torch.tensor([[18397.0, 0.0256], [-1.0, 0.0256]])], 1)
    final, states = through(
        published.blocks,
        lambda: published.forward_features(
            torch.cat([images["s2"], images["s1"]], 2)[:, 0], meta, [490, 860, 5e7], [65, 20, 1e9]
        ),
    )
    facts = {"when": WHEN, "where": WHERE} if known else {}
    taps = backbone(images, range(1, 4), **facts)
    hold(taps, states)
    torch.testing.assert_close(published.fc_norm(taps[-1].vector), final, **CLOSE)


def test_copernicusfm_replaces_what_is_unknown_image_by_image(copernicus: tuple[Any, Callable[..., Any]]) -> None:
    backbone = copernicus[1](None, "s2.b02")
    images = {"s2": normal(2, 1, 1, 32, 32)}
    where, when = WHERE.clone(), WHEN.clone()
    where[1] = torch.nan
    when[1, 0, 1] = -1
    mixed = backbone(images, [3], when=when, where=where)[0].grid
    known = backbone(images, [3], when=WHEN, where=WHERE)[0].grid
    unknown = backbone(images, [3])[0].grid
    torch.testing.assert_close(mixed[0], known[0], **CLOSE)
    torch.testing.assert_close(mixed[1], unknown[1], **CLOSE)
    assert not torch.allclose(known, unknown)


def test_copernicusfm_takes_places_at_the_edge_and_areas_out_of_its_range(
    copernicus: tuple[Any, Callable[..., Any]],
) -> None:
    images = {"s2": normal(2, 1, 1, 32, 32)}
    edge = torch.tensor([[-180.0, -90.0], [180.0, 90.0]])
    fine, unknown = copernicus[1](0.5, "s2.b02"), copernicus[1](None, "s2.b02")
    assert torch.equal(fine(images, [3])[0].grid, unknown(images, [3])[0].grid)
    assert bool(fine(images, [3], where=edge)[0].grid.isfinite().all())


def test_copernicusfm_has_the_authors_norms_and_a_spectrum_for_each_band() -> None:
    entry = copernicusfm.ENTRIES[0]
    with torch.device("meta"):
        backbone: Any = entry.load(entry, None, 0, entry.bands)
        published = torchgeo.models.copernicusfm_base()
    assert {part.eps for part in backbone.network.modules() if isinstance(part, nn.LayerNorm)} >= {1e-6}
    assert all(block.norm1.eps == 1e-6 for block in backbone.network.blocks)
    wanted = {k for k in published.state_dict() if not k.startswith(("fc_norm.", "head.", "patch_embed_variable."))}
    assert set(backbone.network.state_dict()) == wanted
    for band, shift in zip(entry.bands, entry.normalise.shift, strict=True):
        centre, width, mean, deviation = copernicusfm.SPECTRA[band.name]
        assert centre >= 100 and width >= 1 and deviation > 0 and mean == shift
        assert band.unit == "db" or math.isclose(centre, 1000 * (band.wavelength_um or 0))


def test_days_are_those_of_the_calendar() -> None:
    first = datetime.date(1970, 1, 1)
    dates = [first + datetime.timedelta(days=days) for days in range(-40000, 50000, 173)]
    found = days_since_1970(torch.tensor([[date.year, date.month, date.day] for date in dates]))
    assert found.tolist() == [(date - first).days for date in dates]
    assert bool(days_since_1970(torch.tensor([[2020, -1, 3], [-1, 2, 3], [2020, 2, -1]])).isnan().all())


# --- series -----------------------------------------------------------------------------------------------------------


SERIES = torch.tensor([[[2020, 1, 15], [2020, 7, 3], [2021, 12, 30]], [[2018, 2, 1], [2018, 3, 1], [2019, 4, 1]]])


@needs_olmoearth
@pytest.mark.parametrize("sensors", [("s2",), ("s1",), ("s2", "s1")])
@pytest.mark.parametrize(("name", "version"), [("olmoearth_nano", "v1"), ("olmoearth_nano.v1_2", "v1.2")])
def test_olmoearth_is_its_publishers(tmp_path: Path, name: str, version: Any, sensors: tuple[str, ...]) -> None:
    from olmoearth_pretrain_minimal import OlmoEarthPretrain_v1
    from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.datatypes import MaskedOlmoEarthSample

    published: Any = OlmoEarthPretrain_v1("nano", version).model
    encoder = shaken(published.encoder)
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    entry = entry_of(olmoearth.ENTRIES, name)
    bands = tuple(band for band in entry.bands if band.sensor in sensors)
    backbone: Any = entry.load(entry, tmp_path / "weights.pth", 0, bands)
    images = {s: normal(2, 3, sum(b.sensor == s for b in bands), 16, 16, seed=len(s)) for s in sensors}
    fields = {}
    for sensor, values in images.items():
        modality = {"s2": "sentinel2_l2a", "s1": "sentinel1"}[sensor]
        groups = encoder.tokenization_config.get_num_bandsets(modality)
        fields[modality] = values.permute(0, 3, 4, 1, 2)
        fields[f"{modality}_mask"] = torch.zeros(2, 16, 16, 3, groups)
    year, month, day = SERIES.unbind(-1)
    sample = MaskedOlmoEarthSample(timestamps=torch.stack([day, month - 1, year], -1), **fields)
    final, states = through(encoder.blocks, lambda: encoder(sample, patch_size=4)["tokens_and_masks"])
    taps = backbone(images, range(1, 6), when=SERIES)
    for tap, state in zip(taps[:-1], states, strict=True):
        torch.testing.assert_close(tap.vector, state.mean(1), **CLOSE)
    torch.testing.assert_close(taps[-1].vector, final.pool_instance_wise("mean"), **CLOSE)
    torch.testing.assert_close(taps[-1].grid.permute(0, 2, 3, 1), final.pool_spatially("mean"), **CLOSE)


@needs_olmoearth
def test_olmoearth_normalises_as_its_publisher() -> None:
    from olmoearth_pretrain_minimal import Normalizer
    from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.constants import Modality

    entry = olmoearth.ENTRIES[0]
    published = [*Modality.SENTINEL2_L2A.band_order, *Modality.SENTINEL1.band_order]
    assert [band.name.partition(".")[2] for band in entry.bands] == [name.lower() for name in published]
    raw = 3000 * normal(5, 14).double()
    shift, scale = (torch.tensor(values).double() for values in (entry.normalise.shift, entry.normalise.scale))
    found, normalizer = (raw - shift) / scale, Normalizer()
    for modality, part in ((Modality.SENTINEL2_L2A, slice(0, 12)), (Modality.SENTINEL1, slice(12, 14))):
        expected = torch.tensor(normalizer.normalize(modality, raw[:, part].numpy()))
        torch.testing.assert_close(found[:, part], expected)


@needs_olmoearth
def test_olmoearth_takes_july_where_no_date_is_known_and_metres_where_they_are() -> None:
    entry = entry_of(olmoearth.ENTRIES, "olmoearth_nano.v1_2")
    images = {"s1": normal(1, 2, 2, 16, 16)}

    def last(gsd: float | None, when: Tensor | None, other: ModelEntry = entry) -> Tensor:
        bands = tuple(dataclasses.replace(band, gsd_m=gsd) for band in entry.bands if band.sensor == "s1")
        return other.load(other, None, 0, bands)(images, [5], when=when)[0].grid

    july = torch.tensor([[[2020, 7, 1]] * 2])
    assert torch.equal(last(None, None), last(10.0, july))
    assert torch.equal(last(None, torch.full((1, 2, 3), -1)), last(None, july))
    assert not torch.allclose(last(None, july), last(None, july + 1))
    assert not torch.allclose(last(10.0, july), last(20.0, july))
    assert last(10.0, july, dataclasses.replace(entry, patch=8)).shape == (1, 128, 2, 2)
    backbone = entry.load(entry, None, 0, tuple(band for band in entry.bands if band.sensor == "s1"))
    with pytest.raises(Incompatible, match="squares"):
        backbone({"s1": normal(1, 1, 2, 16, 12)}, [5])
    with pytest.raises(Incompatible, match="2 bands of s1"):
        backbone({"s1": normal(1, 1, 3, 16, 16)}, [5])


# gastruc/AnySat@e03e72e, hubconf.AnySat("tiny"), with the weights and on the input of `noise`, patches of 40 metres:
# eight values spread over the array, its mean and its standard deviation.
PUBLISHED = {
    (("s2",), "block_2 grid"): (
        [2.095806, -2.753997, 0.64126, 0.064579, -3.045512, -0.478991, -1.242663, -4.788846],
        (-0.049745, 1.968373),
    ),
    (("s2",), "block_4 vector"): (
        [3.222078, 0.457226, 1.215056, -1.162833, -0.432427, -1.020007, 1.718112, 0.632809],
        (0.048021, 1.797785),
    ),
    (("s2",), "block_5 grid"): (
        [0.30505, -1.326476, -1.857715, 1.327394, 0.639991, -0.679741, -1.129785, -0.500842],
        (-0.039057, 1.358419),
    ),
    (("s2",), "block_5 vector"): (
        [0.336781, -1.294451, -1.885303, 1.283849, 0.610675, -0.676901, -1.135533, -0.483375],
        (-0.037664, 1.358879),
    ),
    (("s2", "s1"), "block_2 grid"): (
        [3.027492, -1.695992, -0.719027, -0.831046, -2.268202, 0.445157, 0.823844, -4.397066],
        (-0.083552, 1.664908),
    ),
    (("s2", "s1"), "block_4 vector"): (
        [1.49877, 0.732764, 2.360625, -2.754136, -1.878286, -2.531755, 2.959055, 0.203247],
        (0.069985, 1.890496),
    ),
    (("s2", "s1"), "block_5 grid"): (
        [0.502426, -0.69216, -2.184384, 0.700531, 2.106268, -0.473141, -1.03574, -0.05247],
        (-0.065866, 1.371674),
    ),
    (("s2", "s1"), "block_5 vector"): (
        [0.315805, -0.724669, -2.033157, 0.752969, 2.002996, -0.62074, -1.067736, 0.048086],
        (-0.063422, 1.375995),
    ),
}


def noise(shape: Sequence[int], phase: int) -> Tensor:
    """Return values in -0.5..0.5 that any machine makes alike."""
    index = torch.arange(math.prod(shape), dtype=torch.float64)
    return ((torch.sin(index * 12.9898 + phase) * 43758.5453) % 1.0 - 0.5).reshape(tuple(shape))


def anysat_tiny(sensors: tuple[str, ...]) -> AnySatBackbone:
    network = AnySatNetwork(256, depth=2, heads=4)
    for name, weight in network.named_parameters():
        base = 1.0 if name.endswith("weight") and weight.ndim == 1 else 0.0
        weight.copy_(base + 0.2 * noise(weight.shape, zlib.crc32(name.encode()) % 1000))
    bands = [band for band in anysat.BANDS if band.sensor in sensors]
    return AnySatBackbone(network, bands, patch=4)


@pytest.mark.parametrize(("sensors", "what"), list(PUBLISHED))
def test_anysat_is_its_publishers(sensors: tuple[str, ...], what: str) -> None:
    backbone = anysat_tiny(sensors)
    images = {"s2": 4 * noise((2, 3, 10, 16, 16), 0).float(), "s1": 4 * noise((2, 3, 2, 16, 16), 1).float()}
    # Days 0, 100, 365 and 59, 60, 200 of a leap year.
    when = torch.tensor(
        [[[2020, 1, 1], [2020, 4, 10], [2020, 12, 31]], [[2020, 2, 29], [2020, 3, 1], [2020, 7, 19]]],
    )
    layer, part = what.split()
    index = [layer.name for layer in backbone.layers].index(layer)
    tap = backbone({sensor: images[sensor] for sensor in sensors}, [index], when=when)[0]
    found = getattr(tap, part).flatten()
    values, moments = PUBLISHED[sensors, what]
    spread = found[torch.linspace(0, len(found) - 1, len(values)).long()]
    torch.testing.assert_close(spread, torch.tensor(values), rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(torch.stack([found.mean(), found.std()]), torch.tensor(moments), rtol=1e-4, atol=2e-5)


def test_anysat_embeds_a_pixel_by_itself_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = anysat_tiny(("s1",))
    images = normal(2, 2, 2, 8, 8)
    whole = backbone({"s1": images}, [0, 5])
    monkeypatch.setattr("bench.networks.anysat.CHUNK", 10)
    for one, other in zip(backbone({"s1": images}, [0, 5]), whole, strict=True):
        torch.testing.assert_close(one.grid, other.grid, **CLOSE)
    moved = images.clone()
    moved[:, :, :, 0, 0] += 1
    changed = (backbone({"s1": moved}, [0])[0].grid - whole[0].grid).abs().amax((0, 1)) > 1e-3
    assert changed.tolist() == [[True, False], [False, False]]


def test_anysat_buckets_grow_with_distance() -> None:
    ids = buckets(12, torch.device("cpu"))
    assert ids.shape == (145, 145) and bool((ids[0] == 7).all()) and bool((ids[:, 0] == 7).all())
    # From the corner along a row: itself, 1, then logarithmically up to the last.
    assert ids[1, 1:13].tolist() == [3, 4, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6]
    assert torch.equal(ids, ids.T)


def test_anysat_days_and_refusals() -> None:
    images = normal(1, 3, 2, 8, 8)
    dates = [(1900, 3, 1), (2000, 3, 1), (2023, 12, 31)]
    expected = [(datetime.date(*date) - datetime.date(date[0], 1, 1)).days for date in dates]
    assert days_of(torch.tensor([dates]), images).tolist() == [expected]
    assert days_of(torch.tensor([[(2020, -1, 3)] * 3]), images).tolist() == [[0.0] * 3]
    assert days_of(None, images).tolist() == [[0.0] * 3]
    backbone = anysat_tiny(("s1",))
    for bad in (normal(1, 3, 2, 8, 4), normal(1, 3, 2, 10, 10), normal(1, 3, 3, 8, 8)):
        with pytest.raises(Incompatible):
            backbone({"s1": bad}, [5])
    with pytest.raises(Incompatible, match="2 dates for 3 images"):
        backbone({"s1": images}, [5], when=torch.tensor([[(2020, 1, 1)] * 2]))


def test_anysat_takes_its_part_of_the_publishers_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.networks.anysat.AnySatNetwork", lambda width, depth, heads: AnySatNetwork(256, 2, 4))
    network = anysat_tiny(("s2",)).network
    others = {"projector_l8.patch_embed.Q": torch.zeros(1), "projector_s2.pad_parameter": torch.zeros(())}
    torch.save({"state_dict": {**network.state_dict(), **others}}, tmp_path / "AnySat.pth")
    entry = anysat.ENTRIES[0]
    backbone = entry.load(entry, tmp_path / "AnySat.pth", 0, entry.bands[:10])
    images = {"s2": normal(1, 1, 10, 8, 8)}
    assert torch.equal(backbone(images, [5])[0].grid, anysat_tiny(("s2",))(images, [5])[0].grid)
