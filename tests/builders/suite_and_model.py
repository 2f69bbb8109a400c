"""A toy suite and a toy model whose right answers are known: noise images, and a label planted at one block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.core import Band, Layer, ModelEntry, Normalise, Sample, Suite, Tap, Task, Weights

BANDS = (Band(name="s2.b04", unit="dn"), Band(name="s2.b08", unit="dn"))
DEPTH = 4
COUNTS = {"train": 120, "val": 60, "test": 90}


class ToySplit:
    """Images of 16 x 16 pixels whose mean of the first band says the class."""

    def __init__(self, task: str, split: str, count: int, bands: Sequence[Band], side: int = 16) -> None:
        offset = {"train": 0, "val": 1000, "test": 2000}.get(split, 3000)
        self.task, self.bands, self.side = task, bands, side
        self.numbers = np.arange(offset, offset + count)
        self.ids = [f"{split}_{number}" for number in self.numbers]
        self.blocks = [f"{split}_{number // 3}" for number in self.numbers]
        self.poison = False

    def __len__(self) -> int:
        return len(self.ids)

    def label(self, index: int) -> int:
        return int(np.random.default_rng(int(self.numbers[index])).integers(3))

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(int(self.numbers[index]))
        label = int(rng.integers(3))
        image = rng.normal(1500, 300, (1, len(BANDS), self.side, self.side)).astype(np.float32)
        image[:, 0] += 400 * label
        order = [[band.name for band in BANDS].index(band.name) for band in self.bands]
        target: object = label
        if self.task == "amount":
            target = np.array([label * 10.0 + rng.normal()], np.float32)
        if self.task == "mask":
            target = np.full((self.side, self.side), label > 0, np.int64)
            target[0] = -1
        return Sample(images={"s2": image[:, order]}, target=target)

    def targets(self) -> np.ndarray:
        if self.task == "amount":
            return np.stack([self[i].target for i in range(len(self))])
        labels = np.array([self.label(i) for i in range(len(self))])
        if self.poison:
            labels = (labels * 7 + np.arange(len(labels))) % 3
        if self.task == "mask":
            return np.stack([labels == 0, labels > 0], 1)
        return labels


def toy_suite(**changes) -> Suite:
    tasks = (
        Task(name="kind", kind="classification", classes=("low", "middle", "high"), metric="accuracy"),
        Task(name="amount", kind="regression", quantity="amount", unit="t/ha", metric="r2"),
        Task(name="mask", kind="segmentation", classes=("off", "on"), metric="miou", ignore=-1),
    )

    def open_split(root: Path, task: str, split: str, bands: tuple[Band, ...]) -> ToySplit:
        return ToySplit(task, split, COUNTS[split], bands)

    facts = dict(
        name="toy",
        version=1,
        title="toy",
        bands=BANDS,
        image_size=(16, 16),
        tasks=tasks,
        splits=COUNTS,
        generated=True,
        dataset="toy",
        open=open_split,
    )
    return Suite(**{**facts, **changes})


def load_toy(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]):
    """A network of DEPTH blocks of noise; block 2 alone carries the mean of the first band."""
    import torch
    from torch import nn

    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            names = ["embedding", *(f"block_{i}" for i in range(1, DEPTH + 1))]
            self.layers = tuple(Layer(name=name, channels=6, stride=4, depth=i / DEPTH) for i, name in enumerate(names))
            self.modules_map: dict[str, dict[str, str]] = {}
            self.passes = 0
            generator = torch.Generator().manual_seed(seed)
            self.mix = torch.randn(6, generator=generator)

        def forward(self, images, layers, *, when=None, where=None):
            x = images["s2"][:, 0]
            self.passes += len(x)
            grid = nn.functional.avg_pool2d(x, 4)
            taps = []
            for index in layers:
                # Noise that depends on the image alone, so that a second pass gives the same.
                noise = torch.sin(
                    1e3 * (index + 1) * (x[:, -1:].mean((1, 2, 3), keepdim=True) + self.mix[:, None, None])
                )
                value = noise.expand(-1, -1, *grid.shape[-2:]).clone()
                if index == 2:
                    value = value + 3 * grid[:, :1]
                taps.append(Tap(value, value.mean((2, 3)), value[:, :, 0, 0]))
            return taps

    return Toy()


def toy_entry(**changes) -> ModelEntry:
    facts = dict(
        name="toy_small",
        origin="pretrained",
        objective="reconstruction",
        bands=BANDS,
        normalise=Normalise(kind="affine", shift=(1500.0, 1500.0), scale=(500.0, 500.0)),
        image_size=16,
        patch=4,
        depth=DEPTH,
        width=6,
        parameters=10,
        weights=None,
        trained_on=("elsewhere",),
        load=load_toy,
    )
    return ModelEntry(**{**facts, **changes})


def toy_weights(**changes) -> Weights:
    return Weights(**{"file": "toy/model.bin", "licence": "MIT", **changes})


def coloured_images(folder: Path) -> Path:
    """Write EuroSAT RGB in its layout, two classes that differ in colour, 24 images each; return `folder`."""
    import csv

    from PIL import Image

    rng = np.random.default_rng(0)
    rows = [("class", "file", "split")]
    for name, level in (("Forest", 60), ("River", 140)):
        place = folder / "eurosat_rgb" / "EuroSAT_RGB" / name
        place.mkdir(parents=True)
        for number in range(24):
            values = np.clip(rng.normal(level, 50, (64, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(values).save(place / f"{name}_{number}.jpg")
            rows.append((name, f"{name}_{number}.jpg", ("train", "train", "val", "test")[number % 4]))
    with (folder / "eurosat_rgb" / "split.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder
