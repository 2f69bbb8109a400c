"""Protocol: the typed noun that each file of `bench.protocols` exports as ``PROTOCOL``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.config import Settings
from bench.core import ModelEntry, Outcome, Suite, Task
from bench.features.work import Job, Work
from bench.input.recipe import InputRecipe
from bench.protocols.contract.context import Context


def single_arm(settings: object, task: Task) -> Sequence[object]:
    """Return the settings alone, for a protocol that makes one run of them."""
    return (settings,)


def no_facts(settings: object) -> dict[str, str]:
    """Return no facts, for a protocol whose runs differ in no column of the tables."""
    return {}


def reads_all_features(job: Job, settings: Any) -> Work:
    """Return the work of a protocol that reads the stored features of every split, and does little with them."""
    samples = sum(job.images.values())
    return Work(splits=tuple(job.images), head=float(samples * job.layers * job.width * job.outputs))


def every_entry(entry: ModelEntry, settings: Any, arm: Any) -> bool:
    """Return True, for a protocol whose arms are meant for every entry."""
    return True


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to adapt a model to a task and to score it.

    Attributes:
        version: raised when the same settings give other numbers than before; part of a run's identity.
        version_of: ``(suite, task, recipe, settings)`` -> the version of one run, for a protocol whose latest version
            changed the numbers of some runs only: all others keep their identity, and with it their records.
        settings: its settings, all with defaults; what differs from the defaults is part of a run's identity.
        refuses: ``(entry, suite, task, settings)`` -> why the run makes no sense, or ``""``.
        run: carries out one run. It chooses on validation before it opens a test split.
        arms: ``(settings, task)`` -> the settings of each run that they expand to.
        arm_facts: ``(settings)`` -> the values that distinguish arms, by column of the tables.
        serves: ``(entry, settings, arm)`` -> whether an arm is meant for an entry; others are not part of the plan.
        once: whether it makes one run per model and suite, on the first requested task that it accepts.
        runs_network: whether it runs the network, through `Context.workbench`; otherwise it reads stored features.
        reads_labels: whether it reads labels; otherwise there is one run for all label fractions and seeds.
        on_board: whether its scores are rows of a leaderboard.
        seeds: seeds of its runs where none are requested.
        work: ``(job, settings)`` -> what one run does, in counts that the plan's estimate turns into seconds.
    """

    version: int
    settings: type[Settings]
    refuses: Callable[[ModelEntry, Suite, Task, Any], str]
    run: Callable[[Context], Outcome]
    arms: Callable[[Any, Task], Sequence[Any]] = single_arm
    arm_facts: Callable[[Any], dict[str, str]] = no_facts
    serves: Callable[[ModelEntry, Any, Any], bool] = every_entry
    once: bool = False
    runs_network: bool = False
    reads_labels: bool = True
    on_board: bool = True
    seeds: tuple[int, ...] = (0,)
    work: Callable[[Job, Any], Work] = reads_all_features
    version_of: Callable[[Suite, Task, InputRecipe, Any], int] | None = None

    def version_for(self, suite: Suite, task: Task, recipe: InputRecipe, settings: object) -> int:
        """Return the version that is part of the identity of one run."""
        return self.version_of(suite, task, recipe, settings) if self.version_of else self.version
