"""Summaries of layers against the measures of whole arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.similarity.cka_maps import cka_map
from analysis.similarity.dimensions import participation_ratio, rankme, twonn
from analysis.similarity.measures import linear_cka
from bench.features import representations
from bench.features.representations import shared_out, summarise


def falling(rng, rows, width, power, common=None):
    """Rows whose variances fall as a power of the axis, with part of their variance in common columns."""
    values = rng.normal(size=(rows, width)) * np.arange(1, width + 1) ** -power
    return (values if common is None else values + 0.7 * common @ rng.normal(size=(common.shape[1], width))) + 5


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 5))
    return [falling(rng, 300, width, power, common) for width, power in ((16, 1.0), (64, 1.5), (400, 1.0))]


def test_cka_within_a_model_and_dimensions_are_those_of_the_whole_layers(layers):
    summaries, cka = summarise([rows.astype(np.float32) for rows in layers], components=17)
    np.testing.assert_allclose(cka, cka_map(layers), atol=2e-5)
    for summary, rows in zip(summaries, layers, strict=True):
        rows = rows.astype(np.float32)
        assert summary.rankme == pytest.approx(rankme(rows), rel=1e-5)
        assert summary.participation_ratio == pytest.approx(participation_ratio(rows), rel=1e-5)
        assert summary.twonn == pytest.approx(twonn(rows), rel=1e-3)


def test_a_few_coordinates_and_the_exact_self_term_give_the_cka_of_whole_layers(layers):
    summaries, _ = summarise(layers, components=17)
    assert sum(summary.coordinates.shape[1] for summary in summaries) <= 3 * 17
    for i, j in ((0, 1), (0, 2), (1, 2)):
        x, y = summaries[i].coordinates, summaries[j].coordinates
        gains = [summary.self_hsic / self_hsic(summary.coordinates) for summary in (summaries[i], summaries[j])]
        similarity = linear_cka(x, y) / np.sqrt(np.prod(gains))
        assert similarity == pytest.approx(linear_cka(layers[i], layers[j]), abs=0.005)


def self_hsic(rows):
    from analysis.findings.stored_layers import self_hsic

    return self_hsic(rows)


def test_wide_layers_take_another_way_to_the_same_coordinates(layers, monkeypatch):
    usual, _ = summarise(layers[2:], components=17)
    monkeypatch.setattr(representations, "WIDE", 8)
    torch.manual_seed(0)
    other, _ = summarise(layers[2:], components=17)
    count = min(usual[0].coordinates.shape[1], other[0].coordinates.shape[1], 8)
    for column in range(count):
        alike = np.corrcoef(usual[0].coordinates[:, column], other[0].coordinates[:, column])[0, 1]
        assert abs(alike) > 0.999
    assert other[0].kept == pytest.approx(usual[0].kept, abs=1e-3)


def test_close_rows_in_a_long_direction_are_told_apart():
    """One axis a thousand times as long as the others: float32 products cannot tell who is near."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6))
    rows[:, 0] = np.repeat(rng.normal(size=40), 10) * 3000
    (summary,), _ = summarise([rows], components=8)
    assert summary.twonn == pytest.approx(twonn(rows), rel=1e-3)


def test_equal_rows_count_once_and_constant_layers_have_no_similarity(layers):
    doubled = np.concatenate([layers[0][:150]] * 2)
    constant = np.full((300, 4), 3.25)
    summaries, cka = summarise([doubled, constant, layers[1]], components=17)
    assert summaries[0].twonn == pytest.approx(twonn(doubled), rel=1e-3)
    assert np.isnan(cka[1]).all() and np.isnan(cka[:, 1]).all() and cka[0, 0] == pytest.approx(1)
    assert np.isnan(summaries[1].kept) and np.isnan(summaries[1].rankme) and not summaries[1].coordinates.any()
    few, _ = summarise([np.random.default_rng(0).normal(size=(6, 3))], components=8)
    assert np.isnan(few[0].twonn) and few[0].coordinates.shape == (6, 3)


def test_components_go_where_they_are_needed():
    steep, flat = np.array([0.999, *[1.0] * 49]), np.linspace(0.02, 1, 50)
    first, second = shared_out([steep, flat], 17)
    assert first == 8 and 24 <= second <= 2 * 17 - 8
    assert shared_out([steep, steep], 17) == [8, 8]
    assert shared_out([flat, flat], 10) in ([9, 9], [10, 10])
