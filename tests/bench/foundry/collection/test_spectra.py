"""The spectrum gate on planted zoos: identical, low-rank, white, and a mean shift."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.foundry.collection.spectra import gram, spectrum, statistics

SHAPES = {"a.weight": (64, 48, 3, 3), "b.weight": (32, 64), "b.bias": (32,)}


def noise(seed):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def zoo(members, mix):
    """Return openers of models, each a base plus a delta that `mix` makes of a seed."""
    base = noise(10_000)
    states = [{name: base[name] + delta[name] for name in SHAPES} for delta in (mix(seed) for seed in range(members))]
    return [lambda state=state: state for state in states], lambda: base


def measured(members, mix):
    models, base = zoo(members, mix)
    return spectrum(gram(models, base), reference="base", draws=100)


def test_white_deltas_are_flat():
    result = measured(12, lambda seed: noise(seed))
    assert result.verdict == "flat" and "Nothing to learn beyond a Gaussian" in result.sentence
    assert result.first_over_median < 1.1 and result.rank_ratio > 0.99
    assert result.mean_share == pytest.approx(1 / 12, rel=0.1)
    low, high = result.null_first_over_median
    assert low <= result.first_over_median <= high


def test_low_rank_deltas_are_structure():
    basis = [noise(100 + place) for place in range(3)]

    def mix(seed):
        weights = np.random.default_rng(seed).standard_normal(3)
        own = noise(seed)
        return {
            name: sum(float(w) * part[name] for w, part in zip(weights, basis, strict=True)) + 0.1 * own[name]
            for name in SHAPES
        }

    result = measured(12, mix)
    assert result.verdict == "structure" and "There is structure" in result.sentence
    assert result.first_over_median > 10 and result.rank_ratio < 0.4


def test_a_little_structure_is_called_weak():
    shared = noise(100)

    def mix(seed):
        own = noise(seed)
        return {name: own[name] + 0.25 * (-1) ** seed * shared[name] for name in SHAPES}

    result = measured(12, mix)
    assert result.verdict == "weak" and "Hardly anything" in result.sentence


def test_identical_deltas_leave_only_the_mean():
    same = noise(1)
    result = measured(5, lambda seed: same)
    assert result.verdict == "identical" and result.mean_share == pytest.approx(1)
    nearly = measured(8, lambda seed: {name: same[name] + 0.05 * noise(seed + 2)[name] for name in SHAPES})
    assert nearly.verdict == "identical" and nearly.mean_share > 0.99


def test_a_shift_shared_by_all_members_is_the_mean_share():
    shift = noise(1)
    result = measured(12, lambda seed: {name: shift[name] + noise(seed + 2)[name] for name in SHAPES})
    assert result.mean_share == pytest.approx(0.5 + 0.5 / 12, abs=0.03)
    assert result.mean_share > result.null_mean_share[1]


def test_few_members_get_no_verdict():
    assert measured(3, lambda seed: noise(seed)).verdict == "too few"


def test_products_are_those_of_whole_models_whatever_the_pieces(monkeypatch):
    models, base = zoo(4, noise)
    whole = gram(models, base)
    monkeypatch.setattr("bench.foundry.collection.spectra.BUDGET", 1000)
    pieces = gram(models, base)
    assert whole.keys() == pieces.keys() == SHAPES.keys()
    for name in SHAPES:
        deltas = torch.stack([(model()[name] - base()[name]).flatten() for model in models]).double()
        assert np.allclose(whole[name][0], (deltas @ deltas.T).numpy(), rtol=1e-5)
        assert np.allclose(whole[name][0], pieces[name][0]) and whole[name][1] == pieces[name][1]


def test_statistics_of_known_eigenvalues():
    """Members at the corners of a cross: centred, with two equal eigenvalues out of three possible."""
    points = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    first, rank, share = statistics(points @ points.T)
    assert first == pytest.approx(1) and rank == pytest.approx(2 / 3) and share == pytest.approx(0)
