"""The arms of a judgement: how each makes the weights that are scored, from a lineage and a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core import lookup
from bench.foundry.generation.behaviour import prototype_loss, refine
from bench.foundry.generation.carry_out import nearest_members
from bench.foundry.generation.codes import Codebook, codebook
from bench.foundry.generation.conditions import Condition
from bench.foundry.generation.images import PreparedWorkbench
from bench.foundry.generation.lineages import Lineage
from bench.foundry.generators.contract.generator import Generator, Sampler
from bench.input.batches import Examples

GENERATORS = ("gaussian", "conditional", "flow", "hypernetwork")
ARMS = (
    *("scratch", "prompt", "trunk", "noise", "nearest", "average", "task_vectors", "best_member", "pca"),
    *(*GENERATORS, "refined", "shuffled"),
)
SEEDLESS = ("prompt", "trunk", "nearest", "average", "best_member", "pca")
"""Arms whose candidates are the same for every seed."""
STREAM = 11  # second word of the seed of candidates


@dataclass(frozen=True, kw_only=True)
class Request:
    """What arms are made for.

    Attributes:
        lineage: trunk and members.
        book: its codes.
        samplers: generator -> what it learned; the same for all seeds.
        condition: wanted.
        prompt: (P,) weights that the trunk was trained from.
        scratch: seed -> (P,) weights at random init.
        count: candidates of arms that draw.
        refine_steps: of task vectors and refined codes.
        refine_rate: of those.
    """

    lineage: Lineage
    book: Codebook
    samplers: dict[str, Sampler]
    condition: Condition
    prompt: Tensor
    scratch: Callable[[int], Tensor]
    count: int
    refine_steps: int
    refine_rate: float


def learned(lineage: Lineage, book: Codebook) -> dict[str, Sampler]:
    """Return what every generator learns from a lineage."""
    conditions, _, _ = lineage.conditions()
    nouns = {name: lookup.noun("bench.foundry.generators", name, Generator) for name in GENERATORS}
    return {name: generator.learn(book.codes, conditions, 0) for name, generator in nouns.items()}


def candidates(arm: str, request: Request, seed: int, bench: PreparedWorkbench, train: Examples) -> list[Tensor]:
    """Return the weights (P,) of an arm's candidates; validation chooses among them.

    Args:
        arm: one of `ARMS`.
        request: lineage and condition.
        seed: of what the arm draws.
        bench: how images become input.
        train: labelled training samples, which task vectors and refined codes learn from.
    """
    lineage, book, base = request.lineage, request.book, request.lineage.base
    noise = torch.Generator().manual_seed((seed * 1009 + STREAM) * 101 + ARMS.index(arm))
    if arm in GENERATORS:
        codes = request.samplers[arm](lineage.embedded(request.condition), request.count, noise)
        return list(base + book.decode(codes))
    if arm == "best_member":
        return list(base + lineage.deltas)
    if arm == "noise":
        return [base + _matched_noise(lineage, noise) for _ in range(request.count)]
    return [_single(arm, request, seed, bench, train, noise)]


def _single(
    arm: str, request: Request, seed: int, bench: PreparedWorkbench, train: Examples, noise: torch.Generator
) -> Tensor:
    """Return the weights of an arm that has one candidate."""
    lineage, book, base = request.lineage, request.book, request.lineage.base
    nearest = nearest_members(lineage, request.condition)[0]
    if arm == "scratch":
        return request.scratch(seed)
    if arm == "prompt":
        return request.prompt
    if arm == "trunk":
        return base
    if arm == "nearest":
        return base + lineage.deltas[nearest]
    if arm == "average":
        return base + book.mean
    if arm == "pca":
        # The nearest member as codes of the others: what the codes keep of a network that they were not made from.
        others = torch.cat([lineage.deltas[:nearest], lineage.deltas[nearest + 1 :]])
        held_out = codebook(others)
        return base + held_out.decode(held_out.encode(lineage.deltas[nearest][None]))[0]
    code = request.samplers["conditional"](lineage.embedded(request.condition), 1, noise)[0]
    if arm == "shuffled":
        parts = lineage.layout.split(base + book.decode(code[None])[0]).values()
        return torch.cat([part.flatten()[torch.randperm(part.numel(), generator=noise)] for part in parts])
    start = code if arm == "refined" else torch.full((len(lineage.deltas),), 1 / len(lineage.deltas))

    def decode(values: Tensor) -> Tensor:
        return base + (book.decode(values[None])[0] if arm == "refined" else values @ lineage.deltas)

    best, _ = refine(
        start,
        decode,
        lineage.network,
        lineage.layout,
        bench,
        train,
        prototype_loss,
        steps=request.refine_steps,
        rate=request.refine_rate,
        batch=len(train),
        noise=noise,
    )
    return decode(best)


def _matched_noise(lineage: Lineage, noise: torch.Generator) -> Tensor:
    """Return Gaussian noise (P,) whose length in every tensor is the members' mean distance from the trunk there."""
    parts = []
    members = [lineage.layout.split(delta) for delta in lineage.deltas]
    for name, shape in lineage.layout.shapes.items():
        drawn = torch.randn(shape, generator=noise)
        length = torch.stack([member[name].norm() for member in members]).mean()
        parts.append((drawn * (length / drawn.norm().clamp_min(1e-12))).flatten())
    return torch.cat(parts)
