"""Masks and values that follow the image exactly, and a network whose tokens are means of the pixels they cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import zoom

from bench.core import Layer, RunKey, Sample, Suite, Tap, Task
from bench.input.recipe import match
from bench.runs.plan import Run
from tests.builders.suite_and_model import BANDS, ToySplit, toy_entry, toy_suite

COUNTS = {"train": 24, "val": 12, "test": 12}
PATCH = 8
TASKS = {
    "mask": Task(name="mask", kind="segmentation", classes=("off", "on"), metric="miou", ignore=-1),
    "height": Task(name="height", kind="dense_regression", quantity="height", unit="m", metric="r2"),
    "before_after": Task(name="before_after", kind="change", classes=("kept", "lost"), metric="miou"),
    "boxes": Task(name="boxes", kind="detection", classes=("thing",), metric="box_map50"),
}


class SmoothSplit(ToySplit):
    """Images whose first band is high where a smooth random field is positive, which is also what is asked for."""

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng((7, int(self.numbers[index])))
        fields = [zoom(rng.normal(size=(5, 5)), 24, order=3)[: self.side, : self.side] > 0 for _ in range(2)]
        dates = fields if self.task == "before_after" else fields[:1]
        noise = rng.normal(1500, 50, (len(dates), self.side, self.side))
        image = np.stack([np.where(dates, 2500, 1500), noise], 1).astype(np.float32)
        target = {
            "mask": fields[0].astype(np.int64),
            "height": np.where(fields[0], 30, 10).astype(np.float32),
            "before_after": (fields[0] & ~fields[1]).astype(np.int64),
            "boxes": {"boxes": np.array([[3, 5, 40, 60]], np.float32), "labels": np.array([0])},
        }[self.task]
        return Sample(images={"s2": image}, target=target)

    def targets(self) -> np.ndarray:
        if self.task == "height":
            return np.stack([[self[i].target.mean()] for i in range(len(self))])
        return np.ones((len(self), 1 if self.task == "boxes" else 2), bool)


class Means(torch.nn.Module):
    """The mean of each band over each token."""

    layers = (Layer(name="embedding", channels=2, stride=PATCH, depth=1.0),)

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images, layers, *, when=None, where=None):
        grid = torch.nn.functional.avg_pool2d(images["s2"][:, 0], PATCH)
        return [Tap(grid, grid.mean((-2, -1))) for _ in layers]


ENTRY = toy_entry(load=lambda *given: Means(), image_size=64, patch=PATCH, width=2, depth=0)


def smooth_suite(task: str, side: int) -> Suite:
    def open_split(root: Path, name: str, split: str, bands) -> SmoothSplit:
        return SmoothSplit(name, split, COUNTS[split], bands, side=side)

    dates = 2 if task == "before_after" else 1
    return toy_suite(tasks=(TASKS[task],), splits=COUNTS, image_size=(side, side), dates=dates, open=open_split)


def smooth_run(task: str, side: int, protocol, entry=ENTRY, **settings) -> Run:
    suite = smooth_suite(task, side)
    arm = protocol.PROTOCOL.arms(protocol.Settings(**settings), TASKS[task])[0]
    recipe = match(entry, suite, TASKS[task], BANDS)
    key = RunKey(
        suite=suite.name, suite_version=1, split_hash="x", task=task, model=entry.name, model_version=1,
        weights="none", recipe=recipe.facts(), protocol=protocol.__name__.rpartition(".")[2], protocol_version=1,
        settings={}, fraction=1.0, subset=0, seed=0,
    )  # fmt: skip
    return Run(
        key=key, entry=entry, task=TASKS[task], recipe=recipe, protocol=protocol.PROTOCOL, settings=arm, layers=()
    )
