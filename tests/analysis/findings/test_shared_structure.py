"""CKA between models and dimensions: those of whole activations, and of summaries to within 0.005."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.findings.shared_structure import dimensions, few_blocks, jackknife_groups, layer_cka, model_matrix
from analysis.findings.stored_layers import embedded, summarised
from bench.store import Store
from tests.builders.similarity import IDS, embed_record, similarity_record


@pytest.fixture
def store(tmp_path):
    """Two models whose last layers are alike up to a rotation, one of noise, its rows in another order."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(60, 4))
    rotated = signal @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    filled = Store(tmp_path)
    embed_record(filled, "one", {"embedding": rng.normal(size=(60, 4)), "block_1": signal})
    embed_record(filled, "two", {"embedding": rng.normal(size=(60, 5)), "block_1": rotated})
    order = rng.permutation(60)
    noise = rng.normal(size=(60, 6))
    embed_record(filled, "three", {"embedding": noise, "block_1": signal[order] * 3 + 1}, ids=IDS[order])
    return filled


def test_models_are_matched_by_id_whatever_the_order(store):
    frame = model_matrix(embedded(store, store.records("toy"))).set_index(["model", "other"])
    assert frame.loc[("one", "two"), "cka"] == pytest.approx(1, abs=1e-3)
    assert frame.loc[("one", "three"), "cka"] == pytest.approx(1, abs=1e-3)
    assert (frame["shuffled"].abs() < 0.1).all() and (frame["images"] == 60).all()
    assert set(frame["best_layers"]) == {"block_1 / block_1"}
    assert (frame["low"] <= frame["cka"] + 1e-9).all()


def test_dimensions_of_what_is_known(store):
    frame = dimensions(embedded(store, store.records("toy")))
    assert len(frame) == 6 and (frame["rankme"] <= frame["width"] + 1e-6).all()
    assert frame.set_index(["model", "layer"]).loc[("one", "block_1"), "participation_ratio"] > 3


def both(folder, models, **more):
    """Return the same layers as whole activations and as summaries."""
    store = Store(folder)
    for model, layers in models.items():
        ids = np.array([f"image {number}" for number in range(len(next(iter(layers.values()))))])
        embed_record(store, model, layers, ids=ids)
        similarity_record(store, model, layers, ids=ids, **more)
    return embedded(store, store.records("toy")), summarised(store, store.records("toy"))


def compare(whole, brief):
    for i, layers in enumerate(whole):
        np.testing.assert_allclose(layer_cka(brief[i]), layer_cka(layers), atol=5e-4)
        for j in range(i + 1, len(whole)):
            np.testing.assert_allclose(layer_cka(brief[i], brief[j]), layer_cka(layers, whole[j]), atol=0.005)
    frames = [model_matrix(models) for models in (whole, brief)]
    for column in ("cka", "low", "high", "shuffled"):
        np.testing.assert_allclose(frames[1][column], frames[0][column], atol=0.005)
    sizes = [dimensions(models) for models in (whole, brief)]
    for column in ("width", "rankme", "participation_ratio", "twonn"):
        np.testing.assert_allclose(sizes[1][column], sizes[0][column], rtol=0.02)


def test_summaries_give_the_cka_of_whole_activations(tmp_path):
    """Layers that share a signal with others, in spectra that fall as those of trained networks do."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(400, 12)) * np.arange(1, 13) ** -0.5
    models = {}
    for model, width in (("narrow", 24), ("wide", 300)):
        own = rng.normal(size=(400, width)) * np.arange(1, width + 1) ** -1.0
        mixes = [rng.normal(size=(12, width)) for _ in range(3)]
        layers = {f"block_{i}": own * (3 - i) + (i + 1) / 3 * signal @ mix + 2 for i, mix in enumerate(mixes)}
        models[model] = layers
    compare(*both(tmp_path, models))


@pytest.mark.shared
def test_summaries_give_the_cka_of_a_real_network(tmp_path, shared):
    from bench.catalogue.models import entries
    from bench.catalogue.suites import load
    from bench.features.forward import run_backbone
    from bench.input.recipe import match

    suite, models = load("eurosat_rgb"), {}
    split = suite.open(shared / "data", "landuse", "train", suite.bands)
    for name in ("galileo_nano", "galileo_nano.random"):
        entry = entries()[name]
        recipe = match(entry, suite, suite.tasks[0], suite.bands)
        path = shared / "weights" / entry.weights.file if entry.weights else None
        backbone = entry.load(entry, path, 0, recipe.bands)
        layers: dict[str, list[np.ndarray]] = {}
        for start in range(0, 360, 60):
            samples = [split[5 * row] for row in range(start, start + 60)]
            for layer, tap in zip(backbone.layers, run_backbone(recipe, backbone, samples, {}, "cpu"), strict=True):
                layers.setdefault(layer.name, []).append(tap.grid.mean((-2, -1)).detach().numpy())
        models[name] = {layer: np.concatenate(parts) for layer, parts in layers.items()}
    compare(*both(tmp_path, models))


def test_blocks_are_left_out_whole_and_few_of_them_are_said(tmp_path):
    rng, store = np.random.default_rng(0), Store(tmp_path)
    scenes = np.array([f"scene {number // 6}" for number in range(60)])
    for model in ("one", "two"):
        layers = {"embedding": rng.normal(size=(120, 3))}
        similarity_record(store, model, layers, blocks=scenes, cells=2)
    models = summarised(store, store.records("toy"))
    groups = jackknife_groups(models[0])
    assert len(groups) == 120 and groups.max() == 9
    for group in range(10):
        assert len(set(models[0].row_blocks()[groups == group])) == 1
    assert (model_matrix(models)["blocks"] == 10).all()
    assert few_blocks(models[0]).startswith("There are 10 independent blocks of images, fewer than 50")


def test_layers_that_never_vary_have_no_similarity(tmp_path):
    rng, store = np.random.default_rng(0), Store(tmp_path)
    for put in (embed_record, similarity_record):
        for model in ("one", "two"):
            put(store, model, {"embedding": np.ones((60, 2)), "block_1": rng.normal(size=(60, 3))})
    for models in (embedded(store, store.records("toy")), summarised(store, store.records("toy"))):
        between = layer_cka(*models)
        assert np.isnan(between[0]).all() and np.isnan(between[:, 0]).all() and np.isfinite(between[1, 1])
        assert np.isfinite(model_matrix(models)["cka"]).all()
        assert dimensions(models)["rankme"].isna().tolist() == [True, False] * 2
