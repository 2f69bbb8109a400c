"""Behaviour before weights: codes refined so that the network they decode to does well, through `functional_call`."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from bench.core.errors import Incompatible
from bench.foundry.contract.workbench import RecipeWorkbench
from bench.foundry.generation.codes import Layout
from bench.foundry.generation.images import pass_images
from bench.input.batches import Batch, Examples
from bench.networks.tapped import TappedNetwork

Behaviour = Callable[[Tensor, Batch], Tensor]
"""(image vectors (B, D), batch) -> loss."""


def prototype_loss(vectors: Tensor, batch: Batch) -> Tensor:
    """Return the cross-entropy of classes by distance to their mean vectors, each sample left out of its own mean.

    It needs no head (Snell et al. 2017, arXiv 1703.05175, equation 2), so that codes alone are changed by it.
    """
    target = torch.as_tensor(batch.target)
    scaled = vectors / vectors.detach().std().clamp_min(1e-6)
    classes = torch.unique(target)
    member = (target[:, None] == classes).to(scaled.dtype)
    total, count = member.T @ scaled, member.sum(0)
    own = (total - scaled[:, None] * member[..., None]) / (count - member).clamp_min(1)[..., None]  # (B, K, D)
    logits = -(scaled[:, None] - own).square().mean(2) * scaled.shape[1] ** 0.5
    usable = (count > 1)[member.argmax(1)]
    if not bool(usable.any()):
        raise Incompatible("a loss by class means needs two training samples of a class")
    return nn.functional.cross_entropy(logits[usable], member.argmax(1)[usable])


def feature_loss(target: Tensor) -> Behaviour:
    """Return the squared distance to wanted vectors (n, D) of the samples of `batch.rows`, each dimension scaled."""
    scale = target.std(0).clamp_min(1e-6)

    def loss(vectors: Tensor, batch: Batch) -> Tensor:
        return ((vectors - target[batch.rows]) / scale).square().mean()

    return loss


class _LastVector(nn.Module):
    """A network as a module from a batch to the image vectors of its last layer."""

    def __init__(self, network: TappedNetwork, bench: RecipeWorkbench) -> None:
        super().__init__()
        self.network, self.bench = network, bench

    def forward(self, batch: Batch) -> Tensor:
        """Return the image vectors (B, D)."""
        return pass_images(self.network, batch, self.bench)


def refine(
    start: Tensor,
    decode: Callable[[Tensor], Tensor],
    network: TappedNetwork,
    layout: Layout,
    bench: RecipeWorkbench,
    examples: Examples,
    behaviour: Behaviour,
    *,
    steps: int,
    rate: float,
    batch: int,
    noise: torch.Generator,
    prior: float = 0.01,
) -> tuple[Tensor, list[float]]:
    """Return a code (k,) whose network behaves better, and the loss of each step.

    Batch norms use the statistics of their batch meanwhile, so that a code is judged by what its network computes and
    not by the statistics of another network.

    Args:
        start: (k,) code or coefficients.
        decode: code -> weights (P,), differentiable.
        network: of the architecture; not changed.
        layout: of the weights.
        bench: how images become input.
        examples: training images.
        behaviour: loss.
        steps: of Adam.
        rate: its learning rate.
        batch: images per step.
        noise: draws the images of each step.
        prior: weight of the mean squared change of the code.
    """
    module = _LastVector(copy.deepcopy(network).requires_grad_(False), bench)
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            norm.train()
    code = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([code], lr=rate)
    losses = []
    for _ in range(steps):
        rows = torch.randperm(len(examples), generator=noise)[:batch].tolist()
        (part,) = examples.read(rows)
        weights = {f"network.{name}": value for name, value in layout.split(decode(code)).items()}
        loss = behaviour(functional_call(module, weights, (part,)), part)
        total = loss + prior * (code - start).square().mean()
        if not bool(total.isfinite()):
            break
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    return code.detach(), losses
