"""Measures of similarity: exact answers, independent references, brute force, and refused input."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

from analysis.similarity.cka_maps import cka_control, cka_jackknife, cka_map
from analysis.similarity.dimensions import participation_ratio, rankme, twonn
from analysis.similarity.measures import canonical_correlations, linear_cka, mutual_knn, procrustes, rbf_cka, rsa, svcca
from analysis.similarity.resampling import measure_interval, permutation_control, row_blocks
from analysis.similarity.streaming import CkaStream
from tests.builders.representations import MEASURES, golden, pair, pdist_square


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
    first, second = rng.normal(size=(50, 1)), rng.normal(size=(50, 1))
    second += first
    assert linear_cka(first, second, debiased=False) == pytest.approx(
        pearsonr(first[:, 0], second[:, 0]).statistic ** 2, abs=1e-14
    )
    x = rng.normal(size=(80, 16))
    x = np.linalg.qr(x - x.mean(0))[0]
    for r in (1, 4, 9, 16):
        assert linear_cka(x, x[:, :r], debiased=False) == pytest.approx(np.sqrt(r / 16), abs=1e-13)
    assert linear_cka(x, x * np.arange(1, 17), debiased=False) == pytest.approx(0.7573768, abs=5e-8)


def test_debiased_cka_of_shuffled_rows_is_zero_on_average_and_biased_is_not():
    x, y = pair(40, 30, 60)
    rng = np.random.default_rng(5)
    control = permutation_control(linear_cka, x, y, rng=rng, permutations=300)
    assert abs(control.mean) < 3 * control.deviation / np.sqrt(300)
    noise = rng.normal(size=(64, 768)), rng.normal(size=(64, 768))
    with pytest.warns(RuntimeWarning, match=r"independent noise reaches up to 0\.92"):
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


def test_rsa_against_scipy():
    x, y = pair(40, 6, 30)
    for dissimilarity in ("correlation", "euclidean"):
        expected = spearmanr(pdist(x, dissimilarity), pdist(y, dissimilarity)).statistic
        assert rsa(x, y, dissimilarity=dissimilarity) == pytest.approx(expected, abs=1e-12)
    coarse = np.round(x)  # ties
    expected = spearmanr(pdist(coarse, "euclidean").round(9), pdist(y, "euclidean")).statistic
    assert rsa(coarse, y, dissimilarity="euclidean") == pytest.approx(expected, abs=1e-3)


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
    for call, first, second in itertools.product(calls, (flat, flat.astype(np.float32)), (x,)):
        with pytest.raises(ValueError, match="x is constant"):
            call(first, second)
        with pytest.raises(ValueError, match="constant"):
            call(torch.tensor(second), torch.tensor(first))
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
    with pytest.raises(ValueError, match="3 rows added"):
        stream.cka()
    with pytest.warns(RuntimeWarning, match="use debiased"):
        assert 0 < linear_cka(x, y, debiased=False) <= 1
    single = np.zeros((10, 3))
    single[4] = 1
    with pytest.raises(ValueError, match="no variation to compare"):
        linear_cka(single, np.random.default_rng(0).normal(size=(10, 2)))
    with pytest.raises(ValueError, match="no variation to compare"):
        cka_map([np.random.default_rng(0).normal(size=(10, 2))], [single])
    with pytest.raises(ValueError, match="without the largest block 3 rows remain"):
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
        "needs rng": lambda: measure_interval(linear_cka, x, y, blocks=np.arange(20), method="subsample"),
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
    with pytest.raises(ValueError, match="no rows remain"):
        stream.without(stream)


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
