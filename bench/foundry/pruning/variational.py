"""Variational dropout: learn how much noise each weight bears; weights that are mostly noise can go.

Molchanov et al. 2017 ("Variational dropout sparsifies deep neural networks", arXiv 1701.05369): each weight is
``theta + sigma eps``; the Kullback-Leibler divergence to a log-uniform prior, approximated by their equation 14, pushes
``alpha = sigma^2 / theta^2`` up where the data do not object.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench.core.errors import Incompatible
from bench.finetuning.arm import Arm
from bench.finetuning.fit import batches_of, loss_function
from bench.foundry.pruning.masks import prunable
from bench.networks.randomness import seeded_draws
from bench.networks.tapped import TappedNetwork, tapped

K1, K2, K3 = 0.63576, 1.87320, 1.48695  # of equation 14
START = -10.0  # log variance at the beginning: next to no noise
RATE_OF_NOISE = 10.0  # learning rate of log variances, as a multiple of the weights'


class Noisy(nn.Module):
    """A parametrization that adds Gaussian noise of learned variance to a weight while training."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.full_like(weight, START))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, with noise in training mode."""
        if not self.training:
            return weight
        return weight + (0.5 * self.log_variance).exp() * torch.randn_like(weight)

    def log_alpha(self, weight: Tensor) -> Tensor:
        """Return the logarithm of the noise's share of each weight, clipped to -8 ... 8."""
        return (self.log_variance - 2 * weight.abs().clamp_min(1e-8).log()).clamp(-8, 8)


def divergence(log_alpha: Tensor) -> Tensor:
    """Return the divergence to the log-uniform prior, summed over weights (equation 14 of the paper, sign reversed)."""
    negative = K1 * torch.sigmoid(K2 + K3 * log_alpha) - 0.5 * torch.log1p(torch.exp(-log_alpha)) - K1
    return -negative.sum()


def learned_importance(arm: Arm, network: TappedNetwork) -> dict[str, Tensor]:
    """Return ``-log alpha`` of every prunable weight, learned on the arm's task; `network` gets the trained weights.

    Args:
        arm: task, samples and training budget; its backbone is a copy of `network`.
        network: whose weights are judged.

    Raises:
        Incompatible: the loss is not finite.
    """
    model = arm.build().train()
    backbone = tapped(model.backbone)
    names = list(prunable(backbone))
    noises: dict[str, tuple[Any, Noisy]] = {}
    for name in names:
        module: Any = backbone.get_submodule(name.removesuffix(".weight"))
        noise = Noisy(module.weight.detach())
        parametrize.register_parametrization(module, "weight", noise)
        noises[name] = (module, noise)
    variances = [noise.log_variance for _, noise in noises.values()]
    chosen = {id(value) for value in variances}
    others = [value for value in model.parameters() if value.requires_grad and id(value) not in chosen]
    rate, steps = arm.settings.learning_rates[0], arm.settings.steps
    optimiser = torch.optim.Adam(
        [{"params": others, "lr": rate * arm.settings.backbone_rate}, {"params": variances, "lr": rate * RATE_OF_NOISE}]
    )
    loss_of, batches = loss_function(arm), batches_of(arm, arm.train)
    weight_of_prior = 1.0 / len(arm.train)
    with seeded_draws(arm.seed):
        for step in range(steps):
            ramp = min(1.0, (step + 1) / max(1, steps // 2))  # the prior enters slowly, or it silences everything
            optimiser.zero_grad()
            fit = torch.stack([loss_of(model, batch) for batch in batches(step)]).sum()
            prior = torch.stack(
                [
                    divergence(noise.log_alpha(module.parametrizations.weight.original))
                    for module, noise in noises.values()
                ]
            ).sum()
            total = fit + ramp * weight_of_prior * prior
            if not torch.isfinite(total):
                raise Incompatible(f"variational dropout diverged at step {step + 1}; lower recovery.learning_rates")
            total.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    importance = {}
    with torch.no_grad():
        for name, (module, noise) in noises.items():
            importance[name] = -noise.log_alpha(module.parametrizations.weight.original).cpu()
            noise.eval()
            parametrize.remove_parametrizations(module, "weight")
    network.load_state_dict(backbone.cpu().state_dict())
    return importance
