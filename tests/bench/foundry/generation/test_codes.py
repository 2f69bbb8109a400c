"""Codes: exact on members with all components, bounded without, and a spectrum that tells structure from noise."""

from __future__ import annotations

import pytest
import torch

from bench.core.errors import Incompatible
from bench.foundry.generation.codes import Layout, codebook, dispersion, spectrum


def test_members_are_rebuilt_exactly_with_all_components():
    deltas = torch.randn(6, 500, generator=torch.Generator().manual_seed(0)) + 3
    book = codebook(deltas)
    assert book.basis.shape == (5, 500)
    assert torch.allclose(book.basis @ book.basis.T, torch.eye(5), atol=1e-4)
    assert torch.allclose(book.decode(book.codes), deltas, atol=1e-3)
    assert torch.allclose(book.encode(deltas), book.codes, atol=1e-3)
    assert torch.allclose(book.codes.std(0), torch.ones(5), atol=1e-4)
    assert torch.allclose(book.codes.mean(0), torch.zeros(5), atol=1e-4)


def test_a_member_held_out_of_independent_ones_is_not_rebuilt():
    deltas = torch.randn(6, 5000, generator=torch.Generator().manual_seed(1))
    book = codebook(deltas[:5])
    held = deltas[5:]
    share = float((book.decode(book.encode(held)) - held).square().sum() / held.square().sum())
    assert share > 0.9  # k / P of it at most can be


def test_the_spectrum_tells_structure_from_noise():
    noise = torch.randn(12, 4000, generator=torch.Generator().manual_seed(2))
    flat = spectrum(noise, codebook(noise))
    along = noise + 30 * torch.randn(12, 1, generator=torch.Generator().manual_seed(3)) * torch.nn.functional.normalize(
        torch.randn(1, 4000, generator=torch.Generator().manual_seed(4))
    )
    steep = spectrum(along, codebook(along))
    assert flat["first_over_median"] < 1.3 and flat["effective_rank"] > 0.98 and flat["mean_share"] < 0.2
    assert steep["first_over_median"] > 2 * flat["first_over_median"]


def test_the_dispersion_ratio_finds_a_collapse():
    real = torch.randn(200, 8, generator=torch.Generator().manual_seed(5))
    assert dispersion(real.clone(), real) == pytest.approx(1)
    assert dispersion(0.1 * real + 4, real) == pytest.approx(0.1)


@pytest.mark.parametrize("deltas", [torch.ones(1, 5), torch.ones(3, 5)])
def test_one_member_or_copies_are_refused(deltas):
    with pytest.raises(Incompatible, match="member"):
        codebook(deltas)


def test_a_layout_splits_what_it_joins():
    state = {"a": torch.arange(6.0).view(2, 3), "b": torch.arange(4.0)}
    layout = Layout(shapes={name: tuple(value.shape) for name, value in state.items()})
    parts = layout.split(layout.flat(state))
    assert layout.size == 10 and all(torch.equal(parts[name], value) for name, value in state.items())
