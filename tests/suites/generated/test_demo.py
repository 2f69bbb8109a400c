"""The generated landscapes: always the same, disjoint, plausible, and neither trivial nor hopeless."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.core.errors import UnknownName
from suites.generated._sensors import make_scene
from suites.generated.demo import SUITE

NOWHERE = Path("nowhere")
RED, NIR, SWIR = (next(band for band in SUITE.bands if band.name == name) for name in ("s2.b04", "s2.b08", "s2.b11"))
VV, VH = SUITE.bands[-2:]
GOLDEN_LANDCOVER = [3, 6, 7, 6, 2, 2, 6, 6, 6, 0, 6, 0, 6, 6, 6, 0]
GOLDEN_MEANS = [
    505.1,
    532.4,
    686.7,
    607.6,
    783.6,
    1340.8,
    1627.0,
    1675.8,
    1747.5,
    1713.8,
    1036.5,
    634.1,
    -1374.9,
    -1948.2,
]
GOLDEN_BIOMASS = [48.5, 54.0, 41.0, 37.5]
GOLDEN_FLOODED = 0.20422


def test_a_scene_is_made_anew_bit_by_bit():
    kept = make_scene(0, 3)
    fresh = make_scene.__wrapped__(0, 3)
    for name in ("images", "landcover", "biomass", "flood", "date"):
        assert np.array_equal(getattr(kept, name), getattr(fresh, name)), name
    other = make_scene.__wrapped__(0, 4)
    assert np.mean(kept.images == other.images) < 0.05


def test_version_one_is_what_it_was():
    # A change of these numbers is a change of the data: raise SUITE.version and pretrain the tiny models again.
    scene = make_scene(0, 0)
    assert SUITE.version == 1
    assert scene.landcover.tolist() == GOLDEN_LANDCOVER
    assert np.allclose(scene.images.mean(axis=(1, 2)), GOLDEN_MEANS, atol=0.5)
    assert np.allclose(scene.biomass[:4], GOLDEN_BIOMASS, atol=0.11)
    assert np.mean(scene.flood == 1) == pytest.approx(GOLDEN_FLOODED, abs=1e-4)


def test_splits_are_disjoint_scenes_of_the_stated_sizes():
    splits = {name: SUITE.open(NOWHERE, "landcover", name, SUITE.bands) for name in SUITE.splits}
    assert {name: len(split) for name, split in splits.items()} == dict(SUITE.splits)
    pool = SUITE.open(NOWHERE, "unlabelled", "train", SUITE.bands)
    assert len(pool) == 4000
    everything = [*splits.values(), pool]
    assert len(set().union(*(split.blocks for split in everything))) == 40 + 13 + 20 + 250
    assert len(set().union(*(split.ids for split in everything))) == sum(len(split) for split in everything)


def test_pool_has_no_target_and_one_split():
    pool = SUITE.open(NOWHERE, "unlabelled", "train", (VH, RED))
    sample = pool[3999]
    assert sample.target is None
    assert pool.targets().shape == (4000, 0)
    assert {sensor: values.shape for sensor, values in sample.images.items()} == {
        "s1": (1, 1, 64, 64),
        "s2": (1, 1, 64, 64),
    }
    with pytest.raises(UnknownName, match="pool"):
        SUITE.open(NOWHERE, "unlabelled", "test", SUITE.bands)
    assert "unlabelled" not in [task.name for task in SUITE.tasks]


def test_tiles_are_where_their_scene_has_them():
    scene = make_scene(1, 2)
    split = SUITE.open(NOWHERE, "flood", "val", (NIR, VV))
    assert split.ids[2 * 16 + 6] == "val_002_06" and split.blocks[2 * 16 + 6] == "val_002"
    sample = split[2 * 16 + 6]  # second row, third column
    assert np.array_equal(sample.target, scene.flood[64:128, 128:192])
    assert np.array_equal(sample.images["s2"][0, 0], scene.images[7, 64:128, 128:192])
    assert np.allclose(sample.images["s1"][0, 0], scene.images[12, 64:128, 128:192] / 100)


def test_water_looks_like_water_to_both_sensors():
    water, land = [], []
    split = SUITE.open(NOWHERE, "flood", "val", (NIR, SWIR, VV, VH))
    for index in range(0, len(split), 3):
        sample = split[index]
        layers = np.concatenate([sample.images["s2"][0], sample.images["s1"][0]])
        water.append(layers[:, sample.target == 1])
        land.append(layers[:, sample.target == 0])
    wet, dry = np.concatenate(water, axis=1), np.concatenate(land, axis=1)
    assert np.all(np.median(wet, axis=1) < np.median(dry, axis=1) - [800, 700, 3, 4])
    assert -26 < np.median(wet[2]) < -14 and -14 < np.median(dry[2]) < -8
    # The confusers: dry pixels as dark to the radar as water is, and flooded ones that are not.
    assert 0.02 < np.mean(dry[2] < np.median(wet[2])) < 0.2
    assert 0.05 < np.mean(wet[2] > np.quantile(dry[2], 0.25)) < 0.5


def test_neighbouring_pixels_are_alike_and_bands_of_20_m_are_blocks():
    tile = SUITE.open(NOWHERE, "landcover", "val", (RED, SWIR))[5].images["s2"][0]
    red = tile[0]
    assert np.corrcoef(red[:, 1:].ravel(), red[:, :-1].ravel())[0, 1] > 0.6
    blocks = tile[1].reshape(32, 2, 32, 2)
    within = blocks.std(axis=(1, 3)).mean()
    assert within < 0.5 * blocks.mean(axis=(1, 3)).std()


@pytest.mark.slow
def test_band_statistics_go_part_of_the_way():
    """What a model must beat: per-band means and deviations, chosen as the harness chooses, on the test scenes."""
    features, classes, biomass = {}, {}, {}
    for name in SUITE.splits:
        split = SUITE.open(NOWHERE, "landcover", name, SUITE.bands)
        tiles = np.stack([np.concatenate([v[0] for v in split[i].images.values()]) for i in range(len(split))])
        features[name] = np.concatenate([tiles.mean(axis=(2, 3)), tiles.std(axis=(2, 3))], axis=1)
        classes[name] = split.targets()
        biomass[name] = SUITE.open(NOWHERE, "biomass", name, SUITE.bands).targets()[:, 0]
        assert np.bincount(classes[name], minlength=8).min() >= 0.04 * len(split)
    fitted = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=3000)).fit(features["train"], classes["train"])
        for c in (0.1, 1.0, 10.0)
    ]
    best = max(fitted, key=lambda model: model.score(features["val"], classes["val"]))
    assert 0.5 < best.score(features["test"], classes["test"]) < 0.7
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))).fit(features["train"], biomass["train"])
    assert 0.45 < ridge.score(features["test"], biomass["test"]) < 0.8
