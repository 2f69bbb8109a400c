"""Generators: seeded, noise of its own per sample and dimension, spread kept, conditions followed."""

from __future__ import annotations

import pytest
import torch

from bench.core import lookup
from bench.foundry.generation.codes import dispersion
from bench.foundry.generators.contract.coupling import Flow
from bench.foundry.generators.contract.generator import Generator

NAMES = lookup.names("bench.foundry.generators")


def data(members=60, size=6):
    draws = torch.Generator().manual_seed(0)
    conditions = torch.randn(members, 3, generator=draws)
    codes = torch.randn(members, size, generator=draws)
    codes[:, :3] = 0.2 * codes[:, :3] + conditions
    return (codes - codes.mean(0)) / codes.std(0), conditions


def learned(name, seed=0):
    codes, conditions = data()
    return lookup.noun("bench.foundry.generators", name, Generator).learn(codes, conditions, seed)


@pytest.mark.parametrize("name", NAMES)
def test_samples_follow_the_seed_and_have_noise_of_their_own(name):
    condition = torch.zeros(3)
    first, again, other = (learned(name)(condition, 50, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (50, 6) and torch.equal(first, again) and not torch.equal(first, other)
    # One noise vector for all samples, or one value for all dimensions, would show as perfect correlation.
    centred = first - first.mean(0)
    assert len(torch.unique(first, dim=0)) == 50
    assert float(torch.corrcoef(centred.T).fill_diagonal_(0).abs().max()) < 0.9


@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_collapse(name):
    codes, conditions = data()
    sampler = learned(name)
    noise = torch.Generator().manual_seed(3)
    samples = torch.cat([sampler(own, 5, noise) for own in conditions])
    assert 0.6 < dispersion(samples, codes) < 1.5


@pytest.mark.parametrize("name", NAMES)
def test_a_condition_moves_the_code_that_depends_on_it(name):
    sampler = learned(name)
    means = [
        float(sampler(torch.tensor([value, 0.0, 0.0]), 400, torch.Generator().manual_seed(0))[:, 0].mean())
        for value in (-1.0, 1.0)
    ]
    conditional = lookup.noun("bench.foundry.generators", name, Generator).conditional
    assert (means[1] - means[0] > 0.5) == conditional


def test_a_flow_decodes_what_it_encodes_and_counts_the_volume():
    torch.manual_seed(0)
    flow = Flow(4, 2, layers=3, width=8, largest=1.0)
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    codes, conditions = torch.randn(5, 4), torch.randn(5, 2)
    noise, determinant = flow.encode(codes, conditions)
    assert torch.allclose(flow.decode(noise, conditions), codes, atol=1e-4)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow.encode(x[None], conditions[:1])[0][0], codes[0])
    assert float(determinant[0]) == pytest.approx(float(torch.linalg.slogdet(jacobian).logabsdet), abs=1e-4)
