"""Galileo against its publishers' implementation, and the effect of masks, dates and coordinates."""

import dataclasses
import json
import math

import pytest
import torch

from bench.core import Band
from bench.core.errors import Incompatible
from bench.models import galileo
from tests.builders.networks import assert_close, assert_recorded, assert_same_taps, assert_same_weights, differ

NANO = next(entry for entry in galileo.ENTRIES if entry.name == "galileo_nano")
NORM = NANO.depth + 1
UNKNOWN = float("nan")

# Recorded from nasaharvest/galileo@0f0b5b9, single_file_galileo.Encoder, on the input of `everything`: eight values
# spread over the array, its mean and its standard deviation.
PUBLISHED = {
    (8, "norm vector"): (
        [0.016973, -0.027501, 0.025157, -0.016056, -0.004099, -0.017175, 0.194985, 0.176735],
        (0.001886, 0.104298),
    ),
    (8, "norm grid"): (
        [0.010838, -0.032984, -0.647244, 0.014098, 0.041245, -0.038137, -0.037488, 0.158314],
        (0.002192, 0.110556),
    ),
    (8, "block_2 vector"): (
        [0.140208, 0.766285, 0.342948, 0.259594, 0.291266, 1.005489, 1.663034, 0.958125],
        (0.255586, 0.758999),
    ),
    (4, "norm vector"): (
        [0.010772, 0.015646, -0.024622, -0.042696, 0.060149, -0.046922, 0.048978, 0.170369],
        (0.002104, 0.098060),
    ),
    (4, "norm grid"): (
        [-0.004008, 0.035323, -0.670952, -0.080239, 0.032015, -0.056343, -0.066887, -0.12242],
        (0.002180, 0.109303),
    ),
    (4, "block_2 vector"): (
        [-0.243486, 0.439298, -0.054599, 0.190045, 0.162454, 0.451969, 1.116222, 0.45206],
        (0.205760, 0.676331),
    ),
}


def bands(*names: str) -> tuple[Band, ...]:
    wanted = tuple(band for band in NANO.bands if band.name in names or band.sensor in names)
    assert wanted
    return wanted


def load(*names: str, seed: int = 0, entry=NANO, weights=None):
    return entry.load(entry, weights, seed, bands(*names) if names else entry.bands)


def wave(*shape: int) -> torch.Tensor:
    values = 0.5 + 0.5 * torch.sin(0.37 * torch.arange(math.prod(shape), dtype=torch.float64))
    return values.reshape(shape).float()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def everything(size: int = 16) -> dict[str, torch.Tensor]:
    channels = {"s1": 2, "s2": 11, "era5": 2, "srtm": 2}
    return {sensor: wave(2, 3, count, size, size) for sensor, count in channels.items()}


def when(*months: list[int]) -> torch.Tensor:
    month = torch.tensor(months)
    return torch.stack([torch.full_like(month, 2020), month, torch.ones_like(month)], -1)


@pytest.mark.shared
@pytest.mark.parametrize("patch", [8, 4])
def test_features_agree_with_the_publishers(patch, shared):
    entry = dataclasses.replace(NANO, patch=patch)
    network = load(entry=entry, weights=shared / "weights/galileo_nano/encoder.pt")
    where = torch.tensor([[10.0, 50.0], [UNKNOWN, UNKNOWN]])
    block, norm = network(everything(), [2, NORM], when=when([1, 7, 12], [-1, 4, 5]), where=where)
    for part, features in {"norm vector": norm.vector, "norm grid": norm.grid, "block_2 vector": block.vector}.items():
        assert_recorded(features, *PUBLISHED[patch, part])


@pytest.mark.shared
def test_normalisation_is_the_published_one(shared):
    published = json.loads((shared / "weights/galileo_nano/normalization.json").read_text())
    mean = dict(zip([band.name for band in bands("s1", "s2")], published["13"]["mean"], strict=True))
    deviation = dict(zip([band.name for band in bands("s1", "s2")], published["13"]["std"], strict=True))
    for key, sensor in (("6", "era5"), ("16", "srtm")):
        mean |= dict(zip([band.name for band in bands(sensor)], published[key]["mean"], strict=False))
        deviation |= dict(zip([band.name for band in bands(sensor)], published[key]["std"], strict=False))
    for band, shift, scale in zip(NANO.bands, NANO.normalise.shift, NANO.normalise.scale, strict=True):
        if band.name == "s2.ndvi":
            assert (shift, scale) == (0.0, 1.0)
        else:
            low, high = mean[band.name] - 2 * deviation[band.name], mean[band.name] + 2 * deviation[band.name]
            assert (low - shift) / scale == pytest.approx(0, abs=1e-12)
            assert (high - shift) / scale == pytest.approx(1)


def test_parameters_are_those_of_the_facts():
    for entry in galileo.ENTRIES:
        with torch.device("meta"):
            network = entry.load(entry, None, 0, entry.bands)
        assert sum(value.numel() for value in network.parameters()) == entry.parameters
        assert len(network.layers) == entry.depth + 2
        assert network.layers[-1].channels == entry.width


def test_taps_have_the_shapes_of_the_layers():
    network = load("s2")
    taps = network({"s2": noise(2, 3, 11, 16, 24)}, range(6))
    assert [layer.name for layer in network.layers] == [
        "embedding", "block_1", "block_2", "block_3", "block_4", "norm",
    ]  # fmt: skip
    for layer, tap in zip(network.layers, taps, strict=True):
        assert tap.grid.shape == (2, layer.channels, 2, 3)
        assert tap.vector.shape == (2, layer.channels)
        assert tap.cls is None
        # Every token has a place here, and every place the same number of tokens.
        torch.testing.assert_close(tap.grid.mean((2, 3)), tap.vector, atol=1e-5, rtol=0)
    again = network({"s2": noise(2, 3, 11, 16, 24)}, [5, 0, 5])
    assert_same_taps(again, [taps[5], taps[0], taps[5]])


def test_seed_decides_the_random_init_and_nothing_else_moves():
    image = {"s2": noise(1, 1, 11, 16, 16)}
    before = torch.random.get_rng_state()
    first, same, other = (load("s2", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_same_weights(same, first)
    assert differ(first(image, [NORM])[0].vector, other(image, [NORM])[0].vector, least=1e-2)


def test_a_file_with_the_publishers_names_fills_the_network(tmp_path):
    source = load("s2", seed=3)
    state = {}
    for key, value in source.state_dict().items():
        if key == "month_embed":
            key = "month_embed.weight"
        elif key.startswith("space"):
            key = ".proj.".join(key.rsplit(".", 1))
        state[f"{key.partition('.')[0]}.backbone.{key.partition('.')[2]}" if "." in key else key] = value
    torch.save(state, tmp_path / "encoder.pt")
    image = {"s2": noise(1, 1, 11, 16, 16)}
    filled = load("s2", seed=0, weights=tmp_path / "encoder.pt")
    assert_same_weights(filled, source)
    assert_same_taps(filled(image, [NORM]), source(image, [NORM]))


def test_group_without_its_first_band_is_masked():
    network = load("s2.b03", "s2.b04", "s2.b08")
    image = noise(1, 1, 3, 16, 16)
    changed = image.clone()
    changed[:, :, :2] += 1
    expected = network({"s2": image}, [NORM])
    assert_same_taps(network({"s2": changed}, [NORM]), expected)
    changed[:, :, 2] += 1
    assert differ(network({"s2": changed}, [NORM])[0].vector, expected[0].vector)


def test_absent_band_of_a_visible_group_is_raw_zero():
    image = noise(1, 2, 3, 16, 16)
    index = [band.name for band in NANO.bands].index("s2.b03")
    zero = -NANO.normalise.shift[index] / NANO.normalise.scale[index]
    full = image.clone()
    full[:, :, 1] = zero
    partial = load("s2.b02", "s2.b04")({"s2": image[:, :, [0, 2]]}, [NORM])[0]
    whole = load("s2.b02", "s2.b03", "s2.b04")({"s2": full}, [NORM])[0]
    torch.testing.assert_close(partial.vector, whole.vector, atol=1e-6, rtol=0)


def test_unknown_months_are_july_and_months_matter():
    network, image = load("s2"), {"s2": noise(1, 2, 11, 16, 16)}
    july = network(image, [NORM], when=when([7, 7]))[0].vector
    assert_close(network(image, [NORM])[0].vector, july)
    assert_close(network(image, [NORM], when=when([-1, 7]))[0].vector, july)
    assert (network(image, [NORM], when=when([1, 7]))[0].vector - july).abs().max() > 1e-3


def test_samples_of_a_batch_do_not_meet_whatever_location_is_known():
    network = load()
    images, months = everything(), when([1, 2, 3], [4, 5, 6])
    where = torch.tensor([[10.0, 50.0], [UNKNOWN, UNKNOWN]])
    both = network(images, range(6), when=months, where=where)
    for i, place in enumerate((where[:1], None)):
        alone = {sensor: image[i : i + 1] for sensor, image in images.items()}
        for tap, single in zip(both, network(alone, range(6), when=months[i : i + 1], where=place), strict=True):
            torch.testing.assert_close(tap.vector[i : i + 1], single.vector, atol=1e-5, rtol=0)
            torch.testing.assert_close(tap.grid[i : i + 1], single.grid, atol=1e-5, rtol=0)
    somewhere = network(images, [NORM], when=months, where=torch.tensor([[-60.0, -20.0], [UNKNOWN, UNKNOWN]]))[0]
    assert (somewhere.vector[0] - both[NORM].vector[0]).abs().max() > 1e-4
    torch.testing.assert_close(somewhere.vector[1], both[NORM].vector[1], atol=1e-6, rtol=0)


def test_order_of_dates_matters_and_terrain_is_read_once():
    network, images = load(), everything()
    vector = network(images, [NORM])[0].vector
    turned = {sensor: image.flip(1) if sensor == "s2" else image for sensor, image in images.items()}
    assert (network(turned, [NORM])[0].vector - vector).abs().max() > 1e-3
    later = images["srtm"].clone()
    later[:, 1:] = 5
    assert_close(network({**images, "srtm": later}, [NORM])[0].vector, vector)
    assert_close(network({**images, "srtm": later[:, :1]}, [NORM])[0].vector, vector)


def test_embedding_depends_on_the_place_alone():
    network, image = load("s2"), noise(1, 1, 11, 24, 24)
    full = network({"s2": image}, [0])[0].grid
    part = network({"s2": image[..., :16, :]}, [0])[0].grid
    torch.testing.assert_close(full[:, :, :2], part, atol=1e-6, rtol=0)
    flat = network({"s2": torch.zeros(1, 1, 11, 24, 24)}, [0])[0].grid[0]
    # A blank image leaves the code of the place: the last eighth of the channels codes rows, the one before it columns.
    down, along = flat[-16:], flat[-32:-16]
    torch.testing.assert_close(down[:, 0, 0], down[:, 0, 2])
    torch.testing.assert_close(along[:, 0, 0], along[:, 2, 0])
    assert not torch.allclose(down[:, 0, 0], down[:, 2, 0]) and not torch.allclose(along[:, 0, 0], along[:, 0, 2])


def test_patch_of_the_entry_is_the_stride():
    network = load("s2", entry=dataclasses.replace(NANO, patch=2))
    assert {layer.stride for layer in network.layers} == {2}
    assert network({"s2": noise(1, 1, 11, 8, 8)}, [NORM])[0].grid.shape == (1, 128, 4, 4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(Incompatible, match=r"galileo_nano needs one of s1\.vv .*given s2\.b03"):
        load("s2.b03")
    network = load("s1", "s2")
    for images in (
        {"s1": noise(1, 1, 2, 16, 16), "s2": noise(1, 1, 11, 16, 20)},
        {"s1": noise(1, 2, 2, 16, 16), "s2": noise(1, 1, 11, 16, 16)},
        {"s1": noise(1, 1, 2, 12, 12), "s2": noise(1, 1, 11, 12, 12)},
        {"s1": noise(1, 25, 2, 8, 8), "s2": noise(1, 25, 11, 8, 8)},
    ):
        with pytest.raises(Incompatible, match="Galileo"):
            network(images, [NORM])
