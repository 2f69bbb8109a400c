"""Simulated records with the structure of real ones, from a seeded simulation, and a source that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, r2_score

from bench.core import Record, RunKey
from bench.store import Fault

CLASSES = ("water", "forest", "crop", "grass", "bare", "built")


@dataclass
class MemorySource:
    """Records in memory, with the interface of `bench.store.Store`."""

    held: dict[str, tuple[Record, dict[str, np.ndarray]]] = field(default_factory=dict)

    def put(self, record: Record, arrays: dict[str, np.ndarray]) -> None:
        self.held[record.digest] = (replace(record, arrays=tuple(sorted(arrays))), arrays)

    def suites(self) -> list[str]:
        return sorted({record.key.suite for record, _ in self.held.values()})

    def records(self, suite: str | None = None) -> Iterator[Record]:
        for digest in sorted(self.held):
            record = self.held[digest][0]
            if suite in (None, record.key.suite):
                yield record

    def faults(self, suite: str | None = None) -> Sequence[Fault]:
        return []

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        return self.held[record.digest][1]


@dataclass(frozen=True)
class Model:
    """A simulated model: its skill, the depth of its best layer, and its facts."""

    name: str
    skill: float
    peak: float
    layers: int
    origin: str = "pretrained"
    objective: str = "reconstruction"
    parent: str = ""
    parameters: int = 20_000_000
    trained_on: str = "no"


MODELS = (
    Model("alder_base", 0.86, 0.65, 14, "pretrained", "joint-embedding", "", 86_000_000),
    Model("alder_base.random", 0.45, 0.1, 14, "random", "none", "alder_base", 86_000_000),
    Model("birch_small", 0.80, 0.5, 14, "pretrained", "reconstruction", "", 22_000_000, "yes"),
    Model("birch_small.random", 0.42, 0.1, 14, "random", "none", "birch_small", 22_000_000),
    Model("cedar_nano", 0.855, 0.75, 6, "pretrained", "multimodal", "", 800_000, "unknown"),
    Model("image_stats", 0.55, 0.0, 1, "baseline", "none", "", 0),
    Model("rcf", 0.62, 0.0, 1, "baseline", "none", "", 40_000),
)


@dataclass(frozen=True)
class TaskFacts:
    name: str
    kind: str
    metric: str
    label: str
    direction: str = "max"
    classes: tuple[str, ...] = ()
    quantity: str = ""
    unit: str = ""
    splits: tuple[tuple[str, int, int], ...] = (("test", 300, 60),)  # name, samples, blocks


TASKS = (
    TaskFacts("landcover", "classification", "accuracy", "accuracy", classes=CLASSES),
    TaskFacts("biomass", "regression", "rmse", "RMSE", "min", quantity="above-ground biomass", unit="t/ha"),
    TaskFacts(
        "water",
        "segmentation",
        "miou",
        "mIoU",
        classes=("land", "water"),
        splits=(("test", 90, 11), ("bolivia", 15, 15)),
    ),
)
LABELS = TaskFacts("tags", "multilabel", "map", "micro mAP", classes=CLASSES)


def _rng(*words: object) -> np.random.Generator:
    return np.random.default_rng([sum(map(ord, str(word))) * 7919 + len(str(word)) for word in words])


def _quality(model: Model, layer: int, fraction: float, subset: int) -> float:
    """Skill of a layer in 0..1: a hump over depth, lower with fewer labels, with noise per subset."""
    depth = layer / max(1, model.layers - 1)
    hump = 1 - 0.35 * (depth - model.peak) ** 2
    luck = 0.01 * _rng(model.name, fraction, subset).standard_normal()
    return float(np.clip(model.skill * hump * (0.9 + 0.1 * fraction) + luck, 0.02, 0.98))


def _target(task: TaskFacts, split: str, n: int, blocks: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = _rng(task.name, split)
    names = {
        f"{split}.ids": np.array([f"{split}_{i:04d}" for i in range(n)]),
        f"{split}.blocks": np.array([f"scene_{i * blocks // n:03d}" for i in range(n)]),
    }
    if task.kind == "classification":
        return rng.integers(0, len(task.classes), n).astype(np.int16), names
    if task.kind == "multilabel":
        return (rng.random((n, len(task.classes))) < 0.3).astype(np.int8), names
    if task.kind == "regression":
        return (120 + 60 * rng.standard_normal((n, 1))).astype(np.float32), names
    return rng.integers(200, 1800, n), names  # water pixels of each chip


def _predict(task: TaskFacts, target: np.ndarray, quality: float, noise: np.random.Generator) -> np.ndarray:
    n = len(target)
    if task.kind == "classification":
        right = noise.random(n) < quality
        wrong = (target + noise.integers(1, len(task.classes), n)) % len(task.classes)
        return np.where(right, target, wrong).astype(np.int16)
    if task.kind == "multilabel":
        return (0.5 * quality * target + 0.6 * noise.random(target.shape)).astype(np.float32)
    if task.kind == "regression":
        return (target + 60 * (1 - quality) * noise.standard_normal(target.shape)).astype(np.float32)
    missed = np.round(target * (1 - quality) * noise.uniform(0.5, 1, n)).astype(np.int64)
    false = np.round((2000 - target) * (1 - quality) * noise.uniform(0, 0.3, n)).astype(np.int64)
    return np.stack([np.stack([2000 - target - false, false], -1), np.stack([missed, target - missed], -1)], 1)


def scores_of(task: TaskFacts, prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Scores of one layer by scikit-learn, or by hand for masks."""
    if task.kind == "classification":
        f1 = float(f1_score(target, prediction, average="macro"))
        return {"accuracy": float(accuracy_score(target, prediction)), "macro_f1": f1}
    if task.kind == "multilabel":
        return {"map": float(average_precision_score(target.ravel(), prediction.ravel()))}
    if task.kind == "regression":
        error = prediction.astype(float) - target
        return {"rmse": float(np.sqrt((error**2).mean())), "r2": float(r2_score(target, prediction))}
    (a, b), (c, d) = prediction.sum(0)
    return {"miou": float((a / (a + b + c) + d / (b + c + d)) / 2), "pixel_accuracy": float((a + d) / (a + b + c + d))}


def make(
    model: Model,
    task: TaskFacts,
    *,
    suite: str = "orchard",
    protocol: str = "probe",
    fraction: float = 1.0,
    subset: int = 0,
    seed: int = 0,
    **changes: Any,
) -> tuple[Record, dict[str, np.ndarray]]:
    """One simulated run; `changes` go into its key."""
    key = RunKey(
        **{
            "suite": suite,
            "suite_version": 1,
            "split_hash": "5f" * 32,
            "task": task.name,
            "model": model.name,
            "model_version": 1,
            "weights": "random" if model.origin == "random" else "ab" * 32,
            "recipe": {
                "bands": ["s2.b04<s2.b04:uint8>reflectance", "s2.b08<absent:>reflectance"],
                "size": [64, 64],
                "normalise": "affine",
                "absent": "zero",
            },
            "protocol": protocol,
            "protocol_version": 1,
            "settings": {},
            "fraction": fraction,
            "subset": subset,
            "seed": seed,
        }
        | changes
    )
    names = ["embedding", *(f"block_{i}" for i in range(1, model.layers - 1)), "norm"] if model.layers > 1 else ["all"]
    quality = [_quality(model, layer, fraction, subset) for layer in range(model.layers)]
    if protocol == "knn":
        quality = [0.93 * value for value in quality]
    arrays: dict[str, np.ndarray] = {}
    layers: dict[str, list[dict[str, float]]] = {}
    for split, n, blocks in (("val", 200, 40), *task.splits):
        target, held = _target(task, split, n, blocks)
        noise = _rng(task.name, split, model.name, protocol, fraction, subset, seed)
        predicted = np.stack(
            [_predict(task, target, value * (0.85 if split == "bolivia" else 1), noise) for value in quality]
        )
        layers[split] = [scores_of(task, layer, target) for layer in predicted]
        if split == "val":
            continue
        if task.kind == "classification":
            sure = _rng(task.name, split, model.name, "confidence").random(predicted.shape)
            arrays[f"{split}.confidence"] = (0.5 + 0.5 * np.sqrt(sure)).astype(np.float16)
        if task.kind == "segmentation":
            arrays |= held | {f"{split}.confusion": predicted}
        else:
            arrays |= held | {f"{split}.prediction": predicted, f"{split}.target": target}
    ends = max(1, model.layers - 2)
    curves = [
        {
            "layer": name,
            "depth": min(1.0, i / ends) if model.layers > 1 else 1.0,
            "pool": "mean" if i % 2 else "cls",
            "setting": 0.1,
            "edge": False,
            **{split: values[i][task.metric] for split, values in layers.items()},
        }
        for i, name in enumerate(names)
    ]
    sign = -1 if task.direction == "min" else 1
    best = max(range(model.layers), key=lambda i: sign * curves[i]["val"])
    rules = {"last": model.layers - 1, "best-on-val": best}
    choices = {
        rule: {"index": i, **{name: curves[i][name] for name in ("layer", "pool", "setting", "val", "edge")}}
        for rule, i in rules.items()
    }
    facts = {
        "title": "Orchard, a simulated suite",
        "kind": task.kind,
        "metric": task.metric,
        "metric_label": task.label,
        "direction": task.direction,
        "classes": list(task.classes),
        "quantity": task.quantity,
        "unit": task.unit,
        "generated": suite == "orchard",
        "origin": model.origin,
        "objective": model.objective,
        "parent": model.parent,
        "parameters": model.parameters,
        "licence": "Apache-2.0",
        "reference": "arXiv:0000.00000",
        "input": "s2: b04 b08 at 64x64, affine, zero for s2.b08",
        "suite_licence": "CC0-1.0",
        "suite_notes": "Simulated outcomes; no image was ever looked at.",
        "trained_on_this": model.trained_on,
        "depth": max(0, model.layers - 2),
        "n_test": task.splits[0][1],
        "n_train": round(900 * fraction),
    }
    record = Record(
        key=key,
        status="ok",
        facts=facts,
        choices=choices,
        curves=curves,
        scores={s: {r: layers[s][i] for r, i in rules.items()} for s, _, _ in task.splits},
        cost={"seconds": 3.2},
        environment={"geobench_run": "0.1.0", "command": f"geobench-run suite={suite}"},
    )
    return record, arrays


TREES = TaskFacts("trees", "detection", "box_map", "box mAP", classes=("palm", "pine"), splits=(("test", 24, 8),))


def make_arm(
    model: Model,
    task: TaskFacts,
    *,
    decoder: str = "linear",
    tuning: str = "frozen",
    taps: str = "last",
    seed: int = 0,
    fraction: float = 1.0,
    panels: bool = True,
    **changes: Any,
) -> tuple[Record, dict[str, np.ndarray]]:
    """One simulated fine-tuned run, as `bench.protocols.finetune` leaves it."""
    arm = {"decoder": decoder, "tuning": tuning, "taps": taps}
    usual = {"tuning": "frozen", "taps": "last"}
    settings = {f"{name}s" if name == "decoder" else name: [v] for name, v in arm.items() if v != usual.get(name)}
    better = {"linear": 0.0, "upernet": 0.03}.get(decoder, 0.01) + {"full": 0.05, "lora": 0.03}.get(tuning, 0.0)
    shallow = replace(model, layers=1, peak=0.0, skill=min(0.97, model.skill + better))
    luck = 0.005 * _rng(model.name, decoder, tuning, taps, seed).standard_normal()
    shallow = replace(shallow, skill=shallow.skill + luck)
    if task.kind == "detection":
        record, arrays = _detector(shallow, task, seed, fraction)
    else:
        record, arrays = make(shallow, task, fraction=fraction, seed=seed)
    key = replace(record.key, **({"protocol": "finetune", "settings": settings} | changes))
    scores = {split: {taps: next(iter(each.values()))} for split, each in record.scores.items()}
    choice = {"index": 0, "layer": "block_6 block_12", "pool": decoder, "setting": 1e-3, "edge": False, "val": 0.5}
    rates, evaluations = 3, 6
    step = np.broadcast_to(np.arange(1, evaluations + 1) * 20.0, (rates, evaluations))
    loss = np.exp(-step / 60) + 0.1 * np.arange(1, rates + 1)[:, None]
    history = np.stack([step, loss, shallow.skill * (1 - loss / 3)], axis=-1).astype(np.float32)
    history[2, 4:] = np.nan  # an early stop
    arrays = arrays | {"history": history} | (panel(task) if panels else {})
    cost = {"seconds": 40.0, "step_seconds": 0.1, "flops": 50.0 * model.parameters, "trained_parameters": 5e4}
    return replace(
        record,
        key=key,
        facts=dict(record.facts) | {"arm": arm, "parameters": model.parameters, "depth": model.layers - 2},
        scores=scores,
        choices={taps: choice | {"step": 80}},
        curves=(),
        cost=cost,
    ), arrays


def _detector(model: Model, task: TaskFacts, seed: int, fraction: float) -> tuple[Record, dict[str, np.ndarray]]:
    """A record of boxes: some of the true boxes with noise, and false ones."""
    from bench.metrics.boxes import average_precision, matched

    base, _ = make(model, LABELS, fraction=fraction, seed=seed)
    name, n, blocks = task.splits[0]
    rng = _rng(task.name, model.name, seed, fraction)
    target, predicted = [], []
    for _ in range(n):
        corner = rng.uniform(0, 40, (int(rng.integers(0, 5)), 2))
        true = np.concatenate([corner, corner + rng.uniform(8, 20, corner.shape)], 1)
        kind = rng.integers(0, len(task.classes), len(true))
        hits = rng.random(len(true)) < model.skill
        wild = rng.uniform(0, 40, (2, 2))
        near = true[hits] + rng.normal(0, 0.5, true[hits].shape)
        target.append({"boxes": true, "labels": kind})
        predicted.append(
            {
                "boxes": np.concatenate([near, np.concatenate([wild, wild + 10], 1)]),
                "scores": np.concatenate([0.4 + 0.6 * rng.random(len(near)), 0.6 * rng.random(2)]),
                "labels": np.concatenate([kind[hits], rng.integers(0, len(task.classes), 2)]),
            }
        )
    detected, truth = matched(predicted, target, len(task.classes))
    values = average_precision(detected, truth)
    facts = {"kind": task.kind, "metric": task.metric, "metric_label": task.label, "classes": list(task.classes)}
    record = replace(
        base,
        key=replace(base.key, task=task.name),
        facts=dict(base.facts) | facts | {"n_test": n},
        scores={name: {"last": values}},
    )
    arrays = {f"{name}.detected": detected[None], f"{name}.truth": truth}
    arrays[f"{name}.ids"] = np.array([f"{name}_{i}" for i in range(n)])
    arrays[f"{name}.blocks"] = np.array([f"scene_{i * blocks // n}" for i in range(n)])
    return record, arrays


def panel(task: TaskFacts, images: int = 6, side: int = 48) -> dict[str, np.ndarray]:
    """Test images with truth and prediction, as `bench.finetuning.panels.kept_images` keeps them."""
    rng = _rng(task.name, "panel")
    rows, columns = np.mgrid[:side, :side]
    waves = np.stack([np.sin((rows * (i + 1) + columns) / 9) for i in range(images)])
    image = np.stack([(waves * 0.5 + 0.5) * 200 + 20 * channel for channel in range(3)], axis=1).clip(0, 255)
    arrays = {
        "panel.rows": np.arange(images),
        "panel.error": np.linspace(0.9, 0.05, images).astype(np.float32),
        "panel.image": image.astype(np.uint8),
    }
    if task.kind == "detection":
        corner = rng.uniform(0, 30, (3 * images, 2))
        place = np.repeat(np.arange(images), 3)
        true = np.concatenate([corner, corner + 12], 1)
        code = rng.integers(0, len(task.classes), 3 * images)
        both = [
            np.column_stack([place, true, np.full(len(true), -1.0), code]),
            np.column_stack([place, true + 2, rng.random(len(true)), code]),
        ]
        return arrays | {"panel.boxes": np.concatenate(both).astype(np.float32)}
    if task.kind == "segmentation":
        truth = (waves > 0.2).astype(np.int64)
        predicted = (waves > np.linspace(0.8, 0.2, images)[:, None, None]).astype(np.int16)
        return arrays | {"panel.target": truth, "panel.prediction": predicted}
    if task.kind == "regression":
        return arrays | {"panel.target": rng.random((images, 1)), "panel.prediction": rng.random((images, 1))}
    target = rng.integers(0, len(task.classes), images)
    return arrays | {"panel.target": target, "panel.prediction": (target + (np.arange(images) < 3)) % len(task.classes)}


def nursery() -> MemorySource:
    """Fine-tuned arms in a balanced design, on masks and boxes and classes: models x decoders x tuning x seeds."""
    source = MemorySource()
    for task in (TASKS[0], TASKS[2]):
        for model in (MODELS[0], MODELS[2], MODELS[4], MODELS[5]):
            source.put(*make(model, task))
            for decoder in ("linear", "upernet"):
                for tuning in ("frozen", "full"):
                    for seed in range(3):
                        source.put(*make_arm(model, task, decoder=decoder, tuning=tuning, seed=seed))
    for model in MODELS[0], MODELS[2], MODELS[4]:
        source.put(*make_arm(model, TREES, decoder="fcos", tuning="full"))
    return source


def orchard() -> MemorySource:
    """A whole suite: three kinds of task, two fractions, three subsets of the small one, twins, one failed run."""
    source = MemorySource()
    for task in TASKS:
        for model in MODELS:
            for fraction, subset in ((0.1, 0), (0.1, 1), (0.1, 2), (1.0, 0)):
                source.put(*make(model, task, fraction=fraction, subset=subset))
            if task.kind == "classification":
                source.put(*make(model, task, protocol="knn"))
    failed, _ = make(Model("dogwood_base", 0.8, 0.5, 14), TASKS[0])
    source.put(
        replace(failed, status="failed", scores={}, choices={}, curves=(), error="ValueError: block_3 is NaN"), {}
    )
    return source
