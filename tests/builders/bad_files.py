"""Files of a user's: a suite and a model that are sound, to be made unsound by one replacement; bad config= files."""

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
        layers = tuple(Layer(name=n, channels=2, stride=4, depth=d) for n, d in (("embedding", 0.0), ("block_1", 1.0)))

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


def laughs(levels: int) -> str:
    """Return YAML whose anchors grow tenfold per level."""
    lines = ["models: [tiny_mae]", "a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


CONFIG_FILES = {
    "list": (b"- a\n- b\n", "holds no mapping"),
    "text": (b"demo", "holds no mapping"),
    "broken": (b"suite: [\n", "is not YAML"),
    "tab": (b"a:\n\t- b\n", "is not YAML"),
    "twice": (b"suite: demo\nsuite: eurosat\n", "line 2: suite is given twice"),
    "binary": (bytes(range(256)) * 8, "is no text in UTF-8"),
    "utf16": ("suite: demo".encode("utf-16"), "is no text in UTF-8"),
    "null": (b"suite: demo\0\n", "is not YAML"),
    "large": (b"suite: demo\n" + b"#" * 200_000, "more than 100,000 bytes"),
    "self": (b"suite: &a [*a]\n", "an anchor holds itself"),
    "self_map": (b"suite: &a {b: *a}\n", "an anchor holds itself"),
    "laughs": (laughs(9).encode(), "grows to more than 10,000 values"),
    "deep": (b"suite: " + b"[" * 2000 + b"]" * 2000, "is nested deeper"),
    "deeper": (b"suite: " + b"[" * 40_000, "nested deeper|is not YAML"),
    "key": (b"? [a, b]\n: c\n", "a key must be a name"),
    "alias": (b"suite: *nowhere\n", "is not YAML"),
    "code": (b"suite: !!python/object/apply:os.system ['true']\n", "line 1: the tag 'python/object"),
}
"""Files for ``config=``, by name: content, and what the refusal says."""


def changed(text: str, old: str, new: str) -> str:
    """Return a file with one part replaced.

    Raises:
        ValueError: the part is not there.
    """
    if old not in text:
        raise ValueError(f"{old!r} is not in the file")
    return text.replace(old, new)
