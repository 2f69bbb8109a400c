"""A training step against a bare PyTorch loop, and a frozen decoder's epoch from the store against re-running; ratios.

python tests/benchmarks/bench_train.py [--rounds 6]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.catalogue.weights import WeightSources
from bench.core import Band, Normalise, RunKey, Sample, Task
from bench.finetuning.arm import Arm
from bench.finetuning.fit import batches_of, loss_function
from bench.finetuning.loop import _step
from bench.finetuning.trained import Trained
from bench.finetuning.tuning import parameter_groups
from bench.input.recipe import match
from bench.input.splits import Splits
from bench.networks.from_timm import load_vit
from bench.protocols import finetune
from bench.runs.context import FeatureReader, open_context
from bench.runs.plan import Run
from bench.runs.session import Session
from bench.store import FeatureCache, Store
from tests.builders.suite_and_model import toy_entry, toy_suite

BANDS = tuple(Band(name=f"rgb.{name}", unit="uint8") for name in ("red", "green", "blue"))
TASK = Task(name="mask", kind="segmentation", classes=("off", "on"), metric="miou")
COUNT, SIDE, BATCH = 16, 224, 8
load = partial(load_vit, name="vit_small_patch16_224", pool="mean")
ENTRY = toy_entry(
    name="vit_small",
    bands=BANDS,
    normalise=Normalise(kind="affine", shift=(128.0,) * 3, scale=(64.0,) * 3),
    image_size=SIDE,
    patch=16,
    depth=12,
    width=384,
    load=load,
)


class Pictures:
    """Noise, and masks of one half."""

    def __init__(self, split: str) -> None:
        self.ids = [f"{split}_{number}" for number in range(COUNT)]
        self.blocks = self.ids

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        mask = np.zeros((SIDE, SIDE), np.int64)
        mask[: SIDE // 2] = 1
        return Sample(images={"rgb": rng.uniform(0, 255, (1, 3, SIDE, SIDE)).astype(np.float32)}, target=mask)

    def targets(self) -> np.ndarray:
        return np.ones((COUNT, 2), bool)


SUITE = toy_suite(
    bands=BANDS, image_size=(SIDE, SIDE), tasks=(TASK,), splits=dict.fromkeys(("train", "val", "test"), COUNT),
    open=lambda root, task, split, bands: Pictures(split),
)  # fmt: skip


def an_arm(folder: Path, **settings: object) -> Arm:
    from bench.config import RunConfig

    session = Session(
        config=RunConfig(suite="toy"),
        data=Splits(suite=SUITE, root=folder),
        store=Store(folder / "results"),
        cache=FeatureCache(folder / "cache"),
        shelf=WeightSources(folder=None, cache=folder / "cache"),
        device="cpu",
    )
    (arms,) = finetune.arms(finetune.Settings(batch=BATCH, **settings), TASK)
    recipe = match(ENTRY, SUITE, TASK, BANDS)
    key = RunKey(
        suite="toy", suite_version=1, split_hash="x", task="mask", model="vit_small", model_version=1, weights="none",
        recipe=recipe.facts(), protocol="finetune", protocol_version=1, settings={}, fraction=1.0, subset=0, seed=0,
    )  # fmt: skip
    run = Run(key=key, entry=ENTRY, task=TASK, recipe=recipe, protocol=finetune.PROTOCOL, settings=arms, layers=())
    workbench = open_context(FeatureReader(run, session)).workbench
    assert workbench is not None
    return Arm(TASK, workbench, settings=arms, seed=0, device="cpu")


def step_ratio(folder: Path, rounds: int) -> float:
    """Seconds of our training step, reading and augmenting included, over those of a bare loop of the same modules."""
    arm = an_arm(folder, tuning="full", decoders="fcn")
    ours, bare = arm.build().train(), arm.build().train()
    groups = parameter_groups(
        ours.backbone, [ours.decoder], rate=1e-4, backbone_rate=0.1, decay=0.75, weight_decay=0.05
    )
    optimisers = [torch.optim.AdamW(groups), torch.optim.AdamW(bare.parameters(), lr=1e-4)]
    batches, loss, trained = batches_of(arm, arm.train), loss_function(arm), Trained(micro=BATCH)
    held = arm.train.read(range(BATCH))[0]
    pixels, target = held.given.images["rgb"], held.target

    def bare_step() -> None:
        optimisers[1].zero_grad(set_to_none=True)
        taps = bare.backbone({"rgb": pixels}, bare.levels)
        output = bare.decoder(taps, (SIDE, SIDE))
        torch.nn.functional.cross_entropy(output, target).backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        optimisers[1].step()

    ratios = []
    for place in range(rounds + 1):
        start = time.perf_counter()
        _step(ours, optimisers[0], batches(place), loss, 1.0, trained)
        middle = time.perf_counter()
        bare_step()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return statistics.median(ratios[1:])


def epoch_ratio(folder: Path, rounds: int) -> float:
    """Seconds of a frozen decoder's epoch that re-runs the backbone over those of one from the store."""
    stored, rerun = an_arm(folder, decoders="linear"), an_arm(folder, decoders="linear", augment=("flips",))
    assert stored.stored and not rerun.stored
    arms = [(arm, arm.build().train()) for arm in (stored, rerun)]
    optimisers = [torch.optim.AdamW(module.decoder.parameters(), lr=1e-3) for _, module in arms]

    def epoch(place: int) -> float:
        arm, module = arms[place]
        start = time.perf_counter()
        for first in range(0, COUNT, BATCH):
            batches = arm.train.read(range(first, first + BATCH), np.random.default_rng(0))
            _step(module, optimisers[place], batches, loss_function(arm), 1.0, Trained(micro=BATCH))
        return time.perf_counter() - start

    epoch(0), epoch(1)
    return statistics.median(epoch(1) / epoch(0) for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        ratio = step_ratio(Path(folder) / "step", rounds)
        print(
            f"training step of ViT-S/16 with FCN, batch {BATCH}, over a bare loop: {ratio:.3f} (at most 1.05)",
            flush=True,
        )
        ratio = epoch_ratio(Path(folder) / "epoch", rounds)
        print(f"epoch of a frozen linear decoder, re-running the backbone over the store: {ratio:.1f} (at least 5)")


if __name__ == "__main__":
    main()
