"""Groups of runs that share a loaded model: what one worker of a sweep claims at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core import sha256_of
from bench.runs.plan import Run


@dataclass(frozen=True)
class Part:
    """One part of a sweep that is divided by hand.

    Attributes:
        number: of the part, from 1.
        parts: how many there are.
    """

    number: int
    parts: int

    @classmethod
    def read(cls, text: str) -> Part:
        """Return the part that text such as ``3/16`` names; `bench.config.RunConfig` has checked it."""
        number, _, parts = text.partition("/")
        return cls(int(number), int(parts))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that one worker carries out one after another.

    Attributes:
        name: the same in every plan that holds these runs, whatever else it holds; names the claim.
        runs: in the order of the plan.
    """

    name: str
    runs: tuple[Run, ...]


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """Return the groups of runs, in the order of their first runs.

    Runs that read stored features form one group per model, bands and random init: they share the loaded model and its
    passes. A run that trains the network takes long and shares little, so each is a group of its own.
    """
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(_name(run), []).append(run)
    return [Group(name=name, runs=tuple(part)) for name, part in members.items()]


def _name(run: Run) -> str:
    key = run.key
    if run.protocol.runs_network and run.protocol.reads_labels:
        return f"run_{key.digest}"
    facts = {"suite": key.suite, "model": key.model, "weights": key.weights, "seed": key.init_seed}
    return f"model_{sha256_of(facts | {'bands': [band.name for band in run.recipe.bands]})[:16]}"


def part_of(runs: Sequence[Run], part: Part, models: Sequence[str]) -> tuple[Run, ...]:
    """Return the runs of one part; the parts of a sweep are disjoint, and together they are the whole.

    The parts do not depend on which weights are at hand, so that machines that hold different weights divide the same
    sweep in the same way.

    Args:
        runs: of the whole sweep.
        part: which part.
        models: names of all models asked for, in order, whether their weights are at hand or not.
    """
    place = {name: number for number, name in enumerate(models)}
    seen: dict[str, int] = {}
    kept: set[str] = set()
    for group in groups_of(runs):
        model = group.runs[0].key.model
        # Several groups of one model go to neighbouring parts.
        number = place[model] + seen.get(model, 0)
        seen[model] = seen.get(model, 0) + 1
        if number % part.parts == part.number - 1:
            kept.add(group.name)
    return tuple(run for run in runs if _name(run) in kept)
