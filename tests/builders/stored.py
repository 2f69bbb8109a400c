"""What a store holds, made small: run keys, records with arrays, feature sets; and folders that cannot be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.core import Layer, Record, RunKey
from bench.store import FeatureCache, Store

LAYERS = (Layer(name="embedding", channels=3, stride=4, depth=0.0),)
NAMES = ("embedding.mean", "embedding.cls")
NOBODY = 65534


def key(**changes) -> RunKey:
    facts = dict(
        suite="toy",
        suite_version=1,
        split_hash="s",
        task="kind",
        model="m",
        model_version=1,
        weights="w",
        recipe={"bands": ["a"], "size": [16, 16]},
        protocol="probe",
        protocol_version=1,
        settings={},
        fraction=1.0,
        subset=0,
        seed=0,
    )
    return RunKey(**{**facts, **changes})


def record(**changes) -> Record:
    facts = dict(
        key=key(),
        status="ok",
        facts={"title": "Toy", "origin": "pretrained", "n_test": 3},
        scores={"test": {"last": {"accuracy": 0.5}}},
        curves=[{"layer": "embedding", "test": 0.5}],
        notes=["train: one class is absent"],
        cost={"seconds": 1.5},
        environment={"geobench_run": "0.1.0"},
    )
    return Record(**{**facts, **changes})


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"test.prediction": rng.integers(0, 3, (2, 3)), "test.ids": np.array(["a", "b", "c"])}


def put(store: Store, seed: int = 0, **changes) -> Path:
    """Store a record of one seed with its arrays; return its path."""
    return store.put(record(key=key(seed=seed), **changes), arrays(seed))


def fill(cache: FeatureCache, facts: dict, rows: int = 10, stop: int | None = None) -> None:
    """Make a feature set of two arrays, two rows at a time; give up after the rows at `stop`, some not vouched for."""
    ids = [str(i) for i in range(rows)]
    writer = cache.writer(facts, ids, {name: ((3,), "<f2") for name in NAMES}, LAYERS)
    try:
        for start in range(writer.rows, rows, 2):
            writer.append({name: values(start, number) for number, name in enumerate(NAMES)})
            writer.flush()
            if stop is not None and start >= stop:
                writer.append({name: np.full((2, 3), 99, np.float16) for name in NAMES})  # written, never vouched for
                return
        writer.commit()
    finally:
        writer.close()


def values(start: int, number: int = 0) -> np.ndarray:
    return np.arange(start + number, start + number + 6, dtype=np.float16).reshape(2, 3)


@contextmanager
def unwritable(folder: Path) -> Iterator[Path]:
    """Give a copy of a folder, of nothing if it is not there, in which this process may read and not write."""
    place = Path(tempfile.mkdtemp(prefix="geobench_read_only_"))
    copy = place / folder.name
    if folder.exists():
        shutil.copytree(folder, copy)
    else:
        copy.mkdir()
    for path in [place, copy, *copy.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:  # permissions do not bind the super-user
        os.seteuid(NOBODY)
    try:
        yield copy
    finally:
        if root:
            os.seteuid(0)
        for path in [place, copy, *copy.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(place)
