"""Arms of fine-tuning over the toy suite, with masks, dense values and boxes, and a tiny ViT."""

from __future__ import annotations

from functools import partial

import numpy as np

from bench.core import RunKey, Task
from bench.finetuning.arm import Arm
from bench.input.recipe import match
from bench.networks.from_timm import load_vit
from bench.protocols import finetune
from bench.runs import plan as planning
from bench.runs.carry_out import carry_out
from bench.runs.context import FeatureReader, open_context
from tests.builders import sessions
from tests.builders.suite_and_model import BANDS, ToySplit, toy_entry, toy_suite

load_tiny = partial(
    load_vit, name="vit_tiny_patch16_224", pool="mean", img_size=16, patch_size=4, embed_dim=32, depth=4, num_heads=2,
    dynamic_img_size=True,
)  # fmt: skip


ENTRY = toy_entry(load=load_tiny, width=32, patch=4, taps=("block_1", "block_2", "block_3", "norm"))


QUICK = {"steps": 40, "learning_rates": (3e-3,), "batch": 12, "backbone_rate": 0.5, "evaluations": 4}


class Split(ToySplit):
    """The toy's images; masks say where the first band is bright, boxes where it is very bright."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        if self.task in ("mask", "height", "boxes"):
            rng = np.random.default_rng((5, int(self.numbers[index])))
            image = sample.images["s2"].copy()
            top, left = (int(4 * rng.integers(3)) for _ in range(2))
            image[:, 0] = rng.normal(1500, 50, image.shape[2:])
            image[:, 0, top : top + 8, left : left + 8] += 1500
            mask = np.zeros(image.shape[2:], np.int64)
            mask[top : top + 8, left : left + 8] = 1
            target = {
                "mask": np.where(np.arange(16)[:, None] == 0, -1, mask),
                "height": np.where(mask == 1, 30.0, 10.0).astype(np.float32),
                "boxes": {"boxes": np.array([[left, top, left + 8, top + 8]], np.float32), "labels": np.array([0])},
            }[self.task]
            sample = sample._replace(images={"s2": image}, target=target)
        return sample

    def targets(self):
        if self.task in ("mask", "boxes"):
            return np.ones((len(self), 1 if self.task == "boxes" else 2), bool)
        if self.task == "height":
            return np.stack([[self[i].target.mean()] for i in range(len(self))])
        return super().targets()


COUNTS = {"train": 48, "val": 24, "test": 24}


TASKS = {
    "kind": Task(name="kind", kind="classification", classes=("low", "middle", "high"), metric="accuracy"),
    "amount": Task(name="amount", kind="regression", quantity="amount", unit="t/ha", metric="r2"),
    "mask": Task(name="mask", kind="segmentation", classes=("off", "on"), metric="miou", ignore=-1),
    "height": Task(name="height", kind="dense_regression", quantity="height", unit="m", metric="rmse"),
    "boxes": Task(name="boxes", kind="detection", classes=("thing",), metric="box_map50"),
}


SUITE = toy_suite(
    tasks=tuple(TASKS.values()),
    splits=COUNTS,
    open=lambda root, task, split, bands: Split(task, split, COUNTS[split], bands),
)


def a_run(task="kind", *, protocol=finetune, entry=ENTRY, suite=SUITE, seed=0, **settings):
    chosen = next(each for each in suite.tasks if each.name == task)
    given = protocol.PROTOCOL.settings(**({**QUICK, **settings} if protocol is finetune else settings))
    (arms,) = protocol.PROTOCOL.arms(given, chosen)
    recipe = match(entry, suite, chosen, BANDS)
    key = RunKey(
        suite=suite.name, suite_version=1, split_hash="x", task=chosen.name, model=entry.name, model_version=1,
        weights="none", recipe=recipe.facts(), protocol=protocol.__name__.rpartition(".")[2],
        protocol_version=protocol.PROTOCOL.version_for(suite, chosen, recipe, arms),
        settings=arms.model_dump(mode="json") if protocol is finetune else {}, fraction=1.0, subset=0, seed=seed,
    )  # fmt: skip
    return planning.Run(
        key=key, entry=entry, task=chosen, recipe=recipe, protocol=protocol.PROTOCOL, settings=arms, layers=()
    )


def new_session(folder, suite=SUITE, **more):
    return sessions.new_session(folder, suite, **more)


def outcome(folder, *arguments, session=None, **settings):
    """Return the record and the arrays of a fine-tuning run that must succeed."""
    session = session or new_session(folder)
    record = carry_out(a_run(*arguments, **settings), session)
    assert record.status == "ok", record.error
    return record, session.store.arrays(record)


def a_workbench(folder, task="kind", suite=SUITE, **settings):
    """Return the workbench of a fine-tuning run."""
    return open_context(FeatureReader(a_run(task, suite=suite, **settings), new_session(folder, suite))).workbench


def an_arm(folder, task="kind", **settings):
    """Return the arm of a fine-tuning run."""
    context = open_context(FeatureReader(a_run(task, **settings), new_session(folder)))
    return Arm(context.task, context.workbench, settings=context.settings, seed=context.seed, device=context.device)
