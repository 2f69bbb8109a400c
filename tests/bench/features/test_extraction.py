"""One pass gives every layer, each row is its own sample's, and windows and dates are put together exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.core import Layer, Normalise, Tap
from bench.core.errors import Incompatible, MissingData
from bench.features.extraction import Pass, extract, health
from bench.features.forward import run_backbone
from bench.features.statistics import statistics
from bench.input.recipe import match
from bench.store import FeatureCache
from tests.builders.suite_and_model import BANDS, DEPTH, ToySplit, load_toy, toy_entry, toy_suite

SUITE = toy_suite()
KIND, _, MASK = SUITE.tasks
ENTRY = toy_entry()


def job(split=None, task=KIND, **changes) -> Pass:
    split = split or ToySplit(task.name, "train", 23, BANDS)
    facts = dict(
        facts={"model": "toy_small", "suite": "toy"},
        split_name="train",
        split=split,
        recipe=match(ENTRY, SUITE, task, BANDS),
        dense=task.kind == "segmentation",
    )
    return Pass(**{**facts, **changes})


def take(cache, work, backbone=None, **changes):
    backbone = backbone or load_toy(ENTRY, None, 0, BANDS)
    return extract(work, lambda: backbone, cache, {}, **{"device": "cpu", "batch": 8, "workers": 2, **changes})


def test_one_pass_serves_all_layers_and_the_second_run_none(tmp_path):
    cache, backbone = FeatureCache(tmp_path), load_toy(ENTRY, None, 0, BANDS)
    features, cost = take(cache, job(), backbone)
    assert cost["passes"] == 23 and backbone.passes == 24  # one more to learn the shapes
    assert {name.partition(".")[0] for name in features.names} == {
        "embedding",
        *(f"block_{i}" for i in range(1, DEPTH + 1)),
    }
    assert features["block_2.mean"].shape == (23, 6) and features["block_2.mean"].dtype == np.float16
    _, cost = extract(job(), lambda: pytest.fail("loaded again"), cache, {}, device="cpu", batch=8, workers=2)
    assert cost["passes"] == 0


def test_rows_belong_to_their_samples_whatever_the_batch(tmp_path):
    first, _ = take(FeatureCache(tmp_path / "a"), job(), batch=8)
    second, _ = take(FeatureCache(tmp_path / "b"), job(), batch=5, workers=1)
    split = ToySplit("kind", "train", 23, BANDS)
    for name in first.names:
        np.testing.assert_allclose(first[name], second[name], rtol=2e-3, atol=2e-3)
    means = [(split[i].images["s2"][0, 0].mean() - 1500) / 500 * 3 for i in range(23)]
    spread = first["block_2.mean"].astype(float) - first["block_2.cls"].astype(float)
    assert first.ids == split.ids and np.isfinite(spread).all()
    assert np.corrcoef(first["block_2.mean"][:, 0].astype(float), means)[0, 1] > 0.8


def test_machine_settings_are_no_part_of_the_key_and_all_else_is():
    base = job().key({})
    assert base == job().key({"s2.b04": (1.0, 1.0)})  # statistics count only where they are used
    others = [
        job(storage="float32"),
        job(split_name="val"),
        job(split=ToySplit("kind", "train", 22, BANDS)),
        job(facts={"model": "other", "suite": "toy"}),
        job(dense=True),
        job(recipe=match(toy_entry(normalise=Normalise()), SUITE, KIND, BANDS)),
    ]
    assert len({str(other.key({})) for other in others} | {str(base)}) == len(others) + 1
    assert not {"device", "batch", "workers"} & set(base)


class Broken(ToySplit):
    def __getitem__(self, index):
        sample = super().__getitem__(index)
        if index == 3:
            sample.images["s2"][:, 1] = np.nan
        if index == 5:
            sample.images["s2"][:, 1, :4] = np.nan
        return sample


def test_an_empty_band_makes_a_row_of_nan_and_part_of_one_does_not(tmp_path):
    features, _ = take(FeatureCache(tmp_path), job(Broken("kind", "train", 23, BANDS)))
    bad = ~np.isfinite(features["block_1.mean"]).all(1)
    assert np.flatnonzero(bad).tolist() == [3]


def test_a_network_that_gives_nan_is_named(tmp_path):
    backbone = load_toy(ENTRY, None, 0, BANDS)
    inner = backbone.forward

    def forward(images, layers, **more):
        taps = inner(images, layers, **more)
        taps[1].grid[-1] = float("nan")
        taps[1].grid[-1, 0] = 1.0
        return taps

    backbone.forward = forward
    with pytest.raises(Incompatible, match=r"toy_small: layer block_1\.mean gives NaN for the sound image train_"):
        take(FeatureCache(tmp_path), job(), backbone)


def test_values_beyond_float16_are_an_error_that_names_the_setting(tmp_path):
    backbone = load_toy(ENTRY, None, 0, BANDS)
    inner = backbone.forward
    backbone.forward = lambda *a, **k: [Tap(t.grid * 1e6, t.vector * 1e6, t.cls * 1e6) for t in inner(*a, **k)]
    with pytest.raises(Incompatible, match="storage=float32"):
        take(FeatureCache(tmp_path), job(), backbone)
    assert take(FeatureCache(tmp_path), job(storage="float32"), backbone)[0]["block_2.mean"].dtype == np.float32


def test_statistics_equal_numpy_and_are_kept(tmp_path):
    split, cache = Broken("kind", "train", 23, BANDS), FeatureCache(tmp_path)
    computed = statistics(split, BANDS, cache, {"suite": "toy"})
    for column, band in enumerate(BANDS):
        values = np.concatenate([split[i].images["s2"][:, column].ravel() for i in range(23)]).astype(np.float64)
        assert computed[band.name] == pytest.approx((np.nanmean(values), np.nanstd(values)), rel=1e-9)

    class Unreadable(Broken):
        def __getitem__(self, index):
            pytest.fail("read again")

    assert statistics(Unreadable("kind", "train", 23, BANDS), BANDS, cache, {"suite": "toy"}) == computed


def test_statistics_need_a_finite_value(tmp_path):
    class Empty(ToySplit):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            sample.images["s2"][:, 1] = np.nan
            return sample

    with pytest.raises(MissingData, match=r"no finite value of s2\.b08"):
        statistics(Empty("kind", "train", 4, BANDS), BANDS, FeatureCache(tmp_path), {"suite": "toy"})


def test_health_sees_a_layer_that_says_the_same_of_every_image(tmp_path):
    backbone = load_toy(ENTRY, None, 0, BANDS)
    assert health(take(FeatureCache(tmp_path / "a"), job(), backbone)[0]) == []
    inner = backbone.forward
    backbone.forward = lambda *a, **k: [
        Tap(*(torch.ones_like(p) for p in t)) if i == 2 else t for i, t in enumerate(inner(*a, **k))
    ]
    faults = health(take(FeatureCache(tmp_path / "b"), job(), backbone)[0])
    assert faults == ["block_2.cls is the same for every image", "block_2.mean is the same for every image"]


def test_half_precision_is_held_against_full_precision(tmp_path):
    """Some builds of torch compute bf16 convolutions wrong, and nothing else would notice."""
    half = job(recipe=match(ENTRY, SUITE, KIND, BANDS, precision="bf16"))
    assert half.key({}) != job().key({})

    class Wrong(torch.nn.Module):
        layers = (Layer(name="embedding", channels=2, stride=4, depth=0.0),)

        def forward(self, images, layers, *, when=None, where=None):
            grid = images["s2"][:, 0, :, ::4, ::4]
            grid = 2 * grid if torch.is_autocast_enabled("cpu") else grid
            return [Tap(grid, grid.mean((-2, -1))) for _ in layers]

    with pytest.raises(Incompatible, match="bf16 features of embedding differ from fp32's by 100%"):
        take(FeatureCache(tmp_path), half, Wrong())
    take(FeatureCache(tmp_path), job(), Wrong())
    take(FeatureCache(tmp_path), half)


def test_series_of_different_lengths_are_each_their_own(tmp_path):
    """Ragged series in one batch give what each gives alone, in the order of the samples."""

    class Ragged(ToySplit):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            dates = 1 + index % 3
            later = 100 * np.arange(dates, dtype=np.float32)[:, None, None, None]
            return sample._replace(images={"s2": sample.images["s2"] + later})

    import dataclasses

    suite = dataclasses.replace(SUITE, dates=0)
    split = Ragged("kind", "train", 11, BANDS)
    whole, _ = take(FeatureCache(tmp_path / "a"), job(split, recipe=match(ENTRY, suite, KIND, BANDS)), batch=8)
    alone, _ = take(FeatureCache(tmp_path / "b"), job(split, recipe=match(ENTRY, suite, KIND, BANDS)), batch=1)
    for name in whole.names:
        np.testing.assert_allclose(whole[name], alone[name], rtol=2e-3, atol=2e-3)
    means = [np.mean([split[i].images["s2"][d, 0].mean() for d in range(1 + i % 3)]) for i in range(11)]
    planted = whole["block_2.mean"].astype(float) - whole["block_2.cls"].astype(float)
    assert np.isfinite(planted).all()
    assert np.corrcoef(whole["block_2.mean"][:, 0].astype(float), means)[0, 1] > 0.8
    sample = split[0]._replace(images={"s2": split[0].images["s2"], "s1": split[1].images["s2"]})
    with pytest.raises(Incompatible, match="1 of s2, 2 of s1: dates are not shared"):
        run_backbone(match(ENTRY, suite, KIND, BANDS), load_toy(ENTRY, None, 0, BANDS), [sample], {}, "cpu")
