"""Closed-form and convex probes, batched over problems (layers x pools): logistic, ridge, nearest neighbours.

Every function is pure. P problems share their samples and differ in features (P, n, D); one call solves the whole
regularisation grid. Standardise the features first with `standardise`, fitted on training features only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from bench.core.errors import BadSetting, Incompatible
from bench.probes.logistic import Link, Path, solve_path
from bench.probes.threads import each, stacked

ALPHAS = tuple(10.0 ** (-4 + i / 2) for i in range(25))
CONSTANT = 1e-6  # standard deviation over root mean square below which a feature counts as constant
CHUNK_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class LogisticPath:
    """Logistic classifiers of P problems at C strengths; logits are ``x @ weight' + bias``.

    Attributes:
        c: the C strengths, in the caller's order.
        weight: (P, C, K, D) float64; 0 for a class that cannot be learnt.
        bias: (P, C, K) float64; -inf (or, with `fit_sigmoid`, +inf) for a class that never (always) occurs.
        converged: (P, C) bool, gradient at or below the tolerance.
        iterations: (P, C) int64.
        gradient: (P, C) float64, largest absolute entry of the gradient of the mean objective.
    """

    c: tuple[float, ...]
    weight: Tensor
    bias: Tensor
    converged: Tensor
    iterations: Tensor
    gradient: Tensor


@dataclass(frozen=True, kw_only=True)
class RidgePath:
    """Ridge regressions of P problems at A strengths; predictions are ``x @ weight' + bias``.

    Attributes:
        alphas: the A strengths, in the caller's order.
        weight: (P, A, q, D) float64.
        bias: (P, A, q) float64.
    """

    alphas: tuple[float, ...]
    weight: Tensor
    bias: Tensor


def standardise(train: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and scale (P, 1, D), float64, so that ``(x - mean) / scale`` has mean 0 and variance 1 on `train`.

    A constant feature has scale infinity: it maps to 0, also where a later split varies in it.

    Args:
        train: (P, n, D) features in any float type.
    """
    mean = torch.empty(train.shape[0], 1, train.shape[2], dtype=torch.float64, device=train.device)
    scale = torch.empty_like(mean)
    for i, features in enumerate(train):
        exact = features.double()
        mean[i] = exact.mean(0)
        scale[i] = exact.std(0, correction=0)
        scale[i][scale[i] <= CONSTANT * exact.square().mean(0).sqrt()] = math.inf
    return mean, scale


def fit_logistic(
    x: Tensor, y: Tensor, *, classes: int, c: Sequence[float], tol: float = 1e-6, max_iter: int = 1000
) -> LogisticPath:
    """Return multinomial logistic regressions that minimise ``mean cross-entropy + |W|^2 / (2 C n)``; no bias penalty.

    The objective is that of scikit-learn's ``LogisticRegression(C=...)``; with two classes present it is the binomial
    one, whose coefficients are ``weight[1] - weight[0]`` here. A class without training samples gets bias -inf, the
    limit of an unpenalised bias.

    Args:
        x: (P, n, D) standardised features.
        y: (n,) classes 0..classes-1.
        classes: K.
        c: inverse strengths C.
        tol: largest absolute entry of the gradient at which a problem counts as solved.
        max_iter: iterations per strength; the solution reached by then is returned with `converged` false.

    Raises:
        BadSetting: a strength that is not positive, a class outside 0..K-1, or shapes that do not fit.
        Incompatible: features that are not finite, or samples of one class only.
    """
    _check(x, y, c, "c")
    if y.dim() != 1 or y.is_floating_point() or int(y.min()) < 0 or int(y.max()) >= classes:
        raise BadSetting(f"y must be (n,) classes 0..{classes - 1}; got {y.dtype} {tuple(y.shape)}")
    present = torch.unique(y)
    if len(present) < 2:
        raise Incompatible(f"a classifier needs two classes; all {len(y)} training samples are of class {int(present)}")
    target = (y == present[:, None]).double()
    if len(present) == 2:
        path = _solve(x, target[1:], c, "sigmoid", tol, max_iter)
        half = 0.5 * torch.tensor([-1.0, 1.0], dtype=torch.float64, device=x.device)
        weight, bias = half[:, None] * path.weight, half * path.bias
    else:
        path = _solve(x, target, c, "softmax", tol, max_iter)
        weight, bias = path.weight, path.bias
    return _spread(path, weight, bias, present, torch.full((classes,), -math.inf), c, tol)


def fit_sigmoid(x: Tensor, y: Tensor, *, c: Sequence[float], tol: float = 1e-6, max_iter: int = 1000) -> LogisticPath:
    """Return one binary logistic regression per label, each as in `fit_logistic`: scikit-learn's one-vs-rest.

    A label that never (always) occurs in training gets bias -inf (+inf). All labels of a problem converge together.

    Args:
        x: (P, n, D) standardised features.
        y: (n, K) multi-hot.
        c: inverse strengths C.
        tol: see `fit_logistic`.
        max_iter: see `fit_logistic`.

    Raises:
        BadSetting: a strength that is not positive, values other than 0 and 1, or shapes that do not fit.
        Incompatible: features that are not finite, or no label that both occurs and fails to.
    """
    _check(x, y, c, "c")
    if y.dim() != 2 or not bool(((y == 0) | (y == 1)).all()):
        raise BadSetting(f"y must be (n, K) of zeros and ones; got {y.dtype} {tuple(y.shape)}")
    share = y.double().mean(0)
    learnable = ((share > 0) & (share < 1)).nonzero()[:, 0]
    if not len(learnable):
        raise Incompatible(f"no label both occurs and fails to occur in the {len(y)} training samples")
    path = _solve(x, y[:, learnable].double().T.contiguous(), c, "sigmoid", tol, max_iter)
    rest = torch.where(share > 0, math.inf, -math.inf)
    return _spread(path, path.weight, path.bias, learnable, rest, c, tol)


def _check(x: Tensor, y: Tensor, strengths: Sequence[float], name: str) -> None:
    if x.dim() != 3 or len(y) != x.shape[1]:
        raise BadSetting(f"x must be (P, n, D) with the n of y; got {tuple(x.shape)} and {tuple(y.shape)}")
    if not len(y):
        raise Incompatible("nothing can be fitted to 0 training samples")
    if not strengths or not all(0 < strength < math.inf for strength in strengths):
        raise BadSetting(f"{name} must be one or more positive numbers; got {list(strengths)}")
    sound = x.sum((1, 2), dtype=torch.float64).isfinite()  # one pass, no copy; a NaN or infinity survives a sum
    if not bool(sound.all()):
        raise Incompatible(f"features of problem {int((~sound).nonzero()[0])} of {len(x)} are not finite")


def _solve(x: Tensor, target: Tensor, c: Sequence[float], link: Link, tol: float, max_iter: int) -> Path:
    """Return solutions in the caller's order of strengths; the path runs from the strongest penalty to the weakest."""
    strengths = sorted(set(c))
    penalties = [1 / (strength * x.shape[1]) for strength in strengths]
    path = solve_path(x, target, penalties, link=link, tol=tol, max_iter=max_iter)
    order = [strengths.index(strength) for strength in c]
    if order == list(range(len(strengths))):
        return path
    return Path(
        weight=path.weight[:, order],
        bias=path.bias[:, order],
        gradient=path.gradient[:, order],
        iterations=path.iterations[:, order],
    )


def _spread(
    path: Path, weight: Tensor, bias: Tensor, learnt: Tensor, rest: Tensor, c: Sequence[float], tol: float
) -> LogisticPath:
    """Return a path over all classes from one over those that could be learnt."""
    problems, strengths, _, width = weight.shape
    if len(learnt) < len(rest):
        full = weight.new_zeros(problems, strengths, len(rest), width)
        full[:, :, learnt] = weight
        biases = rest.to(bias).expand(problems, strengths, -1).clone()
        biases[:, :, learnt] = bias
        weight, bias = full, biases
    return LogisticPath(
        c=tuple(c),
        weight=weight,
        bias=bias,
        converged=path.gradient <= tol,
        iterations=path.iterations,
        gradient=path.gradient,
    )


Fitted = TypeVar("Fitted", bound=LogisticPath | RidgePath)


def predict(path: LogisticPath | RidgePath, x: Tensor) -> Tensor:
    """Return logits or values (P, S, n, K) of features (P, n, D) at all S strengths, in the type of x."""
    shape = (len(x), x.shape[1], *path.bias.shape[1:])
    flat = x @ path.weight.flatten(1, 2).mT.to(x.dtype)
    return flat.view(shape).transpose(1, 2) + path.bias[:, :, None].to(x.dtype)


def pick(path: Fitted, problem: int, setting: int | None = None) -> Fitted:
    """Return the path of one problem (P = 1), or its model at one strength alone."""
    settings = slice(None) if setting is None else slice(setting, setting + 1)
    parts: dict[str, Any] = {
        name: value[problem : problem + 1, settings] if torch.is_tensor(value) else value[settings]
        for name, value in vars(path).items()
    }
    return replace(path, **parts)


def fit_ridge(x: Tensor, y: Tensor, *, alphas: Sequence[float] = ALPHAS) -> RidgePath:
    """Return ridge regressions that minimise ``|y - XW' - b|^2 + alpha |W|^2`` in closed form; the bias has no penalty.

    One eigendecomposition per problem, of the smaller Gram matrix, serves every alpha, in float64. `alphas` have the
    scale of scikit-learn's ``Ridge``.

    Args:
        x: (P, n, D) standardised features.
        y: (n, q) values.
        alphas: penalties.

    Raises:
        BadSetting: a penalty that is not positive, or shapes that do not fit.
        Incompatible: features or values that are not finite.
    """
    centre, values = _values(x, y, alphas)
    strength = torch.tensor(tuple(alphas), dtype=torch.float64, device=x.device)

    def fit(features: Tensor) -> tuple[Tensor, Tensor]:
        middle = features.double().mean(0)
        centred = features.double() - middle
        size, vectors, primal = _eigen(centred)
        shrunk = 1 / (size + strength[:, None])  # (A, r)
        if primal:
            weight = (shrunk[:, None] * (values.T @ (centred @ vectors))) @ vectors.T
        else:
            weight = ((shrunk[:, None] * (values.T @ vectors)) @ vectors.T) @ centred
        return weight, centre - weight @ middle

    weights, biases = zip(*each(fit, x, x.device), strict=True)
    return RidgePath(alphas=tuple(alphas), weight=torch.stack(weights), bias=torch.stack(biases))


def ridge_loo(x: Tensor, y: Tensor, *, alphas: Sequence[float] = ALPHAS) -> Tensor:
    """Return leave-one-out residuals (P, A, n, q), truth minus prediction, of `fit_ridge` without refitting.

    Each residual is divided by one minus the leverage of its sample (PRESS: Allen 1974, Technometrics 16, equation
    2.6); the leverage includes 1/n for the mean. Arguments and errors are those of `fit_ridge`.
    """
    _, values = _values(x, y, alphas)
    strength = torch.tensor(tuple(alphas), dtype=torch.float64, device=x.device)

    def residuals(features: Tensor) -> Tensor:
        centred = features.double() - features.double().mean(0)
        size, vectors, primal = _eigen(centred)
        if primal:
            scores, shrunk = centred @ vectors, 1 / (size + strength[:, None])
            residual = values - (scores * shrunk[:, None]) @ (scores.T @ values)
            room = 1 - shrunk @ scores.square().T
        else:  # a sum of positive terms, so that one minus the leverage suffers no cancellation where it is small
            kept = strength[:, None] / (size + strength[:, None])
            residual = (vectors * kept[:, None]) @ (vectors.T @ values)
            room = kept @ vectors.square().T
        return residual / (room - 1 / len(features))[..., None]

    return stacked(residuals, x, x.device)


def _values(x: Tensor, y: Tensor, alphas: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the mean (q,) of the values and the centred values (n, q), both float64."""
    _check(x, y, alphas, "alphas")
    if y.dim() != 2:
        raise BadSetting(f"y must be (n, q) values; got {tuple(y.shape)}")
    if not bool(y.isfinite().all()):
        raise Incompatible("the values to predict are not all finite")
    centre = y.double().mean(0)
    return centre, y.double() - centre


def _eigen(centred: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Return eigenvalues and vectors of the smaller of X'X (True) and XX' (False)."""
    primal = centred.shape[1] <= centred.shape[0]
    size, vectors = torch.linalg.eigh(centred.T @ centred if primal else centred @ centred.T)
    return size.clamp_min(0), vectors, primal


def knn(train: Tensor, y: Tensor, query: Tensor, *, k: Sequence[int], classes: int | None = None) -> Tensor:
    """Return predictions of the k nearest training samples by cosine similarity, for every k from one search.

    Classes go by plain majority; among equal counts the larger sum of similarities wins, then the lower class. Values
    are averaged. Computed in float64 where features are float64, else in float32.

    Args:
        train: (P, n, D) features.
        y: (n,) classes when `classes` is given, else (n,) or (n, q) values.
        query: (P, m, D) features.
        k: numbers of neighbours.
        classes: number of classes, or None for values.

    Returns:
        (P, len(k), m) int64 classes, or (P, len(k), m) or (P, len(k), m, q) values.

    Raises:
        BadSetting: a k outside 1..n, or shapes that do not fit.
    """
    if train.dim() != 3 or query.shape[::2] != train.shape[::2] or len(y) != train.shape[1]:
        raise BadSetting(
            f"train (P, n, D), query (P, m, D) and y (n, ...) must fit; got {tuple(train.shape)}, "
            f"{tuple(query.shape)} and {tuple(y.shape)}"
        )
    if not k or min(k) < 1 or max(k) > len(y):
        raise BadSetting(f"k must lie in 1..{len(y)}, the number of training samples; got {list(k)}")
    exact = torch.float64 if train.dtype == torch.float64 else torch.float32
    rows = max(1, CHUNK_BYTES // (exact.itemsize * (len(y) + max(k) * max(1, y[0].numel()))))

    def search(pair: tuple[Tensor, Tensor]) -> Tensor:
        known = torch.nn.functional.normalize(pair[0].to(exact), dim=-1)
        parts = []
        for part in torch.split(pair[1], rows):
            similarity = torch.nn.functional.normalize(part.to(exact), dim=-1) @ known.T
            near, index = similarity.topk(max(k), dim=-1)
            labels = y[index]
            parts.append(torch.stack([_agree(labels[:, :count], near[:, :count], classes) for count in k]))
        return torch.cat(parts, 1)

    return stacked(search, zip(train, query, strict=True), train.device)


def _agree(labels: Tensor, similarity: Tensor, classes: int | None) -> Tensor:
    if classes is None:
        return labels.mean(1, dtype=labels.dtype if labels.is_floating_point() else torch.float32)
    shape = (len(labels), classes)
    votes = similarity.new_zeros(shape).scatter_add_(1, labels, torch.ones_like(similarity))
    weight = similarity.new_zeros(shape).scatter_add_(1, labels, similarity)
    return weight.masked_fill(votes < votes.amax(1, keepdim=True), -math.inf).argmax(1)
