"""Global generators follow a seed inside the block, and go on after it as if it had not been."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from bench.networks.randomness import seeded_draws


def draws() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()


def test_draws_inside_follow_the_seed_whatever_was_drawn_before():
    with seeded_draws(3):
        first = draws()
    draws()
    with seeded_draws(3):
        assert draws() == first
    with seeded_draws(4):
        assert all(value != other for value, other in zip(draws(), first, strict=True))
    generators = float(torch.rand((), generator=torch.Generator().manual_seed(3))), random.Random(3).random()
    assert first == (generators[0], float(np.random.RandomState(3).rand()), generators[1])


def test_what_is_drawn_outside_goes_on_undisturbed_after_an_error_too():
    with seeded_draws(0):
        draws()
        expected = draws()
    with seeded_draws(0):
        draws()
        with pytest.raises(KeyError), seeded_draws(9):
            draws()
            raise KeyError
        assert draws() == expected


def test_blocks_nest():
    with seeded_draws(1):
        draws()
        second = draws()
    with seeded_draws(1):
        draws()
        with seeded_draws(2):
            draws()
        assert draws() == second


def test_seeds_beyond_32_bits_are_taken():
    with seeded_draws((1 << 32) + 5):
        large = draws()
    with seeded_draws(5):
        assert large[1] == draws()[1] and large[0] != torch.rand(())
