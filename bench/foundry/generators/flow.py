"""A small normalising flow over what a regression on the condition leaves of the codes: coupling layers (RealNVP).

A lineage has tens of members. A flow of the codes themselves overfits them within a few steps, so that early stopping
leaves the identity, which knows no condition; the regression is kept, and the flow shapes the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.foundry.generators.contract.generator import Generator, Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LAYERS, WIDTH, STEPS, RATE, DECAY = 4, 32, 200, 5e-4, 1e-1
LARGEST = 1.0  # absolute log-scale of a layer, which keeps the flow from collapsing onto the members


def learn(codes: Tensor, conditions: Tensor, seed: int) -> Sampler:
    """Return a sampler of the flow with the best likelihood on members held out; see `Generator.learn`."""
    import torch

    from bench.foundry.generators.contract.coupling import Flow
    from bench.foundry.generators.contract.regression import regress
    from bench.foundry.generators.contract.training import train_with_early_stopping
    from bench.networks.backbones import seeded

    size = codes.shape[1]
    fitted = regress(codes, conditions)
    rest = fitted.residuals / fitted.spread
    flow = seeded(lambda: Flow(size, conditions.shape[1], layers=LAYERS, width=WIDTH, largest=LARGEST), seed)
    train_with_early_stopping(
        flow,
        lambda rows: flow.negative_log_likelihood(rest[rows], conditions[rows]),
        len(codes),
        seed,
        steps=STEPS,
        rate=RATE,
        decay=DECAY,
    )

    def sample(condition: Tensor, count: int, noise: torch.Generator) -> Tensor:
        with torch.no_grad():
            drawn = flow.decode(torch.randn(count, size, generator=noise), condition.expand(count, -1))
        return fitted.mean(condition[None]) + fitted.spread * drawn

    return sample


GENERATOR = Generator(
    version=1,
    conditional=True,
    reference="Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803",
    learn=learn,
)
