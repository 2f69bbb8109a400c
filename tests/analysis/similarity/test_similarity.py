"""Similarity: known exact answers, independent references, brute force, and what must be refused."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

from analysis.similarity import cka_maps, grams
from analysis.similarity.arrays import match_rows, require_same_ids
from analysis.similarity.cka_maps import cheaper_form, cka_control, cka_jackknife, cka_map
from analysis.similarity.dimensions import participation_ratio, rankme, twonn
from analysis.similarity.measures import canonical_correlations, linear_cka, mutual_knn, procrustes, rbf_cka, rsa, svcca
from analysis.similarity.resampling import jackknife, measure_interval, permutation_control, row_blocks
from analysis.similarity.streaming import CkaStream, stream_jackknife

SHAPES = ((4, 1, 1), (5, 3, 9), (9, 2, 40), (30, 12, 5), (64, 100, 7), (200, 6, 6))
MEASURES = (linear_cka, rbf_cka, procrustes, lambda x, y: svcca(x, y, variance=0.8), mutual_knn, rsa)


def golden() -> tuple[np.ndarray, np.ndarray]:
    old = np.random.RandomState(1337)
    x = old.randn(100, 10)
    return x, old.randn(100, 10) + x


def pair(n: int, p: int, q: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 3))
    x = common @ rng.normal(size=(3, p)) + rng.normal(size=(n, p)) + 5 * rng.normal(size=p)
    return x, common @ rng.normal(size=(3, q)) + rng.normal(size=(n, q))


def reference_cka(x: np.ndarray, y: np.ndarray, debiased: bool) -> float:
    """From explicit Gram matrices, doubly centred or U-centred (Székely and Rizzo 2014, definition 2)."""
    n = len(x)
    centred = []
    for features in (x, y):
        gram = features @ features.T
        if debiased:
            np.fill_diagonal(gram, 0)
            rows = gram.sum(0) / (n - 2)
            gram = gram - rows[None] - rows[:, None] + gram.sum() / ((n - 1) * (n - 2))
            np.fill_diagonal(gram, 0)
        else:
            middle = np.eye(n) - 1 / n
            gram = middle @ gram @ middle
        centred.append(gram)
    k, m = centred
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


def stack(n: int, widths: tuple[int, ...], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=(n, 4))
    return [common @ rng.normal(size=(4, w)) + (1 + i) * rng.normal(size=(n, w)) + 3 for i, w in enumerate(widths)]


# Known exact answers


def test_golden_values_of_the_authors_notebook():
    x, y = golden()
    assert linear_cka(x, y, debiased=False) == pytest.approx(0.55761, abs=5e-6)
    assert linear_cka(x, y) == pytest.approx(0.51346, abs=5e-6)
    assert rbf_cka(x, y, debiased=False) == pytest.approx(0.65483, abs=5e-6)
    # Their CCA does not centre: mean squared correlation 0.54312. Stacking -x takes the mean away.
    doubled = canonical_correlations(np.r_[x, -x], np.r_[y, -y], variance=1)
    assert (doubled**2).mean() == pytest.approx(0.54312, abs=5e-6)


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("measure", [linear_cka, rbf_cka])
def test_a_representation_is_like_itself_turned_scaled_and_shifted(measure, debiased):
    x, y = golden()
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    other = -3.7 * x @ turn + 100 * rng.normal(size=10)
    assert measure(x, x, debiased=debiased) == pytest.approx(1, abs=1e-12)
    assert measure(x, other, debiased=debiased) == pytest.approx(1, abs=1e-12)
    assert measure(other, y, debiased=debiased) == pytest.approx(measure(x, y, debiased=debiased), abs=1e-12)
    skewed = x @ np.diag(np.arange(1, 11.0))
    assert measure(skewed, y, debiased=debiased) != pytest.approx(measure(x, y, debiased=debiased), abs=1e-3)


def test_closed_forms():
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(50, 1)), rng.normal(size=(50, 1))
    two += one
    assert linear_cka(one, two, debiased=False) == pytest.approx(
        pearsonr(one[:, 0], two[:, 0]).statistic ** 2, abs=1e-14
    )
    x = rng.normal(size=(80, 16))
    x = np.linalg.qr(x - x.mean(0))[0]
    for r in (1, 4, 9, 16):
        assert linear_cka(x, x[:, :r], debiased=False) == pytest.approx(np.sqrt(r / 16), abs=1e-13)
    assert linear_cka(x, x * np.arange(1, 17), debiased=False) == pytest.approx(0.7573768, abs=5e-8)


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


def test_debiased_cka_of_shuffled_rows_is_zero_on_average_and_biased_is_not():
    x, y = pair(40, 30, 60)
    rng = np.random.default_rng(5)
    control = permutation_control(linear_cka, x, y, rng=rng, permutations=300)
    assert abs(control.mean) < 3 * control.deviation / np.sqrt(300)
    noise = rng.normal(size=(64, 768)), rng.normal(size=(64, 768))
    with pytest.warns(RuntimeWarning, match=r"independent noise scores up to 0\.92"):
        assert linear_cka(*noise, debiased=False) == pytest.approx(0.92, abs=0.01)
    assert abs(linear_cka(*noise)) < 0.02
    of_maps = cka_control([x, noise[0][:40]], [y, x], rng=rng, permutations=60)
    assert of_maps.mean.shape == of_maps.deviation.shape == (2, 2)
    assert (abs(of_maps.mean) < 4 * of_maps.deviation / np.sqrt(60)).all()


def test_a_wide_kernel_is_linear_with_an_error_that_falls_with_its_square():
    x, y = golden()
    linear = linear_cka(x, y, debiased=False)
    errors = [abs(rbf_cka(x, y, threshold=t, debiased=False) - linear) for t in (10.0, 100.0)]
    assert errors[0] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.05)
    assert rbf_cka(x, y, threshold=1e4) == pytest.approx(linear_cka(x, y), abs=1e-6)


# Streams


@pytest.mark.filterwarnings("ignore:biased CKA")
@pytest.mark.parametrize("kept", [None, 0, 23])
def test_any_chunking_and_any_order_of_merging_equal_the_full_batch(kept):
    for seed, n in enumerate((7, 50, 120)):
        x, y = stack(n, (5, 33, 2), seed), stack(n, (8, 40), seed + 10)
        x[0][:, 2] += 1000
        expected = [cka_map(x, y, debiased=debiased, form="feature") for debiased in (True, False)]
        rng = np.random.default_rng(seed)
        for pieces in (1, 3, n):
            cuts = np.sort(rng.choice(np.arange(1, n), pieces - 1, replace=False))
            order = np.split(rng.permutation(n), cuts)
            whole, parts = CkaStream(rows_kept=kept), []
            for rows in order:
                part = CkaStream(rows_kept=kept)
                for stream in (whole, part):
                    stream.add([layer[rows] for layer in x], [layer[rows] for layer in y])
                parts.append(pickle.loads(pickle.dumps(part)))  # as from a worker
            forward, backward = CkaStream(), CkaStream(rows_kept=0)
            for part in parts:
                forward, backward = forward.merge(part), part.merge(backward)
            for stream in (whole, forward, backward):
                for value, debiased in zip(expected, (True, False), strict=True):
                    np.testing.assert_allclose(stream.cka(debiased=debiased), value, rtol=0, atol=1e-12)
                assert stream.rows == n
            if pieces == 3:
                left = np.concatenate(order[1:])
                rest = whole.without(parts[0]).cka()
                if len(left) >= 4:
                    full = cka_map([layer[left] for layer in x], [layer[left] for layer in y])
                    np.testing.assert_allclose(rest, full, rtol=0, atol=1e-11)


def test_a_stream_goes_on_after_it_was_read_and_copies_its_chunks():
    x, y = pair(60, 6, 4)
    stream, buffer = CkaStream(), (np.empty((20, 6)), np.empty((20, 4)))
    for start in range(0, 60, 20):
        buffer[0][:], buffer[1][:] = x[start : start + 20], y[start : start + 20]
        stream.add([buffer[0]], [buffer[1]])
        assert stream.cka()[0, 0] == pytest.approx(linear_cka(x[: start + 20], y[: start + 20]), abs=1e-12)
    assert stream._moments  # folded on the way


def test_streams_take_tensors_and_float32_products():
    x, y = stack(300, (20, 10), 0), stack(300, (15,), 1)
    stream = CkaStream(rows_kept=0, kind="float32")
    for start in range(0, 300, 64):
        part = slice(start, start + 64)
        stream.add([torch.tensor(layer[part]) for layer in x], [torch.tensor(layer[part]) for layer in y])
    np.testing.assert_allclose(stream.cka(), cka_map(x, y), rtol=0, atol=1e-6)


# Maps


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
            found = cka_map(*layers, debiased=debiased, form=form)
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
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


# Intervals and controls


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
            found = cka_jackknife(*layers, blocks=blocks, debiased=debiased)
            np.testing.assert_allclose(found.value, expected.value, rtol=0, atol=tolerance)
            np.testing.assert_allclose(found.error, expected.error, rtol=1e-8 if kind == "float64" else 1e-3)
            assert found.blocks == len(codes)


def test_the_jackknife_of_streams_is_that_of_rows():
    x, y = stack(80, (6, 9), 0), stack(80, (5,), 1)
    blocks = np.sort(np.random.default_rng(0).integers(0, 6, 80))
    parts = []
    for code in range(6):
        parts.append(CkaStream(rows_kept=0))
        parts[-1].add([layer[blocks == code] for layer in x], [layer[blocks == code] for layer in y])
    found, expected = stream_jackknife(parts), cka_jackknife(x, y, blocks=blocks)
    np.testing.assert_allclose(found.low, expected.low, rtol=0, atol=1e-11)
    with pytest.raises(ValueError, match="1 block"):
        stream_jackknife(parts[:1])


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=40)
    without = (values.sum() - values) / 39
    found = jackknife(values.mean(), without, np.ones(40))
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(40), rel=1e-12)


def test_intervals_cover_the_truth():
    """Independent features: the truth is 0 exactly."""
    rng = np.random.default_rng(8)
    hits = {"jackknife": 0, "subsample": 0}
    for _ in range(60):
        x, y = rng.normal(size=(120, 20)), rng.normal(size=(120, 40))
        for method in hits:
            if method == "jackknife":
                found = cka_jackknife([x], [y], blocks=row_blocks(120, 20, rng))
            else:
                found = measure_interval(
                    linear_cka, x, y, blocks=row_blocks(120, 20, rng), method=method, rng=rng, draws=60
                )
            hits[method] += bool((found.low <= 0) & (found.high >= 0))
    assert min(hits.values()) >= 50


def test_any_measure_has_an_interval():
    x, y = pair(60, 8, 5)
    blocks = np.arange(60) // 3
    slow = measure_interval(linear_cka, x, y, blocks=blocks)
    fast = cka_jackknife([x], [y], blocks=blocks)
    assert (slow.low, slow.high) == pytest.approx((fast.low[0, 0], fast.high[0, 0]), abs=1e-12)
    for measure in MEASURES:
        found = measure_interval(measure, x, y, blocks=blocks)
        assert found.low < found.value < found.high
    again = [
        measure_interval(procrustes, x, y, blocks=blocks, method="subsample", rng=np.random.default_rng(1), draws=20)
        for _ in range(2)
    ]
    assert again[0] == again[1]


def test_a_bootstrap_is_refused_for_what_it_does():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 768)), rng.normal(size=(300, 768))
    drawn = rng.integers(0, 300, 300)
    assert abs(linear_cka(x, y)) < 0.02
    assert linear_cka(x[drawn], y[drawn]) > 0.6  # why
    with pytest.raises(ValueError, match="drawn twice"):
        measure_interval(linear_cka, x, y, blocks=np.arange(300), method="bootstrap", rng=rng)
    with pytest.raises(ValueError, match=r"repeat .* samples.*bootstrap"):
        match_rows(drawn, drawn)


# The other measures


def test_procrustes_against_scipy_and_as_a_metric():
    x, y = golden()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0]
    assert procrustes(x, 5 * x @ turn + 3) < 1e-12
    assert procrustes(x, 5 * x @ turn + 3, angular=True) < 1e-12
    disparity = scipy_procrustes(x, y)[2]
    assert np.cos(procrustes(x, y, angular=True)) == pytest.approx(np.sqrt(1 - disparity), abs=1e-12)
    assert procrustes(x, y) ** 2 == pytest.approx(2 - 2 * np.sqrt(1 - disparity), abs=1e-12)
    padded = np.c_[y[:, :4], np.zeros((100, 6))]
    assert procrustes(x, y[:, :4]) == pytest.approx(procrustes(x, padded), abs=1e-12)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b, c = (rng.normal(size=(12, width)) for width in (3, 20, 7))
        for angular in (False, True):
            ab, bc, ac = (procrustes(*each, angular=angular) for each in ((a, b), (b, c), (a, c)))
            assert ac <= ab + bc + 1e-12
            assert ab == pytest.approx(procrustes(b, a, angular=angular), abs=1e-12)
    wide = np.random.default_rng(1).normal(size=(9, 50))
    values = np.linalg.svd(wide - wide.mean(0), compute_uv=False)
    assert procrustes(wide, (wide - wide.mean(0)) @ wide.T) < np.sqrt(2)
    assert procrustes(wide, wide[:, ::-1]) < 1e-12
    assert len(values) == 9


def test_svcca_is_the_correlation_of_leading_components():
    x, y = pair(200, 12, 9)
    x, y = x - x.mean(0), y - y.mean(0)
    kept = []
    for features in (x, y):
        left, values, _ = np.linalg.svd(features, full_matrices=False)
        count = int((np.cumsum(values**2) / (values**2).sum() < 0.99).sum()) + 1
        kept.append(left[:, :count] * values[:count])
    joint = np.linalg.qr(kept[0])[0].T @ np.linalg.qr(kept[1])[0]
    assert svcca(x, y) == pytest.approx(np.linalg.svd(joint, compute_uv=False).mean(), abs=1e-12)
    skew = np.random.default_rng(0).normal(size=(12, 12))
    assert svcca(x, x @ skew, variance=1) == pytest.approx(1, abs=1e-10)
    assert len(canonical_correlations(np.c_[x, x[:, :2]], y, variance=1)) == 9  # dependent columns count once
    with pytest.raises(ValueError, match="by construction"):
        svcca(*pair(30, 40, 40))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_mutual_neighbours_against_brute_force(metric):
    x, y = pair(70, 6, 30)
    near = []
    for features in (x, y):
        distances = pdist_square(features, metric)
        np.fill_diagonal(distances, np.inf)
        near.append([set(row[:5]) for row in np.argsort(distances, axis=1).tolist()])
    expected = np.mean([len(a & b) / 5 for a, b in zip(*near, strict=True)])
    assert mutual_knn(x, y, k=5, metric=metric) == pytest.approx(expected, abs=1e-12)
    assert mutual_knn(x, 3 * x, k=5, metric=metric) == 1
    rng = np.random.default_rng(0)
    noise = mutual_knn(rng.normal(size=(700, 20)), rng.normal(size=(700, 20)), metric=metric)
    assert noise == pytest.approx(10 / 699, abs=0.006)


def pdist_square(features: np.ndarray, metric: str) -> np.ndarray:
    n = len(features)
    square = np.zeros((n, n))
    square[np.triu_indices(n, 1)] = pdist(features, metric)
    return square + square.T


def test_rsa_against_scipy():
    x, y = pair(40, 6, 30)
    for dissimilarity in ("correlation", "euclidean"):
        expected = spearmanr(pdist(x, dissimilarity), pdist(y, dissimilarity)).statistic
        assert rsa(x, y, dissimilarity=dissimilarity) == pytest.approx(expected, abs=1e-12)
    coarse = np.round(x)  # ties
    expected = spearmanr(pdist(coarse, "euclidean").round(9), pdist(y, "euclidean")).statistic
    assert rsa(coarse, y, dissimilarity="euclidean") == pytest.approx(expected, abs=1e-3)


def test_equal_singular_values_count_themselves():
    rng = np.random.default_rng(0)
    for n, p, k in ((50, 20, 7), (20, 90, 12), (30, 30, 1)):
        left = rng.normal(size=(n, k))
        left = np.linalg.qr(left - left.mean(0))[0]
        x = left @ np.linalg.qr(rng.normal(size=(p, k)))[0].T
        assert rankme(x) == pytest.approx(k, rel=1e-6)
        assert rankme(x + 100, centre=True) == pytest.approx(k, rel=1e-6)
        assert participation_ratio(x + 100) == pytest.approx(k, rel=1e-9)
    values = np.array([3.0, 1.0])
    x = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * values
    assert participation_ratio(x) == pytest.approx((9 + 1) ** 2 / (81 + 1))
    assert rankme(x) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))


def test_twonn_finds_the_dimension_of_a_manifold():
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 5):
        flat = rng.uniform(size=(2500, dimension))
        turned = (
            np.sin(flat @ rng.normal(size=(dimension, 30)))
            if dimension == 1
            else flat @ rng.normal(size=(dimension, 30))
        )
        found = twonn(turned)
        assert found == pytest.approx(dimension, rel=0.12)
        assert twonn(np.r_[turned, turned[:300]] * 7) == pytest.approx(found, rel=1e-9)  # equal rows count once
    # The slope by hand, from all distances.
    x = rng.normal(size=(40, 3))
    near = np.sort(pdist_square(x, "euclidean"), axis=1)
    logs = np.sort(np.log(near[:, 2] / near[:, 1]))[:36]
    heights = -np.log(1 - np.arange(1, 37) / 40)
    assert twonn(x + 1e6) == pytest.approx((logs @ heights) / (logs @ logs), rel=1e-5)
    with pytest.raises(ValueError, match="distinct rows"):
        twonn(np.repeat(x[:5], 20, axis=0))


def test_torch_and_numpy_agree_on_every_measure():
    x, y = pair(60, 8, 70)
    tensors = torch.tensor(x), torch.tensor(y)
    for measure in MEASURES:
        assert measure(*tensors) == pytest.approx(measure(x, y), abs=1e-11)
        assert measure(x, tensors[1]) == pytest.approx(measure(x, y), abs=1e-11)
        assert isinstance(measure(*tensors), float)
    for shape in (rankme, participation_ratio, twonn):
        assert shape(tensors[0]) == pytest.approx(shape(x), rel=1e-10)
    trained = tensors[0].float().requires_grad_()
    assert linear_cka(trained, tensors[1].half()) == pytest.approx(linear_cka(x, y), abs=1e-3)


# What is refused


@pytest.mark.parametrize("measure", [*MEASURES, lambda x, y: cka_map([x], [y]), lambda x, y: CkaStream().add([x], [y])])
def test_bad_features_are_refused_by_name(measure):
    x, y = pair(20, 6, 5)
    with pytest.raises(ValueError, match=r"20 rows and .* 19"):
        measure(x, y[:-1])
    with pytest.raises(ValueError, match="shape"):
        measure(x[:, 0], y)
    for bad in (np.nan, np.inf):
        broken = y.copy()
        broken[3, 2] = bad
        with pytest.raises(ValueError, match=r"y holds NaN or infinite values in 1 of 5 columns"):
            measure(x, broken)
        with pytest.raises(ValueError, match="NaN"):
            measure(torch.tensor(broken), torch.tensor(x))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 / 3])
def test_constant_features_are_refused_by_name(value):
    x, y = pair(20, 6, 5)
    flat = np.full((20, 4), value)
    calls = [*MEASURES, lambda a, b: cka_map([a], [b]), lambda a, b: cka_map([a], [b], form="feature")]
    calls += [lambda a, b: cka_jackknife([a], [b], blocks=np.arange(20))]
    for call, one, two in itertools.product(calls, (flat, flat.astype(np.float32)), (x,)):
        with pytest.raises(ValueError, match="x is constant"):
            call(one, two)
        with pytest.raises(ValueError, match="constant"):
            call(torch.tensor(two), torch.tensor(one))
    for shape in (rankme, participation_ratio, twonn):
        with pytest.raises(ValueError, match="constant"):
            shape(flat)
    for kept in (0, None):
        stream = CkaStream(rows_kept=kept)
        for start in range(0, 20, 3):
            stream.add([x[start : start + 3]], [y[start : start + 3], flat[start : start + 3]])
        with pytest.raises(ValueError, match="layer 1 of y is constant"):
            stream.cka()
    # One dead column among others is no constant.
    alive = np.c_[x, np.full(20, value)]
    assert linear_cka(alive, y) == pytest.approx(linear_cka(x, y), abs=1e-9)


def test_too_few_rows_are_refused():
    x, y = pair(3, 6, 5)
    with pytest.raises(ValueError, match=r"3 rows.*at least 4"):
        linear_cka(x, y)
    with pytest.raises(ValueError, match=r"3 rows.*at least 4"):
        cka_map([x], [y])
    stream = CkaStream()
    stream.add([x], [y])
    with pytest.raises(ValueError, match="3 rows so far"):
        stream.cka()
    with pytest.warns(RuntimeWarning, match="use debiased"):
        assert 0 < linear_cka(x, y, debiased=False) <= 1
    single = np.zeros((10, 3))
    single[4] = 1
    with pytest.raises(ValueError, match="no variation is left"):
        linear_cka(single, np.random.default_rng(0).normal(size=(10, 2)))
    with pytest.raises(ValueError, match="no variation is left"):
        cka_map([np.random.default_rng(0).normal(size=(10, 2))], [single])
    with pytest.raises(ValueError, match="without its largest block 3 rows are left"):
        cka_jackknife([np.eye(5)], [np.eye(5)], blocks=np.array([0, 0, 1, 2, 3]))


def test_settings_out_of_range_are_refused():
    x, y = pair(20, 6, 5)
    calls = {
        "threshold=0": lambda: rbf_cka(x, y, threshold=0),
        "variance=1.5": lambda: svcca(x, y, variance=1.5),
        "k=19": lambda: mutual_knn(x, y, k=19),
        "metric='l2'": lambda: mutual_knn(x, y, metric="l2"),
        "all zeros": lambda: mutual_knn(np.r_[x, 0 * x[:1]], np.r_[y, y[:1]]),
        "dissimilarity='l2'": lambda: rsa(x, y, dissimilarity="l2"),
        "constant over columns": lambda: rsa(np.r_[x, 0 * x[:1] + 2], np.r_[y, y[:1]]),
        "form='fast'": lambda: cka_map([x], [y], form="fast"),
        "no layers of y": lambda: cka_map([x], []),
        "discard=1": lambda: twonn(x, discard=1),
        "kind='half'": lambda: CkaStream(kind="half"),
        "one block": lambda: cka_jackknife([x], [y], blocks=np.zeros(20)),
        "blocks of shape": lambda: cka_jackknife([x], [y], blocks=np.zeros(3)),
        "21 blocks of 20 rows": lambda: row_blocks(20, 21, np.random.default_rng(0)),
        "need rng": lambda: measure_interval(linear_cka, x, y, blocks=np.arange(20), method="subsample"),
        "method='t'": lambda: measure_interval(linear_cka, x, y, blocks=np.arange(20), method="t"),
        "permutations=1": lambda: permutation_control(linear_cka, x, y, rng=np.random.default_rng(0), permutations=1),
        "median distance is 0": lambda: rbf_cka(np.eye(20)[:, :2], y),
        "list": lambda: linear_cka([[1.0]], y),
        "complex": lambda: linear_cka(x * 1j, y),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()
    stream = CkaStream()
    stream.add([x], [y])
    with pytest.raises(ValueError, match="widths"):
        stream.add([y], [x])
    with pytest.raises(ValueError, match="leave none"):
        stream.without(stream)


def test_rows_are_matched_by_id():
    ids = np.array(["c", "a", "d", "b"])
    index = match_rows(["a", "b", "c", "d"], ids)
    assert ids[index].tolist() == ["a", "b", "c", "d"]
    require_same_ids(ids, ids.tolist())
    with pytest.raises(ValueError, match="another order: 4 of 4"):
        require_same_ids(["a", "b", "c", "d"], ids)
    with pytest.raises(ValueError, match=r"1 ids only in x, 1 only in y \(such as d, e\)"):
        match_rows(["a", "b", "c", "d"], ["a", "b", "c", "e"])
    with pytest.raises(ValueError, match="1 ids only in x, 0 only in y"):
        match_rows([1, 2, 3], [1, 2])


def test_no_mean_over_batches_and_no_torch_unless_given():
    """A mean of per-batch values is biased, so nothing here takes batches but sums."""
    words = "import sys, analysis.similarity.cka_maps, analysis.similarity.dimensions; print('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", words], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    x, y = pair(512, 30, 30)
    y = np.random.default_rng(1).normal(size=y.shape) + 0.3 * x
    whole = linear_cka(x, y)
    batches = [slice(start, start + 8) for start in range(0, 512, 8)]
    with pytest.warns(RuntimeWarning):
        mean = np.mean([linear_cka(x[part], y[part], debiased=False) for part in batches])
    stream = CkaStream()
    for part in batches:
        stream.add([x[part]], [y[part]])
    assert stream.cka()[0, 0] == pytest.approx(whole, abs=1e-12)
    assert mean > whole + 0.1
