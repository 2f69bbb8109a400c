"""Probes against scikit-learn, closed forms and brute force."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from bench.core.errors import BadSetting, Incompatible
from bench.probes import lbfgs, logistic, pooled
from bench.probes.pooled import fit_logistic, fit_ridge, fit_sigmoid, knn, pick, predict, ridge_loo, standardise

C = (1e-4, 1e-2, 1.0, 100.0)


def features(n=200, width=30, classes=4, problems=2, seed=0, decay=3.0):
    """Features with a decaying spectrum, random axes and overlapping classes: (P, n, D) standardised, (n,)."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    x = torch.empty(problems, n, width, dtype=torch.float64)
    for layer in x:
        spread = torch.logspace(0, -decay, width, dtype=torch.float64)
        centres = torch.randn(classes, width, generator=generator, dtype=torch.float64)
        axes = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))[0]
        layer[:] = ((centres[y] + torch.randn(n, width, generator=generator, dtype=torch.float64)) * spread) @ axes
    mean, scale = standardise(x)
    return (x - mean) / scale, y


def gradient(x, y, weight, bias, c):
    """Gradient of scikit-learn's objective over n, by autograd."""
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, y) + weight.square().sum() / (2 * c * len(y))
    return torch.autograd.grad(loss, (weight, bias))


def objective(x, y, weight, bias, c):
    loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, y)
    return float(loss + weight.square().sum() / (2 * c * len(y)))


def sklearn_logistic(x, y, c, tol=1e-10):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs says so when rounding stops it short of the tolerance
        return LogisticRegression(C=c, tol=tol, max_iter=20000).fit(x.numpy(), y.numpy())


def test_standardise_is_scikit_learns_scaler_and_silences_constants():
    x = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 10, 1e-3, 1, 100, 1.0]) + 7
    x[0, :, 3] = 160.25
    x[1, :, 5] = 0
    mean, scale = standardise(x)
    assert mean.shape == scale.shape == (2, 1, 6) and mean.dtype == torch.float64
    z = (x - mean) / scale
    for layer, got in zip(x, z, strict=True):
        np.testing.assert_allclose(got, StandardScaler().fit_transform(layer.double().numpy()), atol=1e-9)
    assert (z[0, :, 3] == 0).all() and (z[1, :, 5] == 0).all()
    assert ((torch.full((1, 6), 1e4) - mean[0]) / scale[0])[0, 3] == 0


@pytest.mark.parametrize(("n", "width", "classes"), [(200, 30, 4), (200, 30, 2), (40, 90, 3), (60, 5, 5)])
def test_logistic_is_scikit_learns_to_1e_4(n, width, classes):
    x, y = features(n, width, classes)
    path = fit_logistic(x, y, classes=classes, c=C, tol=1e-9)
    assert path.converged.all() and path.weight.shape == (2, len(C), classes, width)
    for i, c in enumerate(C):
        for p in range(2):
            model = sklearn_logistic(x[p], y, c)
            weight, bias = path.weight[p, i], path.bias[p, i]
            if classes == 2:
                weight, bias = (weight[1] - weight[0])[None], (bias[1] - bias[0])[None]
            np.testing.assert_allclose(weight, model.coef_, atol=1e-4, rtol=1e-4)
            np.testing.assert_allclose(bias - bias.mean() * (classes > 2), model.intercept_, atol=1e-4, rtol=1e-4)


def test_logistic_on_badly_conditioned_features_beats_scikit_learns_objective_at_every_c():
    x, y = features(150, 60, 5, seed=1, decay=5.0)
    c = tuple(10.0**e for e in range(-6, 5, 2))
    path = fit_logistic(x, y, classes=5, c=c)
    assert path.converged.all() and (path.gradient <= 1e-6).all() and (path.iterations > 0).all()
    for i, strength in enumerate(c):
        for p in range(2):
            model = sklearn_logistic(x[p], y, strength, tol=1e-6)
            theirs = objective(x[p], y, torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_), strength)
            assert objective(x[p], y, path.weight[p, i], path.bias[p, i], strength) <= theirs * (1 + 1e-6)


def test_gradient_at_the_solution_is_what_is_reported_and_below_tolerance():
    x, y = features(90, 40, 3, seed=2)
    path = fit_logistic(x, y, classes=3, c=C, tol=1e-7)
    for p in range(2):
        for i, c in enumerate(C):
            slopes = gradient(x[p], y, path.weight[p, i], path.bias[p, i], c)
            largest = max(float(slope.abs().max()) for slope in slopes)
            assert largest <= 1e-7
            assert largest == pytest.approx(float(path.gradient[p, i]), rel=1e-4, abs=1e-13)


def test_separable_data_converge_to_the_tolerance_at_weak_penalties():
    x, y = features(60, 80, 3, seed=3)
    path = fit_logistic(x, y, classes=3, c=(1e4, 1e6))
    assert path.converged.all()
    assert (predict(path, x).argmax(-1) == y).all()


def test_shifting_features_leaves_probabilities_alone_because_the_bias_is_free():
    x, y = features(seed=4)
    shift = torch.linspace(-20, 20, x.shape[2], dtype=torch.float64)
    plain = predict(fit_logistic(x, y, classes=4, c=C, tol=1e-9), x).softmax(-1)
    moved = predict(fit_logistic(x + shift, y, classes=4, c=C, tol=1e-9), x + shift).softmax(-1)
    torch.testing.assert_close(plain, moved, atol=1e-5, rtol=0)
    # A penalised bias would not reproduce the class shares; a free one does at any strength.
    torch.testing.assert_close(plain.mean(2), torch.full_like(plain.mean(2), 0.25), atol=1e-7, rtol=0)


def test_order_of_c_duplicates_and_batch_mates_do_not_matter():
    x, y = features(80, 20, 3, problems=3, seed=5)
    path = fit_logistic(x, y, classes=3, c=(1.0, 1e-3, 30.0, 1.0), tol=1e-10)
    sorted_path = fit_logistic(x[1:2], y, classes=3, c=(1e-3, 1.0, 30.0), tol=1e-10)
    torch.testing.assert_close(path.weight[1:2, [1, 0, 2]], sorted_path.weight, atol=1e-6, rtol=1e-6)
    assert torch.equal(path.weight[:, 0], path.weight[:, 3]) and path.c == (1.0, 1e-3, 30.0, 1.0)


def test_rank_deficient_features_share_weight_as_the_minimum_norm_does():
    x, y = features(100, 10, 3, seed=6)
    twice = torch.cat([x, x, torch.zeros_like(x[:, :, :1])], -1)
    path = fit_logistic(twice, y, classes=3, c=(0.1, 10.0), tol=1e-10)
    torch.testing.assert_close(path.weight[..., :10], path.weight[..., 10:20], atol=1e-8, rtol=0)
    assert path.weight[..., 20].abs().max() < 1e-12
    # Two copies at half the weight each pay half the penalty.
    single = fit_logistic(x, y, classes=3, c=(0.2, 20.0), tol=1e-10)
    torch.testing.assert_close(2 * path.weight[..., :10], single.weight, atol=1e-6, rtol=1e-6)


def test_absent_classes_get_minus_infinity_and_the_rest_is_the_fit_without_them():
    x, y = features(90, 12, 3, seed=7)
    labels = torch.tensor([1, 4, 5])[y]
    path = fit_logistic(x, labels, classes=7, c=C)
    dense = fit_logistic(x, y, classes=3, c=C)
    assert torch.equal(path.weight[:, :, [1, 4, 5]], dense.weight)
    assert (path.bias[:, :, [0, 2, 3, 6]] == -torch.inf).all() and (path.weight[:, :, [0, 2, 3, 6]] == 0).all()
    chance = predict(path, x).softmax(-1)
    assert (chance[..., [0, 2, 3, 6]] == 0).all() and chance.isfinite().all()
    # Two classes left: the binomial objective, wherever the two stand.
    pair = y < 2
    path = fit_logistic(x[:, pair], torch.tensor([2, 6, 0])[y[pair]], classes=7, c=(0.5,), tol=1e-9)
    model = sklearn_logistic(x[0, pair], y[pair], 0.5)
    np.testing.assert_allclose(path.weight[0, 0, 6] - path.weight[0, 0, 2], model.coef_[0], atol=1e-4)


def test_sigmoid_is_scikit_learns_one_vs_rest_and_knows_constant_labels():
    x, _ = features(120, 15, 2, seed=8)
    generator = torch.Generator().manual_seed(0)
    y = ((x[0] @ torch.randn(15, 5, generator=generator, dtype=torch.float64)) > 0.5).float()
    y[:, 3], y[:, 4] = 0, 1
    path = fit_sigmoid(x, y, c=C, tol=1e-9)
    assert path.converged.all()
    for i, c in enumerate(C[:3]):
        model = OneVsRestClassifier(LogisticRegression(C=c, tol=1e-10, max_iter=20000)).fit(x[0].numpy(), y[:, :3])
        for k, estimator in enumerate(model.estimators_):
            np.testing.assert_allclose(path.weight[0, i, k], estimator.coef_[0], atol=1e-4, rtol=1e-4)
            assert float(path.bias[0, i, k]) == pytest.approx(float(estimator.intercept_[0]), abs=1e-4)
    chance = predict(path, x).sigmoid()
    assert (chance[..., 3] == 0).all() and (chance[..., 4] == 1).all()


def test_many_iterations_turn_the_memory_over_and_max_iter_is_honest(monkeypatch):
    monkeypatch.setattr(logistic, "MEMORY", 8)
    monkeypatch.setattr(logistic, "LEADING", 4)
    x, y = features(100, 40, 3, seed=9)
    path = fit_logistic(x, y, classes=3, c=(1e-3, 1.0, 100.0))
    assert path.converged.all() and path.iterations.sum(1).min() > 2 * 8 + 1
    monkeypatch.undo()
    exact = fit_logistic(x, y, classes=3, c=(1e-3, 1.0, 100.0))
    torch.testing.assert_close(predict(path, x).softmax(-1), predict(exact, x).softmax(-1), atol=1e-3, rtol=0)
    short = fit_logistic(x, y, classes=3, c=(1e-3, 100.0), max_iter=3)
    assert not short.converged[:, 1].any() and (short.iterations <= 3).all() and (short.gradient[:, 1] > 1e-6).all()


def test_batches_and_threads_change_nothing(monkeypatch):
    x, y = features(60, 10, 3, problems=5, seed=10)
    whole = fit_logistic(x, y, classes=3, c=C, tol=1e-10)
    monkeypatch.setattr(logistic, "BATCH_LOGITS", 2 * 60 * 3)
    monkeypatch.setattr(logistic, "SPLIT_LOGITS", 1)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        parts = fit_logistic(x, y, classes=3, c=C, tol=1e-10)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(whole.weight, parts.weight, atol=1e-6, rtol=1e-6)


def test_basis_is_orthonormal_and_spans_the_rows_on_either_side_of_square():
    for n, width in ((50, 20), (20, 50)):
        x = features(n, width, 2, problems=1, decay=7.0)[0][0]
        basis, scores = logistic.rotate(x)
        torch.testing.assert_close(basis.T @ basis, torch.eye(min(n, width), dtype=torch.float64), atol=1e-13, rtol=0)
        torch.testing.assert_close(scores @ basis.T, x, atol=1e-12, rtol=0)


def test_history_is_the_textbook_recursion():
    """The compact form gives the direction of the two-loop recursion (Nocedal & Wright, algorithm 7.4)."""
    generator = torch.Generator().manual_seed(0)
    size, memory = 6, 3
    preconditioner = lbfgs.Preconditioner(1, 1, size, lead=size, centred=False, device=torch.device("cpu"))
    root = torch.randn(size, size, generator=generator)
    preconditioner.block[0, 0] = root @ root.T + torch.eye(size)
    history = lbfgs.History(1, size, memory, torch.device("cpu"))
    hessian = torch.diag(torch.arange(1.0, size + 1))
    pairs = []
    for _ in range(2 * memory + 2):
        step = torch.randn(1, size, generator=generator)
        change = step @ hessian
        history.push(step, change, change, preconditioner.solve(change), history.dots(change))
        pairs.append((step[0].double(), change[0].double()))
    gradient = torch.randn(1, size, generator=generator)
    q, kept = gradient[0].double(), []
    for s, y in reversed(pairs[-memory:]):
        kept.append(s @ q / (s @ y))
        q = q - kept[-1] * y
    q = preconditioner.block[0, 0].double() @ q
    for (s, y), pair in zip(pairs[-memory:], reversed(kept), strict=True):
        q = q + s * (pair - y @ q / (s @ y))
    direction = history.direction(preconditioner.solve(gradient), history.dots(gradient))
    torch.testing.assert_close(direction[0].double(), -q, atol=1e-3, rtol=1e-3)


def test_one_problem_and_one_strength_are_part_of_the_whole():
    x, y = features(120, 20, 4, seed=11)
    path = fit_logistic(x, y, classes=4, c=C)
    whole = predict(path, x)
    assert whole.shape == (2, len(C), 120, 4)
    torch.testing.assert_close(predict(pick(path, 1), x[1:])[0], whole[1])
    picked = pick(path, 1, 3)
    torch.testing.assert_close(predict(picked, x[1:])[0, 0], whole[1, 3])
    assert picked.c == (C[3],) and picked.gradient.shape == (1, 1)
    ridge = fit_ridge(x, x[0, :, :2].double())
    torch.testing.assert_close(predict(pick(ridge, 0, 5), x[:1])[0, 0], predict(ridge, x)[0, 5])


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"y": torch.zeros(20, dtype=torch.long)}, Incompatible, "all 20 training samples are of class 0"),
        ({"y": torch.arange(20) % 5}, BadSetting, r"0\.\.2"),
        ({"y": torch.arange(19) % 3}, BadSetting, "n of y"),
        ({"c": (1.0, 0.0)}, BadSetting, "positive"),
        ({"c": ()}, BadSetting, "c must be"),
        ({"x": torch.full((2, 20, 3), torch.nan)}, Incompatible, "problem 0 of 2 are not finite"),
        ({"x": torch.zeros(2, 0, 3), "y": torch.zeros(0, dtype=torch.long)}, Incompatible, "0 training samples"),
    ],
)
def test_logistic_says_what_is_wrong(change, error, text):
    x, y = features(20, 3, 3)
    with pytest.raises(error, match=text):
        fit_logistic(change.get("x", x), change.get("y", y), classes=3, c=change.get("c", C))


def test_sigmoid_and_ridge_say_what_is_wrong():
    x, _ = features(20, 3, 3)
    with pytest.raises(Incompatible, match="no label both occurs"):
        fit_sigmoid(x, torch.ones(20, 2), c=C)
    with pytest.raises(BadSetting, match="zeros and ones"):
        fit_sigmoid(x, torch.full((20, 2), 0.5), c=C)
    with pytest.raises(Incompatible, match="not all finite"):
        fit_ridge(x, torch.full((20, 1), torch.inf))
    with pytest.raises(BadSetting, match=r"\(n, q\)"):
        fit_ridge(x, torch.ones(20))


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (25, 25)])
def test_ridge_is_scikit_learns_on_either_side_of_square(shape):
    x, _ = features(*shape, classes=2, seed=12)
    y = torch.randn(shape[0], 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 50
    alphas = (1e-4, 1.0, 1e4)
    path = fit_ridge(x + 2, y, alphas=alphas)
    for p in range(2):
        for i, alpha in enumerate(alphas):
            model = Ridge(alpha=alpha, solver="svd").fit(x[p].numpy() + 2, y.numpy())
            np.testing.assert_allclose(path.weight[p, i], model.coef_, atol=1e-8, rtol=1e-7)
            np.testing.assert_allclose(path.bias[p, i], model.intercept_, atol=1e-8, rtol=1e-7)
            np.testing.assert_allclose(predict(path, x + 2)[p, i], model.predict(x[p].numpy() + 2), atol=1e-7)


def test_ridge_primal_is_dual():
    x, _ = features(30, 30, classes=2, seed=13, decay=1.0)
    y = torch.randn(30, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    primal = fit_ridge(x, y, alphas=(0.1, 10.0))
    wider = fit_ridge(torch.cat([x, torch.zeros_like(x[:, :, :1])], -1), y, alphas=(0.1, 10.0))
    torch.testing.assert_close(primal.weight, wider.weight[..., :30], atol=1e-12, rtol=1e-12)
    assert (wider.weight[..., 30] == 0).all()


def test_ridge_ends_are_least_squares_and_the_mean():
    x, _ = features(80, 10, 2, seed=14, decay=1.0)
    y = torch.randn(80, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 5
    path = fit_ridge(x, y, alphas=(1e-10, 1e14))
    model = LinearRegression().fit(x[0].numpy(), y.numpy())
    np.testing.assert_allclose(path.weight[0, 0], model.coef_, atol=1e-9)
    torch.testing.assert_close(predict(path, x)[0, 1], y.mean(0).expand(80, 2), atol=1e-9, rtol=0)
    assert (
        pooled.ALPHAS[0] == pytest.approx(1e-4) and pooled.ALPHAS[-1] == pytest.approx(1e8) and len(pooled.ALPHAS) == 25
    )


@pytest.mark.parametrize("shape", [(25, 8), (15, 40)])
def test_leave_one_out_is_brute_force(shape):
    x, _ = features(*shape, classes=2, seed=15, decay=1.0)
    y = torch.randn(shape[0], 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 3
    alphas = (1e-2, 1.0, 100.0)
    errors = ridge_loo(x, y, alphas=alphas)
    assert errors.shape == (2, 3, shape[0], 2)
    for i in range(shape[0]):
        rest = torch.arange(shape[0]) != i
        left = y[i] - predict(fit_ridge(x[:, rest], y[rest], alphas=alphas), x[:, i : i + 1])[:, :, 0]
        torch.testing.assert_close(errors[:, :, i], left, atol=1e-10, rtol=1e-9)


def test_knn_is_scikit_learns(monkeypatch):
    monkeypatch.setattr(pooled, "CHUNK_BYTES", 8 * 150 * 7)  # seven queries at a time
    x, y = features(200, 12, 5, seed=16)
    train, query = x[:, :150], x[:, 150:]
    k = (1, 5, 20)
    predicted = knn(train, y[:150], query, k=k, classes=5)
    values = torch.randn(150, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    means = knn(train, values, query, k=k)
    assert predicted.shape == (2, 3, 50) and means.shape == (2, 3, 50, 2)
    torch.testing.assert_close(knn(train, values[:, 0], query, k=k), means[..., 0], atol=1e-12, rtol=0)
    for p in range(2):
        for i, count in enumerate(k):
            near = KNeighborsClassifier(count, metric="cosine").fit(train[p].numpy(), y[:150].numpy())
            share = np.sort(near.predict_proba(query[p].numpy()), axis=1)
            clear = share[:, -1] > share[:, -2]
            assert clear.sum() > 30
            np.testing.assert_array_equal(predicted[p, i][clear], near.predict(query[p].numpy())[clear])
            mean = KNeighborsRegressor(count, metric="cosine").fit(train[p].numpy(), values.numpy())
            np.testing.assert_allclose(means[p, i], mean.predict(query[p].numpy()), atol=1e-12)


def test_knn_breaks_ties_by_similarity_then_by_class():
    angle = torch.deg2rad(torch.tensor([10.0, 20.0, 25.0, 40.0]))
    train = torch.stack([angle.cos(), angle.sin()], -1)[None]
    query = torch.tensor([[[1.0, 0.0]]])
    y = torch.tensor([1, 0, 0, 1])
    assert knn(train, y, query, k=(1, 2, 3, 4), classes=2)[0, :, 0].tolist() == [1, 1, 0, 0]
    same = torch.tensor([[[1.0, 0.5], [1.0, -0.5]]])
    assert knn(same, torch.tensor([1, 0]), query, k=(2,), classes=2).item() == 0


@pytest.mark.parametrize("k", [(), (0,), (5,)])
def test_knn_refuses_impossible_counts(k):
    with pytest.raises(BadSetting, match=r"1\.\.4"):
        knn(torch.ones(1, 4, 2), torch.zeros(4, dtype=torch.long), torch.ones(1, 1, 2), k=k, classes=2)


def test_line_search_finds_steps_that_flatten_the_slope_from_either_side():
    curve = torch.tensor([1e-4, 1.0, 1e3, 50.0, 1.0], dtype=torch.float64)
    seen = []

    def slope_at(length):
        seen.append(length)
        return torch.where(torch.arange(5) == 4, torch.ones(()), -1 + curve * length)

    slope = torch.tensor([-1.0, -1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    far = torch.tensor([1e9, 1e9, 1e9, 1e9, 1e9], dtype=torch.float64)
    length = lbfgs.line_search(slope_at, slope, first=torch.ones(5, dtype=torch.float64), far=far)
    assert torch.equal(seen[-1], length) and length[4] == 1
    left = (1 - curve * length)[:4]
    assert (left >= lbfgs.ACCEPT[0]).all() and (left <= lbfgs.ACCEPT[1]).all()
    near = lbfgs.line_search(slope_at, slope, first=torch.ones(5, dtype=torch.float64), far=torch.full_like(far, 8.0))
    assert near[0] == 16  # still going down, but far enough
