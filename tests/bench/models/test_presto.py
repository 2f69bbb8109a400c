"""Presto against its publishers' implementation, and the effect of masks, dates and coordinates."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.core import Band
from bench.core.errors import Incompatible, MissingWeights
from bench.models import presto
from tests.builders.networks import assert_close, assert_recorded, assert_same_weights, differ

PRESTO, CEREAL = presto.ENTRIES
NORM = PRESTO.depth + 1
UNKNOWN = float("nan")
COUNTS = {"s1": 2, "s2": 11, "era5": 2, "srtm": 2}

# Recorded from nasaharvest/presto@13173d0, single_file_presto.Encoder, on the input of the test: eight values spread
# over the array, its mean and its standard deviation.
PUBLISHED = {
    "norm": (
        [-0.644744, 0.43689, -0.570461, -1.571699, -0.153585, 1.270236, -0.26855, 0.128746],
        (-0.038636, 1.122112),
    ),
    "block_1": (
        [-0.808126, 0.493422, 0.095835, -0.243846, 0.594551, 0.331131, 0.035965, 0.420804],
        (0.257457, 0.844590),
    ),
}


def bands(*names: str) -> tuple[Band, ...]:
    wanted = tuple(band for band in PRESTO.bands if band.name in names or band.sensor in names)
    assert wanted
    return wanted


def load(*names: str, seed: int = 0, weights=None):
    return PRESTO.load(PRESTO, weights, seed, bands(*names) if names else PRESTO.bands)


def wave(*shape: int) -> torch.Tensor:
    values = 0.5 + 0.5 * torch.sin(0.37 * torch.arange(math.prod(shape), dtype=torch.float64))
    return values.reshape(shape).float()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def series(covers: list[list[int]] | None = None) -> dict[str, torch.Tensor]:
    cover = torch.tensor(covers or [[0, 3, 4], [8, 7, 6]], dtype=torch.float32)
    images = {sensor: wave(2, 3, count, 1, 1) for sensor, count in COUNTS.items()}
    return {**images, "dw": cover[:, :, None, None, None]}


def when(*months: list[int]) -> torch.Tensor:
    month = torch.tensor(months)
    return torch.stack([torch.full_like(month, 2020), month, torch.ones_like(month)], -1)


def vector(network, images, layer=NORM, **known) -> torch.Tensor:
    return network(images, [layer], **known)[0].vector


@pytest.mark.shared
def test_features_agree_with_the_publishers(shared):
    network = load(weights=shared / "weights/presto/default_model.pt")
    images = series([[0, 9, 4], [8, 7, 9]])
    where = torch.tensor([[10.0, 50.0], [140.0, -12.5]])
    block, norm = network(images, [1, NORM], when=when([1, 7, 12], [1, 4, 5]), where=where)
    assert_recorded(norm.vector, *PUBLISHED["norm"])
    assert_recorded(block.vector, *PUBLISHED["block_1"])


@pytest.mark.shared
def test_the_descendant_agrees_with_its_publishers_on_a_longer_series(shared):
    """Recorded from WorldCereal/prometheo@5fb3969, single_file_presto.Encoder with 72 positions, on 30 dates."""
    fed = tuple(band for band in CEREAL.bands if band.name != "dw.class")
    network = CEREAL.load(CEREAL, shared / "weights/presto_worldcereal/finetuned_presto_model.pt", 0, fed)
    images = {sensor: wave(2, 30, count, 1, 1) for sensor, count in COUNTS.items()}
    months = [[(i + 3) % 12 + 1 for i in range(30)], [(i + 7) % 12 + 1 for i in range(30)]]
    features = vector(network, images, when=when(*months), where=torch.tensor([[10.0, 50.0], [140.0, -12.5]]))
    expected = [-1.629745, 1.487586, -0.181794, 0.917826, -1.988958, 2.745844, 1.270175, 1.31451]
    assert_recorded(features, expected, (-0.030196, 1.220905))


@pytest.mark.shared
def test_the_file_of_the_parent_does_not_load_as_the_descendant(shared):
    with pytest.raises(MissingWeights, match=r"presto_worldcereal: .*pos_embed: float32 \(1, 24, 64\) in the file"):
        CEREAL.load(CEREAL, shared / "weights/presto/default_model.pt", 0, CEREAL.bands)


@pytest.mark.shared
def test_fuel_moisture_is_predicted_from_frozen_features(shared):
    folder = shared / "data/fuel_moisture/npy"
    names = [band.name for band in PRESTO.bands if band.name not in ("s2.ndvi", "dw.class")]
    columns = [*names[:10], "s2.b09", *names[10:]]
    table = np.load(folder / "s1_s2_era5_srtm.npy")
    raw = {name: table[..., index] for index, name in enumerate(columns)}
    raw["s2.ndvi"] = (raw["s2.b08"] - raw["s2.b04"]) / (raw["s2.b08"] + raw["s2.b04"])
    raw["dw.class"] = np.load(folder / "dynamic_world.npy")
    # The column of that name in the file is computed from other bands.
    np.testing.assert_allclose(
        table[..., 17], (raw["s2.b07"] - raw["s2.b03"]) / (raw["s2.b07"] + raw["s2.b03"]), atol=1e-12
    )
    images: dict[str, list[torch.Tensor]] = {}
    for band, shift, scale in zip(PRESTO.bands, PRESTO.normalise.shift, PRESTO.normalise.scale, strict=True):
        value = torch.tensor((raw[band.name] - shift) / scale, dtype=torch.float32)
        images.setdefault(band.sensor, []).append(value[..., None, None])
    stacked = {sensor: torch.stack(values, 2) for sensor, values in images.items()}
    months = torch.tensor(np.load(folder / "month.npy") + 1)
    dates = torch.stack([torch.full_like(months, -1), months, torch.full_like(months, -1)], -1)
    where = torch.tensor(np.load(folder / "latlon.npy")[:, ::-1].copy(), dtype=torch.float32)
    target, test = np.load(folder / "target.npy"), np.load(folder / "is_test.npy") == 1
    scores = []
    for weights in (shared / "weights/presto/default_model.pt", None):
        features = vector(load(weights=weights), stacked, when=dates, where=where).double().numpy()
        probe = make_pipeline(StandardScaler(), Ridge(10)).fit(features[~test], target[~test])
        scores.append(r2_score(target[test], probe.predict(features[test])))
    assert scores[0] == pytest.approx(0.516, abs=0.005)
    assert scores[1] < 0.45


def test_parameters_are_those_of_the_facts():
    network = load()
    assert sum(value.numel() for value in network.parameters()) == PRESTO.parameters
    assert [layer.name for layer in network.layers] == ["embedding", "block_1", "block_2", "norm"]
    assert {layer.channels for layer in network.layers} == {PRESTO.width}


def test_every_pixel_is_encoded_by_itself():
    network = load()
    images = {sensor: noise(2, 3, count, 2, 3) for sensor, count in COUNTS.items()}
    images["dw"] = torch.randint(0, 10, (2, 3, 1, 2, 3), generator=torch.Generator().manual_seed(0)).float()
    known = {"when": when([1, 2, 3], [4, 5, 6]), "where": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
    taps = network(images, range(4), **known)
    for layer, tap in enumerate(taps):
        assert tap.grid.shape == (2, 128, 2, 3) and tap.vector.shape == (2, 128) and tap.cls is None
        torch.testing.assert_close(tap.grid.mean((2, 3)), tap.vector)
        pixel = {sensor: image[..., 1:2, 2:3] for sensor, image in images.items()}
        torch.testing.assert_close(tap.grid[..., 1, 2], vector(network, pixel, layer, **known), atol=1e-5, rtol=0)
    torch.testing.assert_close(network.norm(taps[2].grid[..., 0, 0]), taps[3].grid[..., 0, 0])


def test_seed_decides_the_random_init_and_nothing_else_moves():
    before = torch.random.get_rng_state()
    first, same, other = (load(seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_same_weights(same, first)
    assert differ(vector(first, series()), vector(other, series()), least=1e-2)


def test_group_that_lacks_a_band_is_masked():
    network = load("s2.b05", "s2.b06", "s2.b08")
    image = noise(2, 3, 3, 1, 1)
    changed = image.clone()
    changed[:, :, :2] += 1
    assert_close(vector(network, {"s2": changed}), vector(network, {"s2": image}))
    changed[:, :, 2] += 1
    assert differ(vector(network, {"s2": changed}), vector(network, {"s2": image}))
    alone = vector(load("s2.b08"), {"s2": image[:, :, 2:]})
    torch.testing.assert_close(vector(network, {"s2": image}), alone)


def test_unknown_land_cover_is_masked_date_by_date():
    network, images = load(), series([[9, 9, 9], [9, 9, 9]])
    without = {sensor: image for sensor, image in images.items() if sensor != "dw"}
    torch.testing.assert_close(vector(network, images), vector(load("s1", "s2", "era5", "srtm"), without))
    mixed = series([[1, 9, 9], [9, 9, 2]])
    both = vector(network, mixed)
    for i in range(2):
        single = {sensor: image[i : i + 1] for sensor, image in mixed.items()}
        torch.testing.assert_close(both[i : i + 1], vector(network, single), atol=1e-5, rtol=0)
    missing = series()
    missing["dw"][:] = UNKNOWN
    assert_close(vector(network, missing), vector(network, images))
    assert (vector(network, series()) - vector(network, images)).abs().max() > 1e-3


def test_unknown_location_leaves_the_token_out():
    network, images = load(), series()
    nowhere = vector(network, images)
    half = vector(network, images, where=torch.tensor([[UNKNOWN, UNKNOWN], [10.0, 50.0]]))
    torch.testing.assert_close(half[0], nowhere[0], atol=1e-5, rtol=0)
    assert (half[1] - nowhere[1]).abs().max() > 1e-3
    assert_close(vector(network, images, where=torch.full((2, 2), UNKNOWN)), nowhere)


def test_months_count_on_from_january_where_no_date_is_known():
    network, images = load(), series()
    january = vector(network, images)
    torch.testing.assert_close(vector(network, images, when=when([1, 2, 3], [-1, 2, -1])), january)
    assert (vector(network, images, when=when([7, 8, 9], [7, 8, 9])) - january).abs().max() > 1e-3


def test_terrain_is_read_from_the_first_date():
    network, images = load(), series()
    later = images["srtm"].clone()
    later[:, 1:] = 5
    assert_close(vector(network, {**images, "srtm": later}), vector(network, images))
    later[:, 0] = 5
    assert differ(vector(network, {**images, "srtm": later}), vector(network, images))


def test_order_of_dates_matters_and_order_of_samples_does_not():
    network, images = load(), series()
    turned = {sensor: image.flip(1) for sensor, image in images.items()}
    assert (vector(network, turned) - vector(network, images)).abs().max() > 1e-3
    swapped = {sensor: image.flip(0) for sensor, image in images.items()}
    torch.testing.assert_close(vector(network, swapped).flip(0), vector(network, images))


def test_what_does_not_fit_is_refused():
    with pytest.raises(Incompatible, match=r"presto needs all bands of one of these groups: s1\.vv s1\.vh; .*s1\.vv"):
        load("s1.vv")
    network = load("s1", "era5")
    with pytest.raises(Incompatible, match="24"):
        network({"s1": noise(1, 25, 2, 1, 1), "era5": noise(1, 25, 2, 1, 1)}, [NORM])
    with pytest.raises(Incompatible, match="Presto"):
        network({"s1": noise(1, 3, 2, 1, 1), "era5": noise(1, 4, 2, 1, 1)}, [NORM])
