"""Linear probe of every layer: logistic regression, ridge, or batch norm + linear on tokens; last layer and best layer.

One pass of the backbone serves every layer, pool and setting. The setting and pool of each layer, and the layer, are
chosen on validation; test splits are opened after that. The rule ``last`` is linear probing as papers report it;
``best-on-val`` is the layer with the best validation score.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, field_validator

from bench.config import Settings as Root
from bench.core import ModelEntry, Outcome, Suite, Task
from bench.core.errors import Incompatible
from bench.features.labelled import POOLS, LabelledFeatures, pools_of
from bench.features.work import Job, Work
from bench.input.recipe import InputRecipe
from bench.metrics import (
    METRICS,
    auroc,
    boundary_f1,
    classification,
    dense_regression,
    multilabel,
    regression,
    segmentation,
)
from bench.protocols.contract.context import Context
from bench.protocols.contract.protocol import Protocol
from bench.protocols.contract.selection import Candidate, choose, report_choice

if TYPE_CHECKING:
    from torch import Tensor

    from bench.probes.dense import DenseFit
    from bench.probes.pooled import LogisticPath, RidgePath

GROUP_BYTES = 1 << 30  # features of this size are fitted in one batch


class Settings(Root):
    """Settings of the probe.

    Attributes:
        pools: image vectors to choose among; ``both`` joins mean and class token, ``own`` is the authors' vector.
        c: inverse strengths of the L2 penalty of logistic regression, on the scale of scikit-learn.
        alpha: strengths of the L2 penalty of ridge regression on standardised features.
        learning_rates: of the dense probe; each is trained for the same number of steps.
        steps: training steps of the dense probe, the same at every label fraction.
        batch: images per step of the dense probe.
    """

    pools: tuple[str, ...] = Field(POOLS, min_length=1)
    c: tuple[float, ...] = tuple(float(f"{10**e:.6g}") for e in np.linspace(-6, 4, 21))
    alpha: tuple[float, ...] = tuple(float(f"{10**e:.6g}") for e in np.linspace(-4, 8, 25))
    learning_rates: tuple[float, ...] = (1e-2, 3e-2, 1e-1, 3e-1)
    steps: int = Field(100, ge=1)
    batch: int = Field(8, ge=1)

    @field_validator("pools")
    @classmethod
    def _pools(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [pool for pool in value if pool not in POOLS]:
            raise ValueError(f"no pool {unknown[0]!r}; known: {', '.join(POOLS)}")
        return value

    @field_validator("c", "alpha", "learning_rates")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(strength <= 0 for strength in value):
            raise ValueError("needs one or more positive numbers")
        return tuple(sorted(value))


def work(job: Job, settings: Settings) -> Work:
    """Return what a run does: fits of every layer, scored on validation at every setting and on test at one."""
    train, val = job.images["train"], job.images["val"]
    if job.task.dense:
        trained = 3 * settings.steps * min(settings.batch, train) * len(settings.learning_rates)
        scored = len(settings.learning_rates) * val + job.tested
        steps, head = settings.steps * job.layers, (trained + scored) * job.layers * job.head()
    else:
        grid = settings.c if job.task.classes else settings.alpha
        fits = len(grid) * job.layers * len(settings.pools)
        iterations = 30 if job.task.classes else 1
        steps, head = fits, fits * (iterations * train + val + job.tested) * job.head()
    return Work(splits=tuple(job.images), steps=steps, head=head)


def refuses(entry: ModelEntry, suite: Suite, task: Task, settings: Settings) -> str:
    """Return why this entry cannot be probed on this task, or ``""``."""
    return f"there is no linear probe of {task.kind}" if task.kind == "detection" else ""


def run(context: Context) -> Outcome:
    """Return the outcome of probing every layer.

    Arrays: ``<split>.prediction`` (L, n) classes, (L, n, K) label probabilities or (L, n, q) values;
    ``<split>.confidence`` (L, n) of the predicted class; ``<split>.confusion`` (L, n, K, K) for masks;
    ``<split>.errors`` (L, n, 5) for dense values; with
    ``<split>.target``, ``.ids`` and ``.blocks``.
    """
    return _dense(context) if context.task.dense else _pooled(context)


def _groups(context: Context, train: LabelledFeatures) -> Iterator[list[tuple[int, str]]]:
    """Yield (layer, pool) pairs of one width, as many at a time as fit in memory."""
    pairs: dict[int, list[tuple[int, str]]] = {}
    for index, layer in enumerate(context.layers):
        for pool in pools_of(train.features, layer.name, context.settings.pools):
            parts = ("mean", "cls") if pool == "both" else (pool,)
            width = sum(train.features[f"{layer.name}.{part}"].shape[1] for part in parts)
            pairs.setdefault(width, []).append((index, pool))
    if not pairs:
        raise Incompatible(f"no layer has any of the pools {', '.join(context.settings.pools)}")
    for width, members in pairs.items():
        most = max(1, GROUP_BYTES // (8 * width * max(1, len(train.rows))))
        for start in range(0, len(members), most):
            yield members[start : start + most]


def _stack(context: Context, split: LabelledFeatures, members: Sequence[tuple[int, str]]) -> Tensor:
    import torch

    arrays = [split.vectors(context.layers[index].name, pool) for index, pool in members]
    return torch.from_numpy(np.stack(arrays)).to(context.device)


def _pooled(context: Context) -> Outcome:
    import torch

    from bench.probes.pooled import pick, predict, standardise

    train, val = context.open("train"), context.open("val")
    start = time.perf_counter()  # after the passes that opening may make
    candidates: list[Candidate] = []
    fits: dict[tuple[int, str], tuple[Tensor, Tensor, LogisticPath | RidgePath]] = {}
    count = 0
    for members in _groups(context, train):
        x, v = _stack(context, train, members), _stack(context, val, members)
        mean, scale = standardise(x)
        path, grid = _fit(context, (x - mean) / scale, train)
        for place, (index, pool) in enumerate(members):
            standard = (v[place] - mean[place]) / scale[place]
            outputs = predict(pick(path, place), standard[None])[0].cpu().numpy()  # (settings, n, K)
            scored = [_score(context.task, output, val.target) for output in outputs]
            mine = [
                Candidate(layer=index, pool=pool, setting=grid[i], edge=i in (0, len(grid) - 1), score=s, loss=loss)
                for i, (s, loss) in enumerate(scored)
            ]
            best = max(range(len(mine)), key=lambda i: mine[i].rank)
            candidates.append(mine[best])
            fits[index, pool] = mean[place], scale[place], pick(path, place, best)
            count += len(grid)
    choice = choose(candidates, len(context.layers))
    seconds = time.perf_counter() - start

    def raw_outputs(split: LabelledFeatures, candidate: Candidate) -> np.ndarray:
        mean, scale, fit = fits[candidate.layer, candidate.pool]
        values = torch.from_numpy(split.vectors(context.layers[candidate.layer].name, candidate.pool)).to(mean.device)
        outputs: np.ndarray = predict(fit, ((values - mean) / scale)[None])[0, 0].cpu().numpy()
        return outputs

    def outcome(split: LabelledFeatures, candidate: Candidate) -> Mapping[str, np.ndarray]:
        return _outcome(context.task, raw_outputs(split, candidate))

    def area(split: LabelledFeatures, candidate: Candidate) -> Mapping[str, float]:
        assert split.target is not None
        return {"auroc": auroc(np.exp(_log_softmax(raw_outputs(split, candidate))), split.target)}

    return report_choice(
        context,
        choice,
        outcome,
        further=area if context.task.kind == "classification" else None,
        notes=[*train.notes, *val.notes, *_absent(context.task, train)],
        cost={"fits": float(count), "fit_seconds": seconds},
    )


def _fit(context: Context, x: Tensor, train: LabelledFeatures) -> tuple[LogisticPath | RidgePath, tuple[float, ...]]:
    """Return the fits of every problem (P, n, D) at every setting, and the grid of settings."""
    import torch

    from bench.probes.pooled import fit_logistic, fit_ridge, fit_sigmoid

    settings: Settings = context.settings
    target = torch.as_tensor(train.target).to(context.device)
    if context.task.kind == "classification":
        return fit_logistic(x, target.long(), classes=len(context.task.classes), c=settings.c), settings.c
    if context.task.kind == "multilabel":
        return fit_sigmoid(x, target.float(), c=settings.c), settings.c
    return fit_ridge(x, target.double(), alphas=settings.alpha), settings.alpha


def _score(task: Task, outputs: np.ndarray, target: np.ndarray | None) -> tuple[float, float]:
    """Return (validation score, higher is better; validation loss) of one candidate's outputs (n, K)."""
    assert target is not None
    if task.kind == "regression":
        errors = regression(outputs, target)
        return METRICS[task.metric].sign * errors[task.metric], errors["rmse"]
    if task.kind == "multilabel":
        loss = float(np.mean(np.logaddexp(0, outputs) - target * outputs))
        return multilabel(_sigmoid(outputs), target)[task.metric], loss
    predicted = outputs.argmax(1)
    if task.metric == "accuracy":
        score = float((predicted == target).mean())
    else:
        score = classification(predicted, target, len(task.classes))[task.metric]
    # A class the subset lacks has logit -inf; its true samples would make every loss infinite and equal.
    own = np.maximum(_log_softmax(outputs)[np.arange(len(target)), target], -100.0)
    return score, float(-own.mean())


def _outcome(task: Task, outputs: np.ndarray) -> dict[str, np.ndarray]:
    if task.kind == "classification":
        chance = np.exp(_log_softmax(outputs))
        return {
            "prediction": outputs.argmax(1).astype(np.int16),
            "confidence": chance.max(1).astype(np.float16),
        }
    return {"prediction": (_sigmoid(outputs) if task.kind == "multilabel" else outputs).astype(np.float32)}


def _log_softmax(outputs: np.ndarray) -> np.ndarray:
    shifted = outputs - outputs.max(1, keepdims=True)
    with np.errstate(divide="ignore"):
        result: np.ndarray = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result


def _sigmoid(outputs: np.ndarray) -> np.ndarray:
    result: np.ndarray = 0.5 * (1 + np.tanh(0.5 * outputs))
    return result


def _absent(task: Task, train: LabelledFeatures) -> list[str]:
    if task.kind != "classification" or train.target is None:
        return []
    missing = [task.classes[k] for k in range(len(task.classes)) if not (train.target == k).any()]
    return [f"train: no sample of {', '.join(missing)}"] if missing else []


def _alike(context: Context, train: LabelledFeatures) -> Iterator[list[int]]:
    """Yield the layers of one grid shape, as many at a time as a step's tokens fit in memory."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, layer in enumerate(context.layers):
        shapes.setdefault(train.features[f"{layer.name}.grid"].shape[1:], []).append(index)
    for shape, members in shapes.items():
        most = max(1, GROUP_BYTES // (8 * context.settings.batch * int(np.prod(shape))))
        for start in range(0, len(members), most):
            yield members[start : start + most]


def _sums(context: Context, fit: DenseFit, layer: int, split: LabelledFeatures) -> np.ndarray:
    """Return the sums that scores are computed from, per head and image: (R, n, K, K) confusions, (R, n, 5) errors."""
    import torch

    from bench.metrics.pixel_sums import confusion_counts, error_sums

    masks, valued, parts = split.features["mask"], context.task.kind == "dense_regression", []
    for places, outputs in _outputs(context, fit, layer, split):
        labels = np.asarray(masks[split.rows[places]], np.float32 if valued else np.int64)
        target = torch.from_numpy(labels).to(outputs.device)
        if valued:
            parts.append(error_sums(outputs[:, :, 0], target, fit.centre))
        else:
            classes = len(context.task.classes)
            parts.append(confusion_counts(outputs.argmax(2), target, classes, context.task.ignore))
    return np.moveaxis(torch.cat(parts).cpu().numpy(), 1, 0)


def _outputs(
    context: Context, fit: DenseFit, layer: int, split: LabelledFeatures
) -> Iterator[tuple[np.ndarray, Tensor]]:
    from bench.probes.dense import dense_outputs

    grids = split.features[f"{context.layers[layer].name}.grid"]
    size = split.features["mask"].shape[1:]
    return dense_outputs(fit, grids, size, rows=split.rows, extent=split.extent, device=context.device)


def _boundary_f1(context: Context, fit: DenseFit, layer: int, split: LabelledFeatures) -> dict[str, float]:
    """Return the boundary F1 of the first head."""
    import torch

    from bench.metrics.boundaries import boundary_counts

    masks, counts = split.features["mask"], []
    for places, outputs in _outputs(context, fit, layer, split):
        target = torch.from_numpy(np.asarray(masks[split.rows[places]], np.int64))
        prediction = outputs[:, 0].argmax(1).cpu()
        counts.append(boundary_counts(prediction, target, len(context.task.classes), context.task.ignore))
    return {"boundary_f1": boundary_f1(torch.cat(counts).numpy())}


def _dense(context: Context) -> Outcome:
    import torch

    from bench.probes.dense import fit_dense

    settings: Settings = context.settings
    train, val = context.open("train"), context.open("val")
    start = time.perf_counter()  # after the passes that opening may make
    valued, rates = context.task.kind == "dense_regression", settings.learning_rates
    scores = dense_regression if valued else segmentation
    fits: dict[int, DenseFit] = {}
    for indices in _alike(context, train):
        fitted = fit_dense(
            [train.features[f"{context.layers[i].name}.grid"] for i in indices],
            train.features["mask"],
            rows=train.rows,
            classes=0 if valued else len(context.task.classes),
            ignore=context.task.ignore,
            learning_rates=rates,
            steps=settings.steps,
            batch=settings.batch,
            # Every layer sees the same batches in the same order.
            generator=torch.Generator().manual_seed(context.seed),
            extent=train.extent,
            device=context.device,
        )
        fits.update(zip(indices, fitted, strict=True))
    candidates: list[Candidate] = []
    for index, fit in sorted(fits.items()):
        for i, sums in enumerate(_sums(context, fit, index, val)):
            value = METRICS[context.task.metric].sign * scores(sums)[context.task.metric]
            edge = i in (0, len(rates) - 1)
            candidates.append(Candidate(layer=index, pool="grid", setting=rates[i], edge=edge, score=value))
    choice = choose(candidates, len(context.layers))
    seconds = time.perf_counter() - start

    def chosen(candidate: Candidate) -> DenseFit:
        return fits[candidate.layer].select(rates.index(candidate.setting))

    def predict(split: LabelledFeatures, candidate: Candidate) -> Mapping[str, np.ndarray]:
        sums = _sums(context, chosen(candidate), candidate.layer, split)
        return {"errors" if valued else "confusion": sums[0]}

    def edges(split: LabelledFeatures, candidate: Candidate) -> Mapping[str, float]:
        return _boundary_f1(context, chosen(candidate), candidate.layer, split)

    return report_choice(
        context,
        choice,
        predict,
        further=None if valued else edges,
        notes=[*train.notes, *val.notes],
        cost={"fits": float(len(candidates)), "fit_seconds": seconds},
    )


def version_of(suite: Suite, task: Task, recipe: InputRecipe, settings: Settings) -> int:
    """Return the version of a run.

    Version 2 has learning rates of the dense probe from 0.01 to 0.3. Version 3 places tokens where their pixels lie in
    images that are padded to whole tokens; version 2 stretched their grid to the label. No other run changed.
    """
    return 3 if task.dense and recipe.pads(suite.image_size) else 2


PROTOCOL = Protocol(
    version=3,
    version_of=version_of,
    settings=Settings,
    refuses=refuses,
    run=run,
    work=work,
)
