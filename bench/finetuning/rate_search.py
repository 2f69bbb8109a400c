"""The search over learning rates: each gets the same budget, and the validation score chooses."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.errors import Incompatible
from bench.finetuning.arm import Arm
from bench.finetuning.fit import Addition, fit
from bench.finetuning.loop import Diverged
from bench.finetuning.trained import History, Trained


@dataclass(frozen=True, kw_only=True)
class ChosenRate:
    """Result of the search over learning rates on validation.

    Attributes:
        rate: the learning rate.
        trained: its training.
        notes: on the samples, and on every rate.
        histories: of every rate, in order; empty where it diverged.
    """

    rate: float
    trained: Trained
    notes: list[str]
    histories: list[History]


def search_rates(arm: Arm, addition: Addition | None = None) -> ChosenRate:
    """Train an arm at each of its learning rates and return the one with the best validation score.

    Args:
        arm: what is trained.
        addition: see `bench.finetuning.fit.Addition`.

    Raises:
        Incompatible: training diverges at every rate.
    """
    best: tuple[float, Trained] | None = None
    notes, histories = [*arm.train.notes, *arm.val.notes], list[History]()
    for number, rate in enumerate(arm.settings.learning_rates):
        try:
            trained, _ = fit(arm, number, rate, addition=addition)
        except Diverged as problem:
            notes.append(f"learning rate {rate:g} left out: {problem}")
            histories.append([])
            continue
        notes += trained.notes
        histories.append(trained.history)
        if best is None or trained.score > best[1].score:
            best = rate, trained
    if best is None:
        raise Incompatible(f"no learning rate trains {arm.workbench.entry.name}: {'; '.join(notes[-3:])}")
    return ChosenRate(rate=best[0], trained=best[1], notes=notes, histories=histories)
