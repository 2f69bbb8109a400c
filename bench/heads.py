"""Closed-form, L-BFGS and neighbour probes, batched over P problems (layers x pools) and their settings.

Features are (P, n, D): P problems that share samples and width. What differs between settings (C, alpha, k) is solved
along one path, from one decomposition or one sort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import Incompatible
from bench.logistic import Link, solve_path

CHUNK_BYTES = 1 << 28  # of similarities held at a time


@dataclass(frozen=True, kw_only=True)
class LinearPath:
    """Linear maps for P problems and C settings: ``x @ weight' + bias``.

    Attributes:
        weight: (P, C, K, D) float64.
        bias: (P, C, K) float64; -inf for a class without a training sample, which is never predicted.
        converged: (P, C) whether the tolerance was reached (always, in closed form).
        iterations: (P, C) solver iterations, 0 in closed form.
    """

    weight: Tensor
    bias: Tensor
    converged: Tensor
    iterations: Tensor


def standardise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and scale (P, 1, D), float64 statistics in the type of x; ``(x - mean) / scale`` is the z-score.

    A feature that is constant up to rounding gets an infinite scale: it becomes 0 on every sample.

    Args:
        x: (P, n, D) training features.
    """
    wide = x.double()
    mean = wide.mean(1, keepdim=True)
    scale = wide.std(1, correction=0, keepdim=True)
    tiny = scale <= 1e-6 * mean.abs().clamp_min(1e-6)
    return mean.to(x.dtype), scale.masked_fill(tiny, float("inf")).to(x.dtype)


def fit_logistic(
    x: Tensor, y: Tensor, *, classes: int, c: Sequence[float], tol: float = 1e-6, max_iter: int = 1000
) -> LinearPath:
    """Return multinomial logistic regressions for every C: scikit-learn's objective, bias not penalised.

    Minimises ``(1/n) sum cross-entropy + 1/(2 C n) |W|^2`` until no entry of its gradient exceeds `tol`.

    Args:
        x: (P, n, D) features, standardised or not.
        y: (n,) class indices. A class without a sample keeps its row and is never predicted.
        classes: number of classes K.
        c: inverse penalties.
        tol: largest absolute entry of the gradient at a solution.
        max_iter: iterations for each C.

    Raises:
        Incompatible: the samples are all of one class.
    """
    present = torch.unique(y)
    if len(present) < 2:
        raise Incompatible(f"the training labels hold one class only ({present.tolist()}): nothing to tell apart")
    target = functional.one_hot(y, classes)[:, present].T.double()
    return _solve(x, target, present, classes, c, link="softmax", tol=tol, max_iter=max_iter)


def fit_sigmoid(x: Tensor, y: Tensor, *, c: Sequence[float], tol: float = 1e-6, max_iter: int = 1000) -> LinearPath:
    """Return independent logistic regressions of K labels for every C, each as in `fit_logistic` with two classes.

    Args:
        x: (P, n, D) features.
        y: (n, K) multi-hot. A label that is always or never on gets a bias of +inf or -inf.
        c: inverse penalties.
        tol: largest absolute entry of the gradient at a solution.
        max_iter: iterations for each C.

    Raises:
        Incompatible: no label varies.
    """
    share = y.double().mean(0)
    varied = torch.nonzero((share > 0) & (share < 1))[:, 0]
    if not len(varied):
        raise Incompatible("every training label is always on or always off: nothing to tell apart")
    path = _solve(x, y[:, varied].T.double(), varied, y.shape[1], c, link="sigmoid", tol=tol, max_iter=max_iter)
    path.bias[..., share == 1] = float("inf")
    return path


def _solve(
    x: Tensor,
    target: Tensor,
    present: Tensor,
    classes: int,
    c: Sequence[float],
    *,
    link: Link,
    tol: float,
    max_iter: int,
) -> LinearPath:
    """Solve from the strongest penalty to the weakest, each start warm; put rows back where their classes belong."""
    order = sorted(range(len(c)), key=lambda i: c[i])
    penalties = [1 / (c[i] * x.shape[1]) for i in order]
    found = solve_path(x, target, penalties, link=link, tol=tol, max_iter=max_iter)
    back = torch.argsort(torch.tensor(order, device=x.device))
    weight = torch.zeros(len(x), len(c), classes, x.shape[2], dtype=torch.float64, device=x.device)
    bias = torch.full((len(x), len(c), classes), -float("inf"), dtype=torch.float64, device=x.device)
    weight[:, :, present] = found.weight[:, back]
    bias[:, :, present] = found.bias[:, back]
    gradient, iterations = found.gradient[:, back], found.iterations[:, back]
    return LinearPath(weight=weight, bias=bias, converged=gradient <= tol, iterations=iterations)


def fit_ridge(x: Tensor, y: Tensor, *, alphas: Sequence[float]) -> LinearPath:
    """Return ridge regressions for every alpha in closed form, in float64, bias not penalised.

    Minimises ``|y - x W' - b|^2 + alpha |W|^2`` (Hoerl & Kennard 1970), through one eigendecomposition a problem: of
    X'X where D <= n, of XX' otherwise.

    Args:
        x: (P, n, D) features.
        y: (n, q) targets.
        alphas: penalties.
    """
    x, y = x.double(), y.double()
    centre, level = x.mean(1, keepdim=True), y.mean(0)
    wide, aim = x - centre, y - level
    penalty = torch.as_tensor(list(alphas), dtype=torch.float64, device=x.device)
    count, width = x.shape[1:]
    if width <= count:
        values, axes = torch.linalg.eigh(wide.mT @ wide)
        inner = axes.mT @ (wide.mT @ aim)  # (P, D, q)
    else:
        values, axes = torch.linalg.eigh(wide @ wide.mT)
        inner = axes.mT @ aim  # (P, n, q)
    shrink = 1 / (values.clamp_min(0)[:, None] + penalty[None, :, None])  # (P, A, R)
    inner = shrink[..., None] * inner[:, None]
    inner = axes[:, None] @ inner
    weight = (inner if width <= count else wide.mT[:, None] @ inner).mT  # (P, A, q, D)
    bias = level - (weight @ centre[:, None].mT)[..., 0]
    exact = torch.ones(len(x), len(penalty), dtype=torch.bool)
    return LinearPath(weight=weight, bias=bias, converged=exact, iterations=torch.zeros_like(exact, dtype=torch.int64))


def ridge_leave_one_out(x: Tensor, y: Tensor, *, alphas: Sequence[float]) -> Tensor:
    """Return the leave-one-out residuals (P, A, n, q) of ridge regression without refitting (Allen's PRESS, 1974).

    The residual of a sample left out is ``e_i / (1 - h_ii)``, with h the hat matrix of the fit with its bias.

    Args:
        x: (P, n, D) features.
        y: (n, q) targets.
        alphas: penalties.
    """
    x, y = x.double(), y.double()
    path = fit_ridge(x, y, alphas=alphas)
    residual = y - (x[:, None] @ path.weight.mT + path.bias[:, :, None])
    wide = x - x.mean(1, keepdim=True)
    rows, values, _ = torch.linalg.svd(wide, full_matrices=False)
    penalty = torch.as_tensor(list(alphas), dtype=torch.float64, device=x.device)
    kept = values[:, None] ** 2 / (values[:, None] ** 2 + penalty[None, :, None])  # (P, A, R)
    leverage = (rows[:, None] ** 2 * kept[:, :, None]).sum(-1) + 1 / x.shape[1]
    left_out: Tensor = residual / (1 - leverage)[..., None]
    return left_out


def knn(train: Tensor, y: Tensor, query: Tensor, *, k: Sequence[int], classes: int | None = None) -> Tensor:
    """Return predictions of the k nearest training samples by cosine similarity, for every k from one sort.

    Args:
        train: (P, n, D) features.
        y: (n,) class indices with `classes`, else values (n, q), whose mean over neighbours is predicted.
        query: (P, m, D) features.
        k: numbers of neighbours, each at most n.
        classes: number of classes K; the most frequent class wins, ties go to the greater summed similarity.

    Returns:
        (P, len(k), m) class indices, or (P, len(k), m, q) values.
    """
    known, asked = functional.normalize(train.float(), dim=-1), functional.normalize(query.float(), dim=-1)
    step = max(1, CHUNK_BYTES // (4 * known.shape[0] * known.shape[1]))
    parts = []
    for start in range(0, asked.shape[1], step):
        near = (asked[:, start : start + step] @ known.mT).topk(max(k), dim=-1)
        parts.append(torch.stack([_vote(near.values[..., :n], y[near.indices[..., :n]], classes) for n in k], 1))
    return torch.cat(parts, 2)


def _vote(similarity: Tensor, near: Tensor, classes: int | None) -> Tensor:
    if classes is None:
        return near.double().mean(2).to(near.dtype)
    said = functional.one_hot(near, classes).double()
    # Similarities lie in -1..1, so their mean, shrunk below half a vote, can break ties and nothing else.
    votes = said.sum(-2) + 0.25 * (said * similarity[..., None].double()).sum(-2) / near.shape[-1]
    return votes.argmax(-1)
