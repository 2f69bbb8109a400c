"""A small normalising flow over codes: affine coupling layers (RealNVP), conditioned on the condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.foundry.generators.contract.generator import Generator, Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LAYERS, WIDTH, STEPS, RATE, DECAY = 4, 32, 600, 2e-3, 1e-2
LARGEST = 1.0  # absolute log-scale of a layer, which keeps the flow from collapsing onto the members


def learn(codes: Tensor, conditions: Tensor, seed: int) -> Sampler:
    """Return a sampler of the flow with the best likelihood on members held out; see `Generator.learn`."""
    import torch

    from bench.foundry.generators.contract.coupling import Flow
    from bench.foundry.generators.contract.training import train_with_early_stopping
    from bench.networks.backbones import seeded

    size = codes.shape[1]
    flow = seeded(lambda: Flow(size, conditions.shape[1], layers=LAYERS, width=WIDTH, largest=LARGEST), seed)
    train_with_early_stopping(
        flow,
        lambda rows: flow.negative_log_likelihood(codes[rows], conditions[rows]),
        len(codes),
        seed,
        steps=STEPS,
        rate=RATE,
        decay=DECAY,
    )

    def sample(condition: Tensor, count: int, noise: torch.Generator) -> Tensor:
        with torch.no_grad():
            return flow.decode(torch.randn(count, size, generator=noise), condition.expand(count, -1))

    return sample


GENERATOR = Generator(
    version=1,
    conditional=True,
    reference="Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803",
    learn=learn,
)
