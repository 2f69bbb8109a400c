"""A small hypernetwork: a perceptron from the condition to the mean and spread of the codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.foundry.generators.contract.generator import Generator, Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WIDTH, STEPS, RATE, DECAY = 32, 600, 3e-3, 1e-2


def learn(codes: Tensor, conditions: Tensor, seed: int) -> Sampler:
    """Return a sampler of the Gaussian that a perceptron predicts for a condition; see `Generator.learn`.

    The number of steps is that with the best likelihood on members held out; the spread is the error on them.
    """
    import torch

    from bench.foundry.generators.contract.training import train_with_early_stopping
    from bench.networks.backbones import seeded

    members, size = codes.shape
    network: Any = seeded(
        lambda: torch.nn.Sequential(
            torch.nn.Linear(conditions.shape[1], WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, size)
        ),
        seed,
    )

    def loss(rows: Tensor) -> Tensor:
        error: Tensor = (network(conditions[rows]) - codes[rows]).square().mean()
        return error

    held = train_with_early_stopping(network, loss, members, seed, steps=STEPS, rate=RATE, decay=DECAY)
    with torch.no_grad():
        error = (network(conditions[held]) - codes[held]).square().mean().sqrt()

    def sample(condition: Tensor, count: int, noise: torch.Generator) -> Tensor:
        with torch.no_grad():
            mean: Tensor = network(condition[None])[0]
        drawn: Tensor = mean + error * torch.randn(count, size, generator=noise)
        return drawn

    return sample


GENERATOR = Generator(
    version=1, conditional=True, reference="Ha et al. 2017, HyperNetworks, arXiv:1609.09106", learn=learn
)
