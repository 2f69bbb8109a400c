"""Windows cover every token and overlap."""

from __future__ import annotations

import itertools

import pytest

from bench.input.recipe import match
from bench.input.windows import window_grid, window_offsets
from tests.builders.suite_and_model import BANDS, toy_entry, toy_suite

SUITE = toy_suite()
TASK, _, MASK = SUITE.tasks


@pytest.mark.parametrize(("tokens", "window"), [(14, 14), (15, 14), (32, 14), (64, 12), (100, 12), (13, 14), (29, 2)])
def test_windows_cover_every_token_and_overlap(tokens, window):
    starts = window_offsets(tokens, window)
    covered = set().union(*(range(start, start + window) for start in starts))
    assert covered >= set(range(tokens))
    assert max(starts) + window == max(tokens, window)
    assert all(b - a < window for a, b in itertools.pairwise(starts))


def test_window_grid_of_an_image():
    recipe = match(toy_entry(image_size=64), toy_suite(image_size=(200, 100)), MASK, BANDS)
    corners = window_grid(recipe, (200, 100))
    assert max(top for top, _ in corners) == 136 and max(left for _, left in corners) == 36
