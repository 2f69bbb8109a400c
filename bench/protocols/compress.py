"""Compression: one smaller network made from a teacher, trained under one budget of steps, measured and scored.

The study of `bench.studies.compression` crosses its arms with budgets and seeds; `bench.compression.arms` lists them.
The fine-tuned teacher is trained once per seed and kept in the cache.
"""

from __future__ import annotations

from bench.compression.arms import ARMS
from bench.compression.settings import CompressSettings, arms, facts
from bench.core import ModelEntry, Outcome, Suite, Task
from bench.finetuning.refusals import refusal
from bench.finetuning.work import training_work
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: CompressSettings) -> str:
    """Return why an arm cannot be made of this entry, or ``""``."""
    if reason := refusal(entry, task, settings):
        return reason
    if entry.weights is None or not entry.parameters:
        return f"{entry.name} has no weights, and a teacher needs them; name a pretrained entry"
    return ""


def serves(entry: ModelEntry, whole: CompressSettings, run: CompressSettings) -> bool:
    """Return whether an arm is meant for an entry: the arms ``small_*`` for ``small=``, all others for the teacher."""
    return (entry.name in whole.small) == (ARMS[run.arms[0]].making == "small")


def run(context: Context) -> Outcome:
    """Return the outcome of one arm; see `bench.compression.carry_out.compress`.

    Curves: one row per layer with its similarity to the teacher's layer of nearest depth. Costs: see
    `bench.compression.measure.measured`.
    """
    from bench.compression.carry_out import compress

    assert context.workbench is not None
    return compress(
        context.workbench,
        context.settings,
        task=context.task,
        seed=context.seed,
        device=context.device,
        tests=context.tests,
    )


PROTOCOL = Protocol(
    version=1,
    settings=CompressSettings,
    refuses=refuses,
    run=run,
    arms=arms,
    arm_facts=facts,
    serves=serves,
    work=training_work,
    runs_network=True,
    on_board=False,
    seeds=(0, 1, 2),
)
