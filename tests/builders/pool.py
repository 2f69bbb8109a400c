"""A sweep over a user's own suite and several own models, carried out by workers in other processes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console

from bench.config import RunConfig
from bench.sweeps.sweep import Sweep, sweep
from tests.builders.own_files import MODEL_FILE, write_files

ROOT = Path(__file__).parents[2]
MACHINE_BOUND = ("cost", "environment", "checksum")
MODELS = ("own_a", "own_b", "own_c", "own_d")
ENTRIES = """
class Slow(Means):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, images, layers, **more):
        time.sleep(float(os.environ.get('PAUSE', '0')))
        return [Tap(self.factor * tap.grid, self.factor * tap.vector) for tap in super().forward(images, layers)]


ENTRIES = tuple(
    toy_entry(name=name, load=functools.partial(lambda factor, *given: Slow(factor), factor), depth=0, width=2)
    for factor, name in enumerate(NAMES, 1)
)
"""


def write_folder(folder: Path) -> None:
    """Write the suite, its data, and four models whose forward pass takes ``$PAUSE`` seconds more per batch."""
    write_files(folder)
    text = ENTRIES.replace("NAMES", repr(MODELS))
    (folder / "geobench_models.py").write_text("import functools\nimport os\nimport time\n" + MODEL_FILE + text)


def configured(folder: Path, **more: Any) -> RunConfig:
    """Return the configuration of twelve runs: four models, two tasks, with neighbours on one of them."""
    return RunConfig(
        suite="own",
        models=MODELS,
        protocols=("probe", "knn"),
        data=folder / "data",
        cache=folder / "cache",
        batch=8,
        settings={"probe": {"c": (0.1, 1.0), "steps": 20}},
        **{"results": folder / "results", **more},
    )


def run_pool(folder: Path, **more: Any) -> tuple[Sweep, str]:
    """Return a finished sweep of the folder, which must be the working folder, and what it printed."""
    out = io.StringIO()
    with patch.dict(os.environ, {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}):
        done = sweep(configured(folder, **more), Console(file=out, width=200))
    return done, out.getvalue()


def stored(results: Path) -> dict[str, dict[str, Any]]:
    """Return what the records of the suite hold that is the same on every machine, by digest."""
    records = {}
    for path in sorted((results / "own" / "records").glob("*.json")):
        content = {name: value for name, value in json.loads(path.read_text()).items() if name not in MACHINE_BOUND}
        arrays = path.with_suffix(".npz")
        records[path.stem] = {**content, "npz": arrays.read_bytes() if arrays.exists() else b""}
    return records


def leases(results: Path) -> list[Path]:
    return sorted(results.rglob("*.lease"))
