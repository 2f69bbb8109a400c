"""Every entry there is keeps the contract of `bench.core.Backbone`, whatever family it comes from."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torchgeo.models import RCF, croma_base, dofa_base_patch16_224, vit_small_patch16_224

from bench.core import UNITS, Band, ModelEntry, Tap, lookup
from bench.core.errors import Incompatible, MissingWeights
from bench.models import croma, dofa, image_stats, rcf
from tests.builders.entries import ENTRIES, RGB, bands_of, cases

TAPS = 4  # layers that a decoder of several levels reads
WITHOUT_RANDOMNESS = {"image_stats"}
FILE_PREFIX = {
    "presto": "encoder.",
    "presto_worldcereal": "encoder.",
}  # where a publisher's file holds more than the encoder


TRAINED = [name for name, entry in ENTRIES.items() if entry.weights]
every_entry = pytest.mark.parametrize("name", cases(list(ENTRIES)), scope="module")
every_trained = pytest.mark.parametrize("name", cases(TRAINED), scope="module")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that goes away at once: pytest keeps its own, and these files are large."""
    with TemporaryDirectory() as name:
        yield Path(name)


@lru_cache(maxsize=2)
def loaded(name: str, seed: int = 0) -> Any:
    entry = ENTRIES[name]
    return entry.load(entry, None, seed, bands_of(entry))


def inputs(entry: ModelEntry, seed: int) -> dict[str, Any]:
    """Return normal noise in the shape of prepared images, with dates and places."""
    generator = torch.Generator().manual_seed(seed)
    side = min(entry.image_size, 4 * entry.patch) if entry.any_size else entry.image_size
    dates = 3 if entry.temporal else 1
    counts = Counter(band.sensor for band in bands_of(entry))
    images = {s: torch.randn(2, dates, n, side, side, generator=generator) for s, n in counts.items()}
    when = torch.tensor([[[2020, 1 + 2 * date, 15] for date in range(dates)]] * 2)
    return {"images": images, "when": when, "where": torch.tensor([[11.0, 48.0], [-60.0, -3.0]])}


def taps(backbone: Any, given: dict[str, Any], layers: Sequence[int] | None = None) -> list[Tap]:
    wanted = range(len(backbone.layers)) if layers is None else layers
    return list(backbone(given["images"], wanted, when=given["when"], where=given["where"]))


def assert_same_features(one: Tap, other: Tap) -> None:
    """Equal weights at other addresses of memory may be summed in another order, so the last bits are left open."""
    for first, second in ((one.grid, other.grid), (one.vector, other.vector)):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4 * float(second.abs().max()))


@every_entry
def test_facts_are_sound(name: str) -> None:
    entry = ENTRIES[name]
    assert all(band.unit in UNITS for band in entry.bands)
    assert len({band.name for band in entry.bands}) == len(entry.bands)
    assert entry.bands or (entry.any_bands and entry.sensors)
    if entry.normalise.kind == "affine":
        assert len(entry.normalise.shift) == len(entry.normalise.scale) == len(entry.bands)
        assert all(scale > 0 for scale in entry.normalise.scale)
    assert entry.image_size % entry.patch == 0
    assert entry.reference
    if entry.weights:
        assert entry.weights.file.count("/") == 1 and entry.weights.licence
        assert entry.weights.url or entry.weights.how or entry.weights.source
        assert len(entry.weights.sha256) in (0, *range(8, 65))


def test_facts_are_read_without_torch() -> None:
    families = [f"bench.models.{family}" for family in lookup.names("bench.models")]
    code = f"import sys\nfor name in {families}: __import__(name)\nsys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


@pytest.mark.parametrize("name", list(ENTRIES))
def test_parameters_and_layers_are_those_of_the_network(name: str) -> None:
    entry = ENTRIES[name]
    with torch.device("meta"):
        backbone: Any = entry.load(entry, None, 0, bands_of(entry))
    assert sum(parameter.numel() for parameter in backbone.parameters()) == entry.parameters
    names = [layer.name for layer in backbone.layers]
    blocks = [layer for layer in names if layer not in ("embedding", "norm")]
    assert names == ["embedding", *(f"block_{i}" for i in range(1, len(blocks) + 1)), *["norm"] * ("norm" in names)]
    assert len(blocks) >= entry.depth
    depths = [layer.depth for layer in backbone.layers]
    assert depths == sorted(depths) and depths[0] == 0 and (not blocks or depths[-1] == 1)
    assert backbone.layers[-1].stride == entry.patch
    assert backbone.layers[-1].channels == entry.width or entry.width == 0
    assert [name for name in names if name in entry.taps] == list(entry.taps), "layers there are, shallow to deep"
    assert len(entry.taps) in (0, TAPS)


TRANSFORMER = {"norm1", "proj", "norm2", "fc1", "act", "fc2"}
WIDE = {"in": ("qkv", "q", "fc1", "fc3"), "out": ("proj", "fc2")}  # sides of these that are as wide as the block


@pytest.mark.parametrize("name", list(ENTRIES))
def test_every_part_of_a_block_is_where_the_map_says(name: str) -> None:
    entry = ENTRIES[name]
    with torch.device("meta"):
        backbone: Any = entry.load(entry, None, 0, bands_of(entry))
    blocks = [layer for layer in backbone.layers if layer.name.startswith("block_")]
    if not getattr(backbone, "modules_map", {}):
        assert entry.origin == "baseline" or any(isinstance(part, nn.Conv2d) for part in backbone.modules())
        assert not any(isinstance(part, nn.MultiheadAttention) for part in backbone.modules())
        return
    assert list(backbone.modules_map) == [layer.name for layer in blocks]
    for layer in blocks:
        parts = {part: backbone.get_submodule(path) for part, path in backbone.modules_map[layer.name].items()}
        assert set(parts) >= TRANSFORMER, f"{layer.name} lacks {TRANSFORMER - set(parts)}"
        assert "qkv" in parts or set(parts) >= {"k", "v"}
        assert len({id(part) for part in parts.values()}) == len(parts), "two names for one module"
        for norm in ("norm1", "norm2"):
            scale = getattr(parts[norm], "weight", None)
            assert scale is None or scale.shape == (layer.channels,)
        for part in set(WIDE["in"]) & set(parts):
            assert parts[part].in_features == layer.channels
        for part in set(WIDE["out"]) & set(parts):
            assert parts[part].out_features == layer.channels
        assert parts["fc1"].out_features in (parts["fc2"].in_features, 2 * parts["fc2"].in_features)


@every_entry
def test_taps_have_the_declared_shapes_and_are_finite(name: str) -> None:
    backbone, given = loaded(name), inputs(ENTRIES[name], 0)
    side = next(iter(given["images"].values())).shape[-1]
    for layer, tap in zip(backbone.layers, taps(backbone, given), strict=True):
        cells = max(1, side // layer.stride)
        assert tap.grid.shape == (2, layer.channels, cells, cells)
        assert tap.vector.shape == (2, layer.channels)
        assert tap.cls is None or tap.cls.shape == (2, layer.channels)
        assert all(part is None or bool(part.isfinite().all()) for part in tap)


@every_entry
def test_other_images_give_other_features_at_every_layer(name: str) -> None:
    backbone, entry = loaded(name), ENTRIES[name]
    pairs = zip(taps(backbone, inputs(entry, 0)), taps(backbone, inputs(entry, 1)), strict=True)
    for layer, (one, other) in zip(backbone.layers, pairs, strict=True):
        for part, (first, second) in zip(Tap._fields, zip(one, other, strict=True), strict=True):
            if first is not None and second is not None:
                assert not torch.allclose(first, second), f"{layer.name}.{part} does not depend on the image"


@every_entry
def test_an_image_does_not_depend_on_its_neighbours(name: str) -> None:
    backbone, given = loaded(name), inputs(ENTRIES[name], 0)
    alone = {sensor: values[1:] for sensor, values in given["images"].items()}
    single = taps(backbone, {"images": alone, "when": given["when"][1:], "where": given["where"][1:]})
    for one, both in zip(single, taps(backbone, given), strict=True):
        torch.testing.assert_close(one.vector[0], both.vector[1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one.grid[0], both.grid[1], rtol=1e-4, atol=1e-4)


@every_entry
def test_the_seed_decides_the_random_init(name: str) -> None:
    given = inputs(ENTRIES[name], 0)
    entry = ENTRIES[name]
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    same, other = (taps(entry.load(entry, None, seed, bands_of(entry)), given)[-1] for seed in (0, 1))
    assert torch.equal(torch.rand(2), expected), "loading must leave the caller's random numbers alone"
    assert_same_features(taps(loaded(name), given)[-1], same)
    if name in WITHOUT_RANDOMNESS:
        assert_same_features(same, other)
    else:
        assert not torch.allclose(same.vector, other.vector, rtol=1e-2)


@every_entry
def test_a_few_layers_are_the_same_as_those_of_all(name: str) -> None:
    backbone, given = loaded(name), inputs(ENTRIES[name], 0)
    every = taps(backbone, given)
    last = len(every) - 1
    wanted = [last, 0, last // 2]
    for index, tap in zip(wanted, taps(backbone, given, wanted), strict=True):
        for one, other in zip(tap, every[index], strict=True):
            assert one is other is None or torch.equal(one, other)
    assert taps(backbone, given, []) == []


@every_entry
def test_it_is_frozen_and_leaves_no_hook(name: str) -> None:
    backbone = loaded(name)
    taps(backbone, inputs(ENTRIES[name], 0))
    assert isinstance(backbone, nn.Module)
    assert not any(part.training for part in backbone.modules())
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(getattr(part, kind) for part in backbone.modules() for kind in kinds)


@every_trained
def test_weights_come_back_from_a_file_and_a_damaged_key_is_named(name: str, folder: Path) -> None:
    entry, given = ENTRIES[name], inputs(ENTRIES[name], 0)
    backbone = loaded(name)
    network, prefix = getattr(backbone, "network", backbone), FILE_PREFIX.get(name, "")
    state = {prefix + key: value.contiguous() for key, value in network.state_dict().items()}
    path = folder / "model.safetensors"
    save_file(state, path)
    again = entry.load(entry, path, 1, bands_of(entry))
    kept, came = network.state_dict(), getattr(again, "network", again).state_dict()
    assert kept.keys() == came.keys() and all(torch.equal(came[key], value) for key, value in kept.items())
    for one, other in zip(taps(again, given), taps(backbone, given), strict=True):
        assert_same_features(one, other)
    key = next(key for key in reversed(state) if key.endswith("weight"))
    save_file({key.replace("weight", "wieght") if k == key else k: value for k, value in state.items()}, path)
    with pytest.raises(MissingWeights, match=r"1 missing from the file \(.*1 unknown to the network \(") as caught:
        entry.load(entry, path, 1, bands_of(entry))
    assert name in str(caught.value) and key.removeprefix(prefix).replace("weight", "wieght") in str(caught.value)


@pytest.mark.parametrize("file", ["published.pth", "published.safetensors"])
def test_ssl4eo_loads_the_layout_of_its_publisher(folder: Path, file: str) -> None:
    """timm's names with or without a classification head, as torchgeo accepts them."""
    published = vit_small_patch16_224(in_chans=13).eval()
    state = published.state_dict()
    path = folder / file
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        save_file({key: value for key, value in state.items() if not key.startswith("head.")}, path)
    entry = ENTRIES["ssl4eo_moco_small"]
    given = inputs(entry, 0)
    tap = taps(entry.load(entry, path, 0, entry.bands), given, [13])[0]
    torch.testing.assert_close(tap.cls, published.forward_features(given["images"]["s2"][:, 0])[:, 0], rtol=0, atol=0)


def test_dofa_and_croma_want_the_keys_of_their_files_and_no_other() -> None:
    with torch.device("meta"):
        one = dofa.ENTRIES[0].load(dofa.ENTRIES[0], None, 0, RGB)
        published = dofa_base_patch16_224(num_classes=0)
        both = croma.ENTRIES[0].load(croma.ENTRIES[0], None, 0, croma.BANDS)
        radar = croma.ENTRIES[0].load(croma.ENTRIES[0], None, 0, croma.BANDS[-2:])
        parts = croma_base(image_size=8)

    def shapes(module: Any) -> dict[str, torch.Size]:
        return {key: value.shape for key, value in module.state_dict().items()}

    # torchgeo asserts that its file holds every key of its class but these four, and no other.
    assert shapes(one.network) == {
        k: v for k, v in shapes(published).items() if not k.startswith(("fc_norm.", "head."))
    }  # type: ignore[attr-defined]
    # torchgeo loads s1_encoder, s2_encoder, s1_GAP_FFN, s2_GAP_FFN and joint_encoder from its file.
    whole = {key: shape for key, shape in shapes(parts).items() if key != "attn_bias"}
    assert shapes(both.network) == {k: v for k, v in whole.items() if "GAP_FFN" not in k}  # type: ignore[attr-defined]
    assert shapes(radar.network) == {k: v for k, v in whole.items() if k.startswith("s1_")}  # type: ignore[attr-defined]


@pytest.mark.heavy
@pytest.mark.parametrize("sensors", [("s1",), ("s2",), ("s2", "s1")])
def test_croma_loads_the_layout_of_its_publisher(folder: Path, sensors: tuple[str, ...]) -> None:
    """One dictionary a part, as in CROMA_base.pt; parts for an absent sensor are left out."""
    published = croma_base(image_size=16).eval()
    file = {name: part.state_dict() for name, part in published.named_children()}
    torch.save(file, folder / "CROMA_base.pt")
    entry = ENTRIES["croma_base"]
    bands = tuple(band for band in entry.bands if band.sensor in sensors)
    backbone: Any = entry.load(entry, folder / "CROMA_base.pt", 0, bands)
    images = {"s1": torch.randn(2, 1, 2, 16, 16), "s2": torch.randn(2, 1, 12, 16, 16)}
    tap = backbone(images, [len(backbone.layers) - 1])[0]
    expected = published(images["s1"][:, 0], images["s2"][:, 0])
    output = "joint_GAP" if len(sensors) == 2 else {"s1": "sar_GAP", "s2": "optical_GAP"}[sensors[0]]
    torch.testing.assert_close(tap.vector, expected[output], rtol=1e-4, atol=1e-5)
    file["joint_encoder" if len(sensors) == 2 else f"{sensors[0]}_encoder"]["extra.weight"] = torch.zeros(1)
    torch.save(file, folder / "CROMA_base.pt")
    with pytest.raises(MissingWeights, match=r"1 unknown to the network \(.*extra\.weight\)"):
        entry.load(entry, folder / "CROMA_base.pt", 0, bands)


@pytest.mark.heavy
def test_dofa_loads_the_layout_of_its_publisher(folder: Path) -> None:
    published = dofa_base_patch16_224(num_classes=0).eval()
    published.pos_embed.normal_(std=0.02)
    state = {k: v for k, v in published.state_dict().items() if not k.startswith("fc_norm.")}
    torch.save(state, folder / "dofa.pth")
    entry = ENTRIES["dofa_base"]
    images = {"rgb": torch.randn(1, 1, 3, 224, 224)}
    tap = entry.load(entry, folder / "dofa.pth", 0, RGB)(images, [12])[0]
    expected = published.forward_features(images["rgb"][:, 0], [0.665, 0.56, 0.49])
    torch.testing.assert_close(functional.layer_norm(tap.vector, (768,), eps=1e-6), expected, rtol=1e-4, atol=1e-5)


def test_dofa_takes_a_wavelength_for_each_band_or_none_at_all() -> None:
    landsat = Band(name="landsat.b5", unit="reflectance", wavelength_um=0.865)
    s2 = Band(name="s2.b04", unit="dn", wavelength_um=0.6)
    s1 = Band(name="s1.vv", unit="db")
    # Grouped by sensor as images are stacked; the authors' value before the suite's.
    assert dofa.wavelengths_of((s2, landsat, s1, Band(name="s2.b8a", unit="dn", wavelength_um=0.865))) == [
        0.665,
        0.865,
        0.865,
        3.75,
    ]
    for band in (Band(name="s2.ndvi", unit="index"), Band(name="landsat.b9", unit="dn", wavelength_um=0.0)):
        with pytest.raises(Incompatible, match=f"{band.name} declares none"):
            dofa.wavelengths_of((s2, band))


def series(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def load_baseline(entry: ModelEntry, bands: tuple[Band, ...], seed: int = 0) -> Any:
    return entry.load(entry, None, seed, bands)


def test_image_statistics_are_numpys() -> None:
    bands = (*RGB[:2], Band(name="s1.vv", unit="db"))
    images = {"rgb": series(2, 3, 2, 16, 24), "s1": series(2, 1, 1, 16, 24, seed=1)}
    tap = load_baseline(image_stats.ENTRIES[0], bands)(images, [0])[0]
    assert tap.grid.shape == (2, 27, 2, 3) and tap.vector.shape == (2, 27)

    def reference(values: np.ndarray) -> np.ndarray:
        quantiles = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        return np.array([values.mean(), values.std(), values.min(), values.max(), *quantiles])

    rgb, s1 = images["rgb"].numpy(), images["s1"].numpy()
    for index, values in enumerate((rgb[:, :, 0], rgb[:, :, 1], s1[:, :, 0])):
        part = slice(9 * index, 9 * index + 9)
        for image in range(2):
            np.testing.assert_allclose(tap.vector[image, part], reference(values[image]), rtol=1e-5, atol=1e-6)
            cell = values[image, :, 8:16, 16:24]
            np.testing.assert_allclose(tap.grid[image, part, 1, 2], reference(cell), rtol=1e-5, atol=1e-6)


def test_random_features_are_torchgeos() -> None:
    images = {"rgb": series(3, 1, 3, 24, 16)}
    tap = load_baseline(rcf.ENTRIES[0], RGB, seed=7)(images, [0])[0]
    reference = RCF(in_channels=3, features=256, kernel_size=3, bias=-1.0, seed=7)
    expected = reference(functional.pad(images["rgb"][:, 0], (1, 1, 1, 1)))
    torch.testing.assert_close(tap.vector, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tap.grid.mean((-2, -1)), tap.vector)


def test_a_cell_of_random_features_sees_its_own_pixels_and_a_border_of_one() -> None:
    images = {"rgb": series(1, 1, 3, 24, 24)}
    backbone = load_baseline(rcf.ENTRIES[0], RGB, seed=7)
    reference = RCF(in_channels=3, features=256, kernel_size=3, bias=-1.0, seed=7)
    expected = reference(images["rgb"][:, 0, :, 7:17, 7:17])
    torch.testing.assert_close(backbone(images, [0])[0].grid[:, :, 1, 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("entry", [image_stats.ENTRIES[0], rcf.ENTRIES[0]], ids=lambda entry: entry.name)
def test_baselines_take_pixel_series_and_chunks_do_not_matter(
    entry: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    bands = (*RGB, Band(name="era5.t2m", unit="kelvin"))
    pixels = {"rgb": series(5, 4, 3, 1, 1), "era5": series(5, 4, 1, 1, 1, seed=1)}
    tap = load_baseline(entry, bands)(pixels, [0])[0]
    assert tap.grid.shape[2:] == (1, 1)
    torch.testing.assert_close(tap.grid[:, :, 0, 0], tap.vector)
    images = {"rgb": series(5, 2, 3, 16, 16)}
    backbone = load_baseline(entry, RGB)
    whole = backbone(images, [0])[0]
    monkeypatch.setattr("bench.networks.rcf.CHUNK", 1)
    for one, other in zip(backbone(images, [0])[0][:2], whole[:2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    with pytest.raises(Incompatible, match="multiples of 8"):
        backbone({"rgb": series(1, 1, 3, 12, 16)}, [0])
    with pytest.raises(Incompatible, match="loaded for 3"):
        backbone({"rgb": series(1, 1, 2, 16, 16)}, [0])


def test_random_features_see_the_order_of_dates() -> None:
    backbone = load_baseline(rcf.ENTRIES[0], RGB)
    pixels = series(2, 4, 3, 1, 1)
    forward, backward = (backbone({"rgb": values}, [0])[0].vector for values in (pixels, pixels.flip(1)))
    assert not torch.allclose(forward, backward)
