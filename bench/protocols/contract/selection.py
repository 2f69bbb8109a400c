"""Selection on validation, report on test: candidates, the choice among them, and the outcome of the choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from bench.core import Outcome, Task
from bench.core.errors import Incompatible
from bench.features.labelled import LabelledFeatures
from bench.metrics import metric, score
from bench.protocols.contract.context import Context


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One option of the selection: a layer with a pool and a setting, and its validation score.

    Attributes:
        layer: index into the layers probed.
        pool: pool name, ``grid`` for dense features.
        setting: value of the hyper-parameter (C, alpha, k, learning rate).
        edge: whether the setting is the first or last of its grid.
        score: validation score, higher is better.
        loss: validation loss, which decides between equal scores.
    """

    layer: int
    pool: str
    setting: float
    edge: bool
    score: float
    loss: float = field(default=0.0)

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key, larger is better; values that are not finite rank last."""
        return (self.score if np.isfinite(self.score) else -np.inf, -self.loss if np.isfinite(self.loss) else -np.inf)


@dataclass(frozen=True)
class Choice:
    """Result of the selection: the best candidate of each layer, and the layer of each rule."""

    by_layer: tuple[Candidate, ...]

    @cached_property
    def rules(self) -> dict[str, int]:
        """Layer rule -> index of the layer: ``last``, and ``best-on-val`` with ties going to the earlier layer."""
        best = max(range(len(self.by_layer)), key=lambda i: (*self.by_layer[i].rank, -i))
        return {"last": len(self.by_layer) - 1, "best-on-val": best}


def choose(candidates: Sequence[Candidate], layers: int) -> Choice:
    """Return the choice among candidates: for each layer the highest score, then the lowest loss, then the first.

    Raises:
        Incompatible: no candidate has a validation score.
    """
    if not any(np.isfinite(candidate.score) for candidate in candidates):
        raise Incompatible("nothing can be chosen: no validation sample can be scored (all labels ignored?)")
    best: list[Candidate] = []
    for index in range(layers):
        mine = [candidate for candidate in candidates if candidate.layer == index]
        best.append(max(mine, key=lambda candidate: candidate.rank))
    return Choice(tuple(best))


def report_choice(
    context: Context,
    choice: Choice,
    predict: Callable[[LabelledFeatures, Candidate], Mapping[str, np.ndarray]],
    *,
    further: Callable[[LabelledFeatures, Candidate], Mapping[str, float]] | None = None,
    notes: Sequence[str] = (),
    cost: Mapping[str, float] | None = None,
) -> Outcome:
    """Return scores, curves and arrays on the test splits for a choice made on validation.

    The test splits are opened here and not before.

    Args:
        context: context of the run.
        choice: one candidate per layer.
        predict: ``(split, candidate)`` -> per-sample outcomes: ``prediction`` (and ``confidence``), or ``confusion``.
        further: ``(split, candidate)`` -> scores that do not follow from the stored outcomes; called for the candidate
            of each layer rule.
        notes: notes from training and validation.
        cost: seconds and counts.

    Returns:
        Scores by test split and layer rule, one curve row per layer, and arrays ``<split>.<what>`` (L, n, ...).
    """
    scores: dict[str, dict[str, dict[str, float]]] = {}
    arrays: dict[str, np.ndarray] = {}
    rows = [_row(context, candidate) for candidate in choice.by_layer]
    curves = [dict(row) for row in rows]
    all_notes = list(notes)
    for name in context.tests:
        split = context.open(name)
        all_notes += split.notes
        outcomes = [predict(split, candidate) for candidate in choice.by_layer]
        for what in outcomes[0]:
            arrays[f"{name}.{what}"] = np.stack([outcome[what] for outcome in outcomes])
        arrays[f"{name}.ids"], arrays[f"{name}.blocks"] = np.array(split.ids), np.array(split.blocks)
        if split.target is not None:
            arrays[f"{name}.target"] = split.target
        each = [_scores(context.task, outcome, split) for outcome in outcomes]
        more = {i: further(split, choice.by_layer[i]) if further else {} for i in set(choice.rules.values())}
        scores[name] = {rule: {**each[index], **more[index]} for rule, index in choice.rules.items()}
        for row, layer_scores in zip(curves, each, strict=True):
            row[name] = layer_scores[context.task.metric]
    choices = {rule: {"index": index, **rows[index]} for rule, index in choice.rules.items()}
    return Outcome(
        scores=scores,
        choices=choices,
        curves=curves,
        arrays=arrays,
        notes=tuple(dict.fromkeys(all_notes)),
        cost=dict(cost or {}),
    )


def _row(context: Context, candidate: Candidate) -> dict[str, object]:
    layer = context.layers[candidate.layer]
    # Candidates are ranked higher-is-better; curves show the metric in its own direction.
    return {
        "layer": layer.name,
        "depth": layer.depth,
        "pool": candidate.pool,
        "setting": candidate.setting,
        "edge": candidate.edge,
        "val": metric(context.task.metric).sign * candidate.score,
    }


def _scores(task: Task, outcome: Mapping[str, np.ndarray], split: LabelledFeatures) -> dict[str, float]:
    return score(task, dict(outcome) if split.target is None else {**outcome, "target": split.target})
