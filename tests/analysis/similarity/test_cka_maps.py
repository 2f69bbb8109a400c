"""CKA maps: equal to pairs in every form and precision, intervals by leaving blocks out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.similarity import cka_maps, grams
from analysis.similarity.cka_maps import cheaper_form, cka_control, cka_jackknife, cka_map
from analysis.similarity.measures import linear_cka
from analysis.similarity.resampling import jackknife
from tests.builders.representations import SHAPES, pair, reference_cka, stack


@pytest.mark.parametrize(("n", "p", "q"), SHAPES)
@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.filterwarnings("ignore:biased CKA")
def test_every_form_equals_the_explicit_centred_gram(n, p, q, debiased):
    for seed in range(3):
        x, y = pair(n, p, q, seed)
        expected = reference_cka(x, y, debiased)
        assert linear_cka(x, y, debiased=debiased) == pytest.approx(expected, abs=1e-11)
        for form in ("gram", "feature"):
            assert cka_map([x], [y], debiased=debiased, form=form)[0, 0] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("form", ["gram", "feature"])
@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.filterwarnings("ignore:biased CKA")
def test_maps_equal_pairs_in_numpy_and_torch(form, kind, debiased, monkeypatch):
    monkeypatch.setattr(grams, "TILE", 64)  # many tiles of uneven size
    for n, widths in ((10, (30, 4)), (150, (12, 70)), (333, (5, 5))):
        x = [layer.astype(kind) for layer in stack(n, (*widths, 3), 0)]
        y = [layer.astype(kind) for layer in stack(n, widths, 1)]
        wide = [[np.float64(layer) for layer in layers] for layers in (x, y)]
        expected = np.array([[linear_cka(a, b, debiased=debiased) for b in wide[1]] for a in wide[0]])
        tolerance = 1e-12 if kind == "float64" else 1e-6
        tensors = [[torch.tensor(layer) for layer in layers] for layers in (x, y)]
        for layers in ((x, y), tensors):
            computed = cka_map(*layers, debiased=debiased, form=form)
            np.testing.assert_allclose(computed, expected, rtol=0, atol=tolerance)
            own = cka_map(layers[0], debiased=debiased, form=form)
            np.testing.assert_allclose(own, cka_map(layers[0], layers[0], debiased=debiased), rtol=0, atol=tolerance)
            np.testing.assert_allclose(np.diag(own), 1, atol=tolerance)


def test_a_channel_of_large_mean_does_not_take_the_digits_of_float32():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 40)), rng.normal(size=(300, 30))
    y[:, :5] += x[:, :5]
    x[:, 7] += 1600
    x, y = x.astype(np.float32), y.astype(np.float32)
    expected = linear_cka(x.astype(np.float64), y.astype(np.float64))
    assert 0.02 < expected < 0.5
    uncentred = torch.tensor(x) @ torch.tensor(x).T
    assert uncentred.dtype == torch.float32
    for form in ("gram", "feature"):
        assert cka_map([x], [y], form=form)[0, 0] == pytest.approx(expected, abs=1e-6)
        assert cka_map([torch.tensor(x)], [torch.tensor(y)], form=form)[0, 0] == pytest.approx(expected, abs=1e-6)
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-12)


def test_an_outlying_row_sends_float32_to_float64():
    x, y = (layer.astype(np.float32) for layer in pair(200, 60, 50))
    x[17] *= 3000
    expected = linear_cka(x, y)
    layers = cka_maps._stack([x], [y], "float32")
    assert grams.gram_map(*layers, debiased=True).worn > grams.WORN
    for form in ("gram", "feature"):
        assert cka_map([x], [y], form=form)[0, 0] == pytest.approx(expected, abs=1e-6)
    left = cka_jackknife([x], [y], blocks=np.arange(200) // 10)
    assert left.value[0, 0] == pytest.approx(expected, abs=1e-6)


def test_float32_products_of_fewer_bits_are_not_taken():
    x, y = (torch.tensor(layer, dtype=torch.float32) for layer in pair(80, 20, 20))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert cka_maps._kinds([x, y]) == ("float64",)
    finally:
        torch.set_float32_matmul_precision(before)
    assert cka_maps._kinds([x, y]) == ("float32", "float64")
    assert cka_maps._kinds([x, y.double()]) == ("float64",)


@pytest.mark.parametrize("form", ["gram", "feature"])
def test_features_on_disk_in_half_precision(tmp_path, form, monkeypatch):
    monkeypatch.setattr(cka_maps, "MEMORY", 8 * 30 * 60)  # one layer of x at a time
    layers = [layer.astype(np.float16) for layer in (*stack(600, (30, 20), 0), *stack(600, (25, 35), 1))]
    files = []
    for index, layer in enumerate(layers):
        np.save(tmp_path / f"{index}.npy", layer)
        files.append(np.load(tmp_path / f"{index}.npy", mmap_mode="r"))
    expected = cka_map([layer.astype(np.float64) for layer in layers[:2]], [np.float64(layer) for layer in layers[2:]])
    np.testing.assert_allclose(cka_map(files[:2], files[2:], form=form), expected, rtol=0, atol=1e-6)
    spread = cka_jackknife(files[:2], files[2:], blocks=np.arange(600) // 30)
    np.testing.assert_allclose(spread.value, expected, rtol=0, atol=1e-6)
    control = cka_control(files[:2], files[2:], rng=np.random.default_rng(0), permutations=2)
    assert (abs(control.mean) < 0.1).all()


def test_the_cheaper_form_follows_the_shape():
    assert cheaper_form([np.empty((2048, 768))] * 13, [np.empty((2048, 768))] * 13) == "gram"
    assert cheaper_form([np.empty((10000, 64))], [np.empty((10000, 64))]) == "feature"
    assert cheaper_form([np.empty((100, 3072))], None) == "gram"


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.filterwarnings("ignore:biased CKA")
def test_the_jackknife_of_a_map_is_leaving_blocks_out_one_by_one(debiased, kind, monkeypatch):
    monkeypatch.setattr(grams, "TILE", 32)
    rng = np.random.default_rng(2)
    x, y = stack(90, (12, 130), 0), stack(90, (7,), 1)
    tolerance = 1e-11 if kind == "float64" else 2e-6
    for blocks in (rng.integers(0, 8, 90), rng.permutation(90), rng.permutation(90) // 30):
        codes = np.unique(blocks)
        sizes = np.array([(blocks == code).sum() for code in codes])
        kept = [blocks != code for code in codes]
        without = np.array([cka_map([a[k] for a in x], [b[k] for b in y], debiased=debiased) for k in kept])
        expected = jackknife(cka_map(x, y, debiased=debiased), without, sizes)
        for convert in (np.asarray, torch.tensor):
            layers = [[convert(layer.astype(kind)) for layer in layers] for layers in (x, y)]
            interval = cka_jackknife(*layers, blocks=blocks, debiased=debiased)
            np.testing.assert_allclose(interval.value, expected.value, rtol=0, atol=tolerance)
            np.testing.assert_allclose(interval.error, expected.error, rtol=1e-8 if kind == "float64" else 1e-3)
            assert interval.blocks == len(codes)
