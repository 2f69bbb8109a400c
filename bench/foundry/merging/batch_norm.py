"""Batch norms of merged networks: statistics measured anew on images, and folded ones made comparable first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bench.networks.batch_norms import STATISTICS, batch_norms

B = TypeVar("B")


def statistics_names(network: nn.Module) -> set[str]:
    """Return the names of the running statistics in a network's ``state_dict``."""
    return {f"{path}.{name}" for path in batch_norms(network) for name in STATISTICS}


class Moments:
    """Mean and variance per channel of everything that has passed, in float64 (Chan et al. 1983)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Add activations (B, C, ...)."""
        flat = values.detach().double().transpose(0, 1).flatten(1)
        count, mean = flat.shape[1], flat.mean(1)
        squares = (flat - mean[:, None]).square().sum(1)
        if self.count:
            both, gap = self.count + count, mean - self.mean
            squares = self.squares + squares + gap.square() * self.count * count / both
            mean = self.mean + gap * count / both
        self.count, self.mean, self.squares = self.count + count, mean, squares

    def variance(self) -> Tensor:
        """Return the unbiased variance per channel."""
        return self.squares / max(1, self.count - 1)


@contextmanager
def watched(norms: dict[str, Any]) -> Iterator[dict[str, Moments]]:
    """Collect the moments of what batch norms are given."""
    moments = {path: Moments() for path in norms}

    def hook(path: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, inputs: moments[path].add(inputs[0])

    handles = [norm.register_forward_pre_hook(hook(path)) for path, norm in norms.items()]
    try:
        yield moments
    finally:
        for handle in handles:
            handle.remove()


def reestimate(network: nn.Module, batches: Iterable[B], run: Callable[[B], object]) -> None:
    """Measure the running statistics of every batch norm on images, in place.

    In this pass batch norms normalise with the statistics of their batch, so that each is measured behind others that
    are right already; what they are given is pooled over all batches, values of all images and pixels alike.

    Args:
        network: in evaluation mode before and after.
        batches: of images, as large as memory allows.
        run: passes one batch through the network.
    """
    norms = batch_norms(network)
    network.eval()
    for norm in norms.values():
        norm.train()
    try:
        with torch.no_grad(), watched(norms) as moments:
            number = 0
            for batch in batches:
                run(batch)
                number += 1
    finally:
        network.eval()
    for path, norm in norms.items():
        if moments[path].count:
            norm.running_mean.copy_(moments[path].mean)
            norm.running_var.copy_(moments[path].variance())
            norm.num_batches_tracked.fill_(number)


def folded(network: nn.Module) -> bool:
    """Return whether the batch norms of a network do nothing but add a bias: their scale is in the convolutions."""
    norms = batch_norms(network).values()
    return bool(norms) and all(
        bool((norm.running_mean == 0).all())
        and bool((norm.running_var + norm.eps - 1).abs().max() < 2e-3)  # 1 - eps, stored in half precision
        and (norm.weight is None or bool((norm.weight == 1).all()))
        for norm in norms
    )


def unfold(network: nn.Module, batches: Iterable[B], run: Callable[[B], object]) -> None:
    """Give batch norms the statistics of what they are given, and scale and bias that leave their output as it is.

    Args:
        network: with folded batch norms; it computes the same before and after, up to rounding.
        batches: of images.
        run: passes one batch through the network.
    """
    norms = batch_norms(network)
    network.eval()
    with torch.no_grad(), watched(norms) as moments:
        for batch in batches:
            run(batch)
        for path, norm in norms.items():
            if norm.weight is None or not moments[path].count:
                continue
            mean, variance = moments[path].mean, moments[path].variance()
            slope = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            norm.bias.copy_(norm.bias.double() + slope * (mean - norm.running_mean.double()))
            norm.weight.copy_(slope * (variance + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
