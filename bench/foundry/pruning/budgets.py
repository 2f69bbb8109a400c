"""Costs of a network, counted and measured, and the search for the pruning ratio that meets a budget."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.core import Band, ModelEntry
from bench.core.errors import BadSetting, Incompatible
from bench.networks.tapped import TappedNetwork

Quantity = Literal["flops", "params", "latency"]
TOLERANCE = 0.02  # of the budget: a unit is a whole channel or head, so a budget is met from below
HALVINGS = 10
TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit on one quantity of a network.

    Attributes:
        quantity: multiply-adds of one image, parameters, or seconds of a forward pass of one image.
        limit: in that quantity's unit; a share of the unpruned network where `relative`.
        relative: whether `limit` is a share in (0, 1).
    """

    quantity: Quantity
    limit: float
    relative: bool

    def limit_for(self, whole: float) -> float:
        """Return the limit in the quantity's unit, given the value of the unpruned network."""
        return self.limit * whole if self.relative else self.limit


def read_budget(text: str) -> Budget:
    """Return the budget that a word spells: ``flops:.5``, ``flops:2e9``, ``params:5e6``, ``latency:20ms``.

    Raises:
        BadSetting: it spells none.
    """
    quantity, colon, value = text.partition(":")
    example = "write flops:.5 (half of them), params:5e6 or latency:20ms"
    if not colon or quantity not in ("flops", "params", "latency"):
        raise BadSetting(f"budget={text}: no budget; {example}")
    match = re.fullmatch(r"([0-9.eE+\-]+)\s*(us|ms|s)?", value.strip())
    try:
        number = float(match[1]) if match else float("nan")
    except ValueError:
        number = float("nan")
    if not match or not 0 < number < float("inf") or (quantity != "latency" and match[2]):
        raise BadSetting(f"budget={text}: {value!r} is no positive amount; {example}")
    if match[2]:
        return Budget(quantity="latency", limit=number * TIMES[match[2]], relative=False)
    if number == 1:
        raise BadSetting(f"budget={text}: the whole network meets it; give a share below 1 or an amount above")
    if quantity == "latency" and number > 1:
        raise BadSetting(f"budget={text}: give a unit of time (us, ms, s), or a share below 1")
    return Budget(quantity=quantity, limit=number, relative=number < 1)  # type: ignore[arg-type]


def example_images(
    entry: ModelEntry, bands: tuple[Band, ...], batch: int = 1, *, dates: int = 1, seed: int = 0
) -> dict[str, Tensor]:
    """Return random prepared input of an entry: sensor -> (batch, dates, C, H, W), at the size it was trained at."""
    counts: dict[str, int] = {}
    for band in bands:
        counts[band.sensor] = counts.get(band.sensor, 0) + 1
    generator = torch.Generator().manual_seed(seed)
    side = entry.image_size
    shapes = {name: (batch, dates, count, side, side) for name, count in counts.items()}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def parameters(network: TappedNetwork) -> int:
    """Return the number of parameters."""
    return sum(int(value.numel()) for value in network.parameters())


def multiply_adds(network: TappedNetwork, images: Mapping[str, Tensor]) -> float:
    """Return the multiply-adds of one image, as `torch.utils.flop_counter` counts them (half of its figure).

    Args:
        network: a backbone.
        images: prepared input; the count is divided by their number.
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(images, [len(network.layers) - 1])
    return float(counter.get_total_flops()) / 2 / len(next(iter(images.values())))


def latency(network: TappedNetwork, images: Mapping[str, Tensor], *, repeats: int = 10) -> tuple[float, float]:
    """Return the median and the 95th percentile of the seconds of a forward pass, after two that warm up."""
    seconds = []
    device = next(iter(images.values())).device
    with torch.inference_mode():
        for index in range(repeats + 2):
            start = time.perf_counter()
            network(images, [len(network.layers) - 1])
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if index >= 2:
                seconds.append(time.perf_counter() - start)
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]


def amount(network: TappedNetwork, quantity: Quantity, images: Mapping[str, Tensor]) -> float:
    """Return a network's multiply-adds per image, parameters, or median seconds of one forward pass."""
    if quantity == "params":
        return float(parameters(network))
    return multiply_adds(network, images) if quantity == "flops" else latency(network, images)[0]


def ratio_for(
    budget: Budget, prune: Callable[[float], TappedNetwork], whole: TappedNetwork, images: Mapping[str, Tensor]
) -> float:
    """Return the smallest pruning ratio that meets a budget, by bisection.

    Args:
        budget: to be met.
        prune: ratio -> a pruned copy of the network.
        whole: the unpruned network.
        images: for counting and timing.

    Raises:
        Incompatible: even the highest ratio does not meet it, or the whole network already does.
    """
    before = amount(whole, budget.quantity, images)
    limit = budget.limit_for(before)
    if before <= limit:
        raise Incompatible(f"the network already meets the budget: {before:.4g} {budget.quantity}, {limit:.4g} allowed")
    low, high = 0.0, 0.95
    least = amount(prune(high), budget.quantity, images)
    if least > limit:
        raise Incompatible(
            f"no ratio meets the budget of {limit:.4g} {budget.quantity}: at ratio {high} {least:.4g} are left of "
            f"{before:.4g}; allow more, or use method=depth or a smaller entry"
        )
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if amount(prune(middle), budget.quantity, images) <= limit:
            high = middle
        else:
            low = middle
    return high
