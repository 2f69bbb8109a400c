"""Nearest neighbours by cosine similarity on every layer: nothing is fitted, so scores depend on features alone."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from pydantic import Field, field_validator

from bench.config import Settings as Root
from bench.core import ModelEntry, Outcome, Suite, Task
from bench.core.errors import Incompatible
from bench.features.labelled import POOLS, LabelledFeatures, pools_of
from bench.features.work import Job, Work
from bench.metrics import METRICS, classification, multilabel, regression
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol
from bench.protocols.contract.selection import Candidate, choose, report_choice


class Settings(Root):
    """Settings of the nearest-neighbour classifier and regressor.

    Attributes:
        pools: image vectors to choose among.
        k: numbers of neighbours to choose among; those above the number of training samples are left out.
    """

    pools: tuple[str, ...] = Field(POOLS, min_length=1)
    k: tuple[int, ...] = (1, 5, 20)

    @field_validator("pools")
    @classmethod
    def _pools(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [pool for pool in value if pool not in POOLS]:
            raise ValueError(f"no pool {unknown[0]!r}; known: {', '.join(POOLS)}")
        return value

    @field_validator("k")
    @classmethod
    def _counts(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("needs one or more counts of at least 1")
        return tuple(sorted(value))


def work(job: Job, settings: Settings) -> Work:
    """Return what a run does: every sample of the other splits is compared with every training sample."""
    compared = job.images["train"] * (job.images["val"] + job.tested)
    head = float(compared * job.width * job.layers * len(settings.pools))
    return Work(splits=tuple(job.images), head=head)


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why this entry cannot be scored by nearest neighbours on this task, or ``""``."""
    return "neighbours are defined for image-level targets, not for pixels and boxes" if task.dense else ""


def run(context: Context) -> Outcome:
    """Return the outcome of k nearest neighbours on every layer; arrays as in `bench.protocols.probe`."""
    train, val = context.open("train"), context.open("val")
    start = time.perf_counter()  # after the passes that opening may make
    counts = tuple(k for k in context.settings.k if k <= len(train.rows))
    if not counts:
        raise Incompatible(f"k={context.settings.k} neighbours cannot be had of {len(train.rows)} training samples")
    candidates = []
    for index, layer in enumerate(context.layers):
        for pool in pools_of(train.features, layer.name, context.settings.pools):
            for k, predicted in _neighbours(context, train, val, layer.name, pool, counts).items():
                edge = len(counts) > 1 and k in (counts[0], counts[-1])
                score = _score(context.task, predicted, val)
                candidates.append(Candidate(layer=index, pool=pool, setting=float(k), edge=edge, score=score))
    choice = choose(candidates, len(context.layers))
    seconds = time.perf_counter() - start

    def predict(split: LabelledFeatures, candidate: Candidate) -> Mapping[str, np.ndarray]:
        k = int(candidate.setting)
        name = context.layers[candidate.layer].name
        return {"prediction": _neighbours(context, train, split, name, candidate.pool, (k,))[k]}

    return report_choice(context, choice, predict, notes=[*train.notes, *val.notes], cost={"fit_seconds": seconds})


def _neighbours(
    context: Context, train: LabelledFeatures, query: LabelledFeatures, layer: str, pool: str, counts: tuple[int, ...]
) -> dict[int, np.ndarray]:
    """Return the prediction (n,) or (n, K) for each number of neighbours."""
    import torch

    from bench.probes.pooled import knn

    assert train.target is not None
    x = torch.from_numpy(train.vectors(layer, pool)).to(context.device).unsqueeze(0)
    q = torch.from_numpy(query.vectors(layer, pool)).to(context.device).unsqueeze(0)
    classified = context.task.kind == "classification"
    y = torch.as_tensor(train.target, device=context.device)
    y = y.long() if classified else y.float()
    votes = knn(x, y, q, k=counts, classes=len(context.task.classes) if classified else None)
    kind = np.int16 if classified else np.float32
    return {k: votes[0, i].cpu().numpy().astype(kind) for i, k in enumerate(counts)}


def _score(task: Task, predicted: np.ndarray, val: LabelledFeatures) -> float:
    assert val.target is not None
    if task.kind == "regression":
        return METRICS[task.metric].sign * regression(predicted, val.target)[task.metric]
    if task.kind == "multilabel":
        return multilabel(predicted, val.target)[task.metric]
    return classification(predicted, val.target, len(task.classes))[task.metric]


PROTOCOL = Protocol(
    version=1,
    settings=Settings,
    refuses=refuses,
    run=run,
    work=work,
)
