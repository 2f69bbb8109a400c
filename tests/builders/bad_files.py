"""A user's own suite and model, sound as they stand, to be made unsound by one replacement at a time."""

from __future__ import annotations

SUITE_FILE = """
import numpy as np
from bench.core import Band, Sample, Suite, Task

COUNTS = {"train": 12, "val": 8, "test": 8}
BANDS = (Band(name="s2.b04", unit="dn"), Band(name="s2.b08", unit="dn"))


class Split:
    def __init__(self, split, count, bands):
        self.ids = [f"{split}_{i}" for i in range(count)]
        self.blocks = self.ids
        self.labels = np.arange(count) % 2
        self.bands = bands

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        label = int(self.labels[index])
        values = np.random.default_rng([label, index, len(self)]).normal(1000 + 800 * label, 50, (1, 2, 16, 16))
        columns = [BANDS.index(band) for band in self.bands]
        return Sample(images={"s2": values[:, columns].astype(np.float32)}, target=label)

    def targets(self):
        return self.labels


def open_split(root, task, split, bands):
    return Split(split, COUNTS[split], bands)


SUITE = Suite(
    name="mine",
    version=1,
    title="mine",
    bands=BANDS,
    image_size=(16, 16),
    tasks=(Task(name="kind", kind="classification", classes=("low", "high"), metric="accuracy"),),
    splits={"train": 12, "val": 8, "test": 8},
    open=open_split,
)
"""

MODEL_FILE = """
from bench.core import Band, Layer, ModelEntry, Normalise, Tap


def load(entry, weights, seed, bands):
    import torch

    class Net(torch.nn.Module):
        layers = (Layer(name="embedding", channels=2, stride=4, depth=0.0), Layer(name="block_1", channels=2, stride=4, depth=1.0))

        def forward(self, images, layers, *, when=None, where=None):
            grid = torch.nn.functional.avg_pool2d(images["s2"][:, 0], 4)
            return [Tap(grid * (1 + i), grid.mean((2, 3)) * (1 + i)) for i in layers]

    return Net()


ENTRIES = (
    ModelEntry(
        name="mynet_small",
        origin="pretrained",
        objective="reconstruction",
        bands=(Band(name="s2.b04", unit="dn"), Band(name="s2.b08", unit="dn")),
        normalise=Normalise(kind="affine", shift=(1000.0, 1000.0), scale=(500.0, 500.0)),
        image_size=16,
        patch=4,
        depth=1,
        width=2,
        parameters=10,
        load=load,
    ),
)
"""


def changed(text: str, old: str, new: str) -> str:
    """Return a file with one part replaced.

    Raises:
        ValueError: the part is not there.
    """
    if old not in text:
        raise ValueError(f"{old!r} is not in the file")
    return text.replace(old, new)
