"""An epoch of distillation from stored outputs of the teacher against computing them, and a step against a bare loop.

python tests/benchmarks/bench_distill.py [--rounds 4]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.core import Band, Normalise, Sample, Structure, Task
from bench.finetuning.arm import Arm
from bench.finetuning.fit import batches_of
from bench.finetuning.loop import _step
from bench.finetuning.trained import Trained
from bench.finetuning.tuning import parameter_groups
from bench.foundry.contract.resolved import Parent
from bench.foundry.contract.workbench import TaskData
from bench.foundry.distillation.carry_out import objective, student_arm
from bench.foundry.distillation.objective import Distillation
from bench.foundry.distillation.settings import DistillSettings
from bench.foundry.distillation.students import Student
from bench.foundry.distillation.teacher import Teacher, arm_for
from bench.input.splits import Splits
from bench.networks.from_timm import load_vit
from tests.builders.suite_and_model import toy_entry, toy_suite

BANDS = tuple(Band(name=f"rgb.{name}", unit="uint8") for name in ("red", "green", "blue"))
TASK = Task(name="kind", kind="classification", classes=("left", "right"), metric="accuracy")
COUNT, SIDE, BATCH = 32, 224, 8
ENTRY = toy_entry(
    name="vit_small",
    bands=BANDS,
    normalise=Normalise(kind="affine", shift=(128.0,) * 3, scale=(64.0,) * 3),
    image_size=SIDE,
    patch=16,
    depth=12,
    width=384,
    load=partial(load_vit, name="vit_small_patch16_224", pool="mean"),
)


class Pictures:
    """Noise in two classes."""

    def __init__(self, split: str) -> None:
        self.ids = [f"{split}_{number}" for number in range(COUNT)]
        self.blocks = self.ids

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Sample:
        pixels = np.random.default_rng(index).uniform(0, 255, (1, 3, SIDE, SIDE)).astype(np.float32)
        return Sample(images={"rgb": pixels}, target=index % 2)

    def targets(self) -> np.ndarray:
        return np.arange(COUNT) % 2


SUITE = toy_suite(
    bands=BANDS, image_size=(SIDE, SIDE), tasks=(TASK,), splits=dict.fromkeys(("train", "val", "test"), COUNT),
    open=lambda root, task, split, bands: Pictures(split),
)  # fmt: skip


def prepared(folder: Path, *, cache: bool) -> tuple[Arm, Distillation]:
    """Return the arm of a student with a quarter of its teacher's blocks, and its objective."""
    given = {"teacher": ("vit_small",), "student": "first:3", "suite": "toy", "cache": cache}
    settings = DistillSettings.model_validate({**given, "training": {"batch": BATCH, "augment": ("none",)}})
    data = TaskData(suite=SUITE, task=TASK, splits=Splits(suite=SUITE, root=folder), bands=BANDS)
    parent = Parent(entry=ENTRY, path=None, base="vit_small", shape=Structure())
    arm = arm_for(parent, data, settings.tuned, folder=folder, seed=0, device="cpu")
    model = arm.build().eval().requires_grad_(False)
    teacher = Teacher(parent=parent, arm=arm, model=model, validation=0.0, cost={})
    student = Student(word="first:3", parent=parent, blocks=(1, 2, 3), random=False)
    own = student_arm(student, data, settings, teacher, folder=folder, device="cpu")
    return own, objective(own, student, teacher, settings, folder)


def stepper(arm: Arm, addition: Distillation) -> tuple[object, object]:
    """Return the student's task model, and step -> None, which trains it for one step."""
    model = arm.build()
    model.addition = addition.modules(arm, model)
    model.train()
    groups = parameter_groups(
        model.backbone, [model.decoder], rate=1e-4, backbone_rate=0.1, decay=0.75, weight_decay=0.05
    )
    optimiser, batches, trained = torch.optim.AdamW(groups), batches_of(arm, arm.train), Trained(micro=BATCH)
    return model, lambda step: _step(model, optimiser, batches(step), addition.loss, 1.0, trained)


def cache_ratio(folder: Path, rounds: int) -> float:
    """Seconds of an epoch that computes the teacher's outputs over those of one that reads them."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    steps = {cache: stepper(*prepared(folder, cache=cache))[1] for cache in (True, False)}
    per_epoch = COUNT // BATCH
    for number in range(rounds + 1):
        for cache, step in steps.items():
            start = time.perf_counter()
            for place in range(per_epoch):
                step(number * per_epoch + place)
            seconds[cache].append(time.perf_counter() - start)
    return statistics.median(slow / fast for slow, fast in zip(seconds[False][1:], seconds[True][1:], strict=True))


def step_ratio(folder: Path, rounds: int) -> float:
    """Seconds of a step of the recipe, reading included, over those of a bare loop of the same modules and loss."""
    arm, addition = prepared(folder, cache=True)
    _, ours = stepper(arm, addition)
    bare = arm.build().train()
    optimiser = torch.optim.AdamW(bare.parameters(), lr=1e-4)
    held = arm.train.read(range(BATCH))[0]
    pixels, target = held.given.images["rgb"], held.target
    teacher = addition.outputs[""].read(held)["output"]
    for place in range(COUNT // BATCH):
        ours(place)  # fills the store

    def bare_step() -> None:
        optimiser.zero_grad(set_to_none=True)
        output = bare.decoder(bare.backbone({"rgb": pixels}, bare.levels), (SIDE, SIDE))
        reference = teacher.log_softmax(1)
        divergence = functional.kl_div(output.log_softmax(1), reference, reduction="batchmean", log_target=True)
        (functional.cross_entropy(output, target) + divergence).backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        optimiser.step()

    ratios = []
    for place in range(4 * rounds + 1):
        start = time.perf_counter()
        ours(COUNT // BATCH + place)
        middle = time.perf_counter()
        bare_step()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return statistics.median(ratios[1:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=4)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GEOBENCH_CACHE"] = f"{folder}/cache"
        ratio = cache_ratio(Path(folder), rounds)
        print(
            f"epoch of ViT-S/16 to 3 of its blocks, computed over stored outputs: {ratio:.2f} (at least 2)", flush=True
        )
        ratio = step_ratio(Path(folder), rounds)
        print(f"step of the recipe with stored outputs over a bare loop: {ratio:.3f} (at most 1.05)")


if __name__ == "__main__":
    main()
