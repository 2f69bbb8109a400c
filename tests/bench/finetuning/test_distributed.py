"""Two processes that train together do what one does with all the images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.finetuning import distributed
from bench.store import Store

ROOT = Path(__file__).parents[3]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("geobench-run")
    command = [
        *(
            str(program),
            "suite=demo",
            "models=tiny_mae",
            "tasks=landcover",
            "protocols=finetune",
            "seeds=0",
            "device=cpu",
        ),
        *(
            "finetune.tuning=full",
            "finetune.augment=none",
            "finetune.steps=4",
            "finetune.evaluations=2",
            "fractions=0.1",
        ),
        *("subsets=1", "finetune.learning_rates=1e-3", f"results={folder}", *words),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOBENCH_CACHE", str(tmp_path / "cache"))
    alone, both = tmp_path / "alone", tmp_path / "both"
    for folder, words in ((alone, ()), (both, ("devices=2",))):
        done = run(folder, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    stores = Store(alone), Store(both)
    (single,), (shared,) = (list(store.records("demo")) for store in stores)
    assert single.digest == shared.digest, "how many devices trained is no part of what a run is"
    losses = [store.arrays(record)["history"][0, :, 1] for store, record in zip(stores, (single, shared), strict=True)]
    # Running statistics of the head are those of the first process's share.
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.1)
    assert run(both, "devices=2").stdout.count("1 stored, 0 to do") == 1


def test_alone_there_is_nothing_to_agree_on():
    assert (distributed.rank(), distributed.world(), distributed.agreed("x"), distributed.total(2.5, "cpu")) == (
        0,
        1,
        "x",
        2.5,
    )
