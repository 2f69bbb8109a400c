"""Every entry satisfies the interface of `bench.core.Backbone`, whatever its family."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.core import BLOCK_PARTS, UNITS, ModelEntry, Tap, lookup
from bench.core.errors import MissingWeights
from bench.networks.blocks import SUBMODULES
from tests.builders.entries import ENTRIES, bands_of, cases, skipped_without_package
from tests.builders.networks import assert_same_taps, assert_same_weights, differ

TAPS = 4  # number of layers that multi-level decoders read
WITHOUT_RANDOMNESS = {"image_stats"}
# Starts of the keys of the encoder in files that hold more than the encoder.
FILE_PREFIX = {"presto": "encoder.", "presto_worldcereal": "encoder."}
TRAINED = [name for name, entry in ENTRIES.items() if entry.weights]
every_entry = pytest.mark.parametrize("name", cases(list(ENTRIES)), scope="module")
every_installed = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=skipped_without_package(entry)) for name, entry in ENTRIES.items()]
)
every_trained = pytest.mark.parametrize("name", cases(TRAINED), scope="module")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is removed at once: pytest keeps its own folders, and these files are large."""
    with TemporaryDirectory() as name:
        yield Path(name)


@lru_cache(maxsize=2)
def loaded(name: str, seed: int = 0) -> Any:
    """Return the backbone of an entry at random init."""
    entry = ENTRIES[name]
    return entry.load(entry, None, seed, bands_of(entry))


def network_of(backbone: Any) -> nn.Module:
    """Return the network whose weights a file holds."""
    return getattr(backbone, "network", backbone)  # type: ignore[no-any-return]


def file_state(name: str) -> dict[str, Tensor]:
    """Return the weights of an entry at random init under the names of its publisher's file."""
    state = network_of(loaded(name)).state_dict()
    return {FILE_PREFIX.get(name, "") + key: value.contiguous() for key, value in state.items()}


def inputs(entry: ModelEntry, seed: int) -> dict[str, Any]:
    """Return normal noise in the shape of prepared images, with dates and coordinates."""
    generator = torch.Generator().manual_seed(seed)
    side = min(entry.image_size, 4 * entry.patch) if entry.any_size else entry.image_size
    dates = 3 if entry.temporal else 1
    counts = Counter(band.sensor for band in bands_of(entry))
    images = {s: torch.randn(2, dates, n, side, side, generator=generator) for s, n in counts.items()}
    when = torch.tensor([[[2020, 1 + 2 * date, 15] for date in range(dates)]] * 2)
    return {"images": images, "when": when, "where": torch.tensor([[11.0, 48.0], [-60.0, -3.0]])}


def taps_of(backbone: Any, batch: dict[str, Any], layers: Sequence[int] | None = None) -> list[Tap]:
    """Return the taps of some layers, all by default."""
    layers = range(len(backbone.layers)) if layers is None else layers
    return list(backbone(batch["images"], layers, when=batch["when"], where=batch["where"]))


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
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


@every_installed
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
    assert [name for name in names if name in entry.taps] == list(entry.taps), "taps are layers, shallow to deep"
    assert len(entry.taps) in (0, TAPS)


TRANSFORMER = {"norm1", "proj", "norm2", "fc1", "act", "fc2"}
# Sub-modules whose inputs or outputs are as wide as the block.
WIDE = {"in": ("qkv", "q", "fc1", "fc3"), "out": ("proj", "fc2")}


def test_sub_modules_with_weights_have_canonical_names() -> None:
    assert set(BLOCK_PARTS) <= set(SUBMODULES)


@every_installed
def test_sub_modules_of_blocks_are_at_their_paths(name: str) -> None:
    entry = ENTRIES[name]
    with torch.device("meta"):
        backbone: Any = entry.load(entry, None, 0, bands_of(entry))
    blocks = [layer for layer in backbone.layers if layer.name.startswith("block_")]
    if not backbone.modules_map:
        assert entry.origin == "baseline" or any(isinstance(part, nn.Conv2d) for part in backbone.modules())
        assert not any(isinstance(part, nn.MultiheadAttention) for part in backbone.modules())
        return
    assert list(backbone.modules_map) == [layer.name for layer in blocks]
    for layer in blocks:
        parts = {part: backbone.get_submodule(path) for part, path in backbone.modules_map[layer.name].items()}
        assert set(SUBMODULES) >= set(parts) >= TRANSFORMER, f"{layer.name} lacks {TRANSFORMER - set(parts)}"
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
    backbone, batch = loaded(name), inputs(ENTRIES[name], 0)
    side = next(iter(batch["images"].values())).shape[-1]
    for layer, tap in zip(backbone.layers, taps_of(backbone, batch), strict=True):
        cells = max(1, side // layer.stride)
        assert tap.grid.shape == (2, layer.channels, cells, cells)
        assert tap.vector.shape == (2, layer.channels)
        assert tap.cls is None or tap.cls.shape == (2, layer.channels)
        assert all(part is None or bool(part.isfinite().all()) for part in tap)


@every_entry
def test_other_images_give_other_features_at_every_layer(name: str) -> None:
    backbone, entry = loaded(name), ENTRIES[name]
    pairs = zip(taps_of(backbone, inputs(entry, 0)), taps_of(backbone, inputs(entry, 1)), strict=True)
    for layer, (taps, other) in zip(backbone.layers, pairs, strict=True):
        for part, (first, second) in zip(Tap._fields, zip(taps, other, strict=True), strict=True):
            if first is not None and second is not None:
                assert not torch.allclose(first, second), f"{layer.name}.{part} does not depend on the image"


@every_entry
def test_features_do_not_depend_on_other_images_of_the_batch(name: str) -> None:
    backbone, batch = loaded(name), inputs(ENTRIES[name], 0)
    alone = {sensor: values[1:] for sensor, values in batch["images"].items()}
    single = taps_of(backbone, {"images": alone, "when": batch["when"][1:], "where": batch["where"][1:]})
    for own, both in zip(single, taps_of(backbone, batch), strict=True):
        # Sums of large values round by their size, not by that of the result.
        largest = max(1.0, float(both.grid.abs().max()))
        torch.testing.assert_close(own.vector[0], both.vector[1], rtol=1e-4, atol=1e-4 * largest)
        torch.testing.assert_close(own.grid[0], both.grid[1], rtol=1e-4, atol=1e-4 * largest)


@every_entry
def test_the_seed_decides_the_random_init(name: str) -> None:
    batch, entry = inputs(ENTRIES[name], 0), ENTRIES[name]
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    same, other = (entry.load(entry, None, seed, bands_of(entry)) for seed in (0, 1))
    assert torch.equal(torch.rand(2), expected), "loading must leave the caller's random numbers alone"
    assert_same_weights(same, loaded(name))
    features = taps_of(loaded(name), batch)[-1]
    assert_same_taps(taps_of(same, batch)[-1:], [features])
    assert differ(taps_of(other, batch)[-1].vector, features.vector) == (name not in WITHOUT_RANDOMNESS)


@every_entry
def test_a_few_layers_are_the_same_as_those_of_all(name: str) -> None:
    backbone, batch = loaded(name), inputs(ENTRIES[name], 0)
    every = taps_of(backbone, batch)
    last = len(every) - 1
    layers = [last, 0, last // 2]
    assert_same_taps(taps_of(backbone, batch, layers), [every[index] for index in layers])
    assert taps_of(backbone, batch, []) == []


@every_entry
def test_it_is_frozen_and_leaves_no_hook(name: str) -> None:
    backbone = loaded(name)
    taps_of(backbone, inputs(ENTRIES[name], 0))
    assert isinstance(backbone, nn.Module)
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(getattr(module, kind) for module in backbone.modules() for kind in kinds)


@every_trained
def test_weights_come_back_from_a_file_and_a_damaged_key_is_named(name: str, folder: Path) -> None:
    entry, batch = ENTRIES[name], inputs(ENTRIES[name], 0)
    backbone, state, path = loaded(name), file_state(name), folder / "model.safetensors"
    save_file(state, path)
    again = entry.load(entry, path, 1, bands_of(entry))
    assert_same_weights(network_of(again), network_of(backbone))
    assert_same_taps(taps_of(again, batch), taps_of(backbone, batch))
    untrained = entry.load(entry, None, 1, bands_of(entry))
    assert differ(taps_of(again, batch)[-1].vector, taps_of(untrained, batch)[-1].vector), "the file changes nothing"
    key = next(key for key in reversed(state) if key.endswith("weight"))
    misspelt = key.replace("weight", "wieght")
    save_file({misspelt if k == key else k: value for k, value in state.items()}, path)
    with pytest.raises(MissingWeights, match=r"1 missing from the file \(.*1 unknown to the network \(") as caught:
        entry.load(entry, path, 1, bands_of(entry))
    assert name in str(caught.value) and misspelt.removeprefix(FILE_PREFIX.get(name, "")) in str(caught.value)


@every_trained
def test_values_that_cannot_be_trained_weights_are_refused(name: str, folder: Path) -> None:
    entry, state, path = ENTRIES[name], file_state(name), folder / "model.safetensors"
    key = next(key for key in reversed(state) if key.endswith("weight"))
    broken = state[key].clone()
    broken.flatten()[0] = torch.nan
    broken.flatten()[-1] = -torch.inf
    save_file({**state, key: broken}, path)
    with pytest.raises(MissingWeights, match=rf"weights of {name}: 2 values are NaN or infinite \(2 of "):
        entry.load(entry, path, 0, bands_of(entry))
    save_file({k: torch.zeros_like(value) for k, value in state.items()}, path)
    with pytest.raises(
        MissingWeights, match=rf"trained weights of {name}: every matrix in it is constant, e\.g\. .* 0 "
    ):
        entry.load(entry, path, 0, bands_of(entry))
