"""A user's own suite, read from files, and a user's own model: what a folder with both looks like."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.config import RunConfig
from bench.core import Record
from bench.store import Store
from bench.sweeps.sweep import sweep

COUNTS = {"train": 40, "val": 20, "test": 20}

SUITE_FILE = """
import numpy as np
from bench.core import Band, Sample, Suite, Task

BANDS = (Band(name="s2.b04", unit="dn"), Band(name="s2.b08", unit="dn"))


class Split:
    def __init__(self, path, task, bands):
        self.path, self.task = path, task
        self.columns = [BANDS.index(band) for band in bands]
        with np.load(path) as file:
            self.ids = [str(name) for name in file["ids"]]
        self.blocks = self.ids

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        with np.load(self.path) as file:
            return Sample(images={"s2": file["images"][index][:, self.columns]}, target=file[self.task][index])

    def targets(self):
        with np.load(self.path) as file:
            labels = file[self.task]
        return np.stack([(labels == k).any((1, 2)) for k in (0, 1)], 1) if labels.ndim == 3 else labels


SUITE = Suite(
    name="own",
    version=1,
    title="own",
    bands=BANDS,
    image_size=(16, 16),
    tasks=(
        Task(name="kind", kind="classification", classes=("low", "high"), metric="accuracy"),
        Task(name="mask", kind="segmentation", classes=("off", "on"), metric="miou"),
    ),
    splits={"train": 40, "val": 20, "test": 20},
    folder="FOLDER",
    open=lambda root, task, split, bands: Split(root / "own" / f"{split}.npz", task, bands),
)
"""

MODEL_FILE = """
import dataclasses
import torch
from bench.core import Layer, Tap
from tests.builders.suite_and_model import toy_entry

FACTOR = 1.0


class Means(torch.nn.Module):
    layers = (Layer(name="embedding", channels=2, stride=4, depth=1.0),)

    def forward(self, images, layers, *, when=None, where=None):
        grid = FACTOR * torch.nn.functional.avg_pool2d(images["s2"][:, 0], 4)
        return [Tap(grid, grid.mean((-2, -1))) for _ in layers]


ENTRIES = (toy_entry(name="own_small", load=lambda *given: Means(), depth=0, width=2),)
"""


def write_files(folder: Path, *, suite_folder: str = "own") -> None:
    """Write both files and the suite's data: the first band is bright where the label is 1."""
    (folder / "geobench_suites.py").write_text(SUITE_FILE.replace("FOLDER", suite_folder))
    (folder / "geobench_models.py").write_text(MODEL_FILE)
    for number, (split, count) in enumerate(COUNTS.items()):
        rng = np.random.default_rng(number)
        kind = np.arange(count) % 2
        mask = np.zeros((count, 16, 16), np.int64)
        mask[:, :, 8:] = 1
        images = rng.normal(1500, 100, (count, 1, 2, 16, 16)).astype(np.float32)
        images[:, 0, 0] += 300 * kind[:, None, None] + 900 * mask
        write_split(
            folder, split, ids=np.array([f"{split}_{i}" for i in range(count)]), images=images, kind=kind, mask=mask
        )


def read_split(folder: Path, split: str) -> dict[str, np.ndarray]:
    with np.load(folder / "data" / "own" / f"{split}.npz") as file:
        return dict(file)


def write_split(folder: Path, split: str, **arrays: np.ndarray) -> None:
    path = folder / "data" / "own" / f"{split}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def run_sweep(
    folder: Path, task: str, *, results: str = "results", dry: bool = False, **more
) -> tuple[Record | None, str]:
    """Return the record of the only run of a sweep, and what the sweep printed; the working folder is `folder`."""
    config = RunConfig(
        suite="own", models=("own_small",), protocols=("probe",), tasks=(task,), data=folder / "data",
        results=folder / results, cache=folder / "cache", settings={"probe": {"c": (0.1, 1.0), "steps": 30}}, **more,
    )  # fmt: skip
    out = io.StringIO()
    sweep(config, Console(file=out, width=200), dry=dry)
    records = list(Store(folder / results).records("own"))
    assert len(records) <= 1
    return (records[0] if records else None), out.getvalue()
