"""The training loop: equal steps for every arm, best state chosen on validation, resumable after a kill.

It knows no suite and no model: it is given batches by step, a loss and a validation score.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.finetuning import distributed
from bench.finetuning.resumption import keep, resume
from bench.finetuning.trained import Trained
from bench.input.batches import Batch
from bench.networks.randomness import seeded_draws
from bench.store import discard

KEPT_SECONDS = 20.0  # between checkpoints on disk
STEP_STRIDE = 1_000_003  # between the seeds of the first steps of two runs, more than any run has steps


class Diverged(BenchError):
    """The loss is not finite, or no validation score is a number."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Training budget, equal for every arm.

    Attributes:
        steps: optimiser steps.
        evaluations: how often validation is scored along the way, the last step included.
        patience: evaluations without a better score after which training stops; 0 for no early stop.
        warmup: share of the steps over which the rate rises to its peak; a cosine down to 0 follows.
        clip: largest norm of the gradient.
        head_steps: number of first steps that train the head alone.
    """

    steps: int
    evaluations: int = 10
    patience: int = 4
    warmup: float = 0.1
    clip: float = 1.0
    head_steps: int = 0

    def rate(self, step: int) -> float:
        """Return the share of the peak rate at a step, from 0."""
        rising = max(1, round(self.warmup * self.steps))
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising)))

    def scored(self, step: int) -> bool:
        """Return whether validation is scored after a step, from 0."""
        every = max(1, self.steps // self.evaluations)
        return step + 1 == self.steps or (step + 1) % every == 0


def trained_names(module: nn.Module) -> set[str]:
    """Return the names of everything that training changes: parameters with gradients, and every buffer."""
    parameters = {name for name, value in module.named_parameters() if value.requires_grad}
    return parameters | {name for name, _ in module.named_buffers()}


def copied(module: nn.Module, names: set[str]) -> dict[str, Tensor]:
    """Return copies, on the CPU, of the named parameters and buffers."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items() if name in names}


def restore(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a `copied` state back."""
    module.load_state_dict(dict(state), strict=False)


def train(
    module: nn.Module,
    groups: Sequence[dict[str, object]],
    budget: Budget,
    *,
    batches: Callable[[int], list[Batch]],
    loss: Callable[[nn.Module, Batch], Tensor],
    evaluate: Callable[[], float],
    micro: int,
    seed: int,
    place: Path | None = None,
    head_only: Callable[[bool], None] | None = None,
) -> Trained:
    """Train a module with AdamW and return its best state on validation.

    Args:
        module: trained in place, its best state restored at the end.
        groups: see `bench.finetuning.tuning.parameter_groups`.
        budget: steps and schedule.
        batches: step -> the samples of that step, the same at every call.
        loss: of a part of a batch, a mean over its samples.
        evaluate: gives the validation score, higher is better; it leaves the module in the mode it was in.
        micro: most samples per forward pass; the gradients of a step's parts add up to those of the whole.
        seed: of the random numbers drawn in a step: dropout, and the samplers of detectors.
        place: file of a checkpoint to continue from, kept up to date, removed at the end.
        head_only: called with whether the steps that follow train the head alone.

    Raises:
        Diverged: the loss is not finite, or no validation score is a number.
    """
    optimiser = torch.optim.AdamW(list(groups), betas=(0.9, 0.999))
    peaks = [float(group["lr"]) for group in optimiser.param_groups]
    names = trained_names(module)  # before a first phase that trains the head alone
    device = next(module.parameters()).device
    trained = Trained(micro=micro)
    # Each of several processes reads the checkpoint that the first one wrote; none starts before all have read it.
    steps = resume(place, module, names, optimiser, trained, drop=distributed.rank() == 0) if place else 0
    first = distributed.agreed(steps)
    kept, since, losses = time.monotonic(), time.perf_counter(), list[float]()
    for step in range(first, budget.steps):
        if _stopped(trained, budget):
            break
        if head_only and step in (first, budget.head_steps):
            head_only(step < budget.head_steps)
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * budget.rate(step)
        # Each step has a seed of its own, so that a resumed run draws the same numbers as an uninterrupted one.
        with seeded_draws(seed * STEP_STRIDE + step, device):
            distributed.same_buffers(module)
            value = _step(module, optimiser, _share(batches(step)), loss, budget.clip, trained)
        if not math.isfinite(value):
            raise Diverged(f"the loss is {value} at step {step + 1}")
        losses.append(value)
        if budget.scored(step):
            trained.seconds += time.perf_counter() - since
            _score(module, names, trained, step + 1, losses, distributed.agreed(evaluate()))
            losses, since = [], time.perf_counter()
            if place and distributed.rank() == 0 and time.monotonic() - kept > KEPT_SECONDS:
                keep(place, copied(module, names), optimiser, trained, step + 1)
                kept = time.monotonic()
    if not trained.state:
        raise Diverged("no validation score is a number")
    restore(module, trained.state)
    if place and distributed.rank() == 0:
        discard(place)
    return trained


def _share(batches: list[Batch]) -> list[Batch]:
    """Return this process's share of a step's samples; all of them where it is alone."""
    count = distributed.world()
    if count == 1:
        return batches
    own = [batch.part(slice(distributed.rank(), None, count)) for batch in batches]
    return [batch for batch in own if batch.rows]


def _stopped(trained: Trained, budget: Budget) -> bool:
    if not budget.patience:
        return False
    after = [step for step, _, _ in trained.history if step > trained.step]
    return len(after) >= budget.patience and bool(trained.state)


def _score(
    module: nn.Module, names: set[str], trained: Trained, step: int, losses: Sequence[float], score: float
) -> None:
    trained.history.append((step, sum(losses) / max(1, len(losses)), score))
    if not math.isnan(score) and (score > trained.score or not trained.state):
        trained.score, trained.step, trained.state = score, step, copied(module, names)


def _step(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: list[Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    clip: float,
    trained: Trained,
) -> float:
    """Take one optimiser step and return its loss; if memory runs out, try once more with half the samples per pass."""
    try:
        value = _gradients(module, optimiser, batches, loss, trained.micro)
    except (torch.OutOfMemoryError, MemoryError):
        if any("out of memory" in note for note in trained.notes) or trained.micro < 2:
            raise
        half = trained.micro // 2
        trained.notes.append(f"out of memory at {trained.micro} images a pass: {half} a pass since, the same a step")
        trained.micro = half
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        value = _gradients(module, optimiser, batches, loss, half)
    if math.isfinite(value):
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.step()
    return value


def _gradients(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: list[Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    micro: int,
) -> float:
    """Fill the gradients with those of the mean over all samples of a step; return the mean loss."""
    optimiser.zero_grad(set_to_none=True)
    device = next(module.parameters()).device
    count = round(distributed.total(sum(len(batch.rows) for batch in batches), device))
    total = 0.0
    for batch in batches:
        for start in range(0, len(batch.rows), micro):
            part = batch.part(slice(start, start + micro))
            value = loss(module, part) * (len(part.rows) / count)
            value.backward()  # type: ignore[no-untyped-call]
            total += float(value.detach())
    distributed.sum_gradients(parameter for group in optimiser.param_groups for parameter in group["params"])
    return distributed.total(total, device)
