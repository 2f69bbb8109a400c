"""Pairs and stacks of representations with common signal, and a reference CKA from explicit Gram matrices."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist

from analysis.similarity.measures import linear_cka, mutual_knn, procrustes, rbf_cka, rsa, svcca

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


def pdist_square(features: np.ndarray, metric: str) -> np.ndarray:
    n = len(features)
    square = np.zeros((n, n))
    square[np.triu_indices(n, 1)] = pdist(features, metric)
    return square + square.T
