"""One key carried out in several ways: alone, after another seed and other draws, and after a kill."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.core import Record
from bench.finetuning import fit, loop
from bench.runs.carry_out import carry_out
from bench.runs.plan import Run
from bench.runs.session import NoProgress, Session
from tests.builders.arms import new_session
from tests.builders.training import Killed

Result = tuple[dict[str, Any], dict[str, np.ndarray], dict[str, bytes]]
"""What a record states, its arrays, and the files of tuned weights by name."""


def other_work() -> None:
    """Draw from every global generator, an odd number of times."""
    torch.rand(7)
    torch.randn(3)
    np.random.rand(5)
    random.random()


def of_seed(run: Run, seed: int) -> Run:
    """Return the same run with another seed."""
    return dataclasses.replace(run, key=dataclasses.replace(run.key, seed=seed))


def result(record: Record, session: Session) -> Result:
    """Return everything of a run that its key decides: not what it cost, and not where it ran."""
    assert record.status == "ok", record.error
    stated = {
        name: getattr(record, name) for name in ("scores", "choices", "curves", "notes", "facts", "arrays", "digest")
    }
    tuned = {path.name: path.read_bytes() for path in sorted((session.cache.root / "tuned").glob("*"))}
    digest = record.digest
    weights = {name: content for name, content in tuned.items() if name.startswith(digest)}
    return stated, dict(session.store.arrays(record)) if record.arrays else {}, weights


def differences(first: Result, other: Result) -> list[str]:
    """Return the names of the parts in which two results are not equal to the bit."""
    names = [name for name, value in first[0].items() if repr(value) != repr(other[0][name])]
    if first[1].keys() != other[1].keys() or first[2].keys() != other[2].keys():
        return [*names, "other arrays or weights"]
    names += [name for name, values in first[1].items() if values.tobytes() != other[1][name].tobytes()]
    return names + [name for name, content in first[2].items() if content != other[2][name]]


def alone(run: Run, folder: Path) -> Result:
    """Return what a run gives in a session of its own, its samples read by one worker."""
    session = new_session(folder, workers=1)
    return result(carry_out(run, session), session)


def after_others(run: Run, folder: Path) -> Result:
    """Return what a run gives after other draws and the same run at another seed; three workers read samples."""
    session = new_session(folder, workers=3)
    other_work()
    carry_out(of_seed(run, run.key.seed + 1), session)
    other_work()
    return result(carry_out(run, session), session)


class KillingWatcher(NoProgress):
    """Ends the process, as far as the run can see, when a number of parts of a pass are done."""

    def __init__(self, parts: int) -> None:
        self.left = parts

    def extracted(self, images: int) -> None:
        """Count one part."""
        self.left -= 1
        if not self.left:
            raise Killed


def after_a_kill(run: Run, folder: Path) -> tuple[Result, bool]:
    """Return what a run gives that was killed and is carried out again, and whether it had gone far enough for that.

    A training is killed in its third evaluation, with a checkpoint of the second; a pass over images in its third part.
    """
    real, calls = fit.validation_score, []

    def killing(*arguments: Any) -> float:
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "KEPT_SECONDS", -1.0)
        patch.setattr(fit, "validation_score", killing)
        session = new_session(folder, workers=2, batch=8)
        if not run.protocol.runs_network:
            session.watcher = KillingWatcher(3)
        try:
            carry_out(run, session)
        except Killed:
            killed = True
        else:
            killed = False
        kept = list((session.cache.root / "training").glob("*.pt"))
        assert not killed or not calls or kept, "the training left no checkpoint to go on from"
    other_work()
    session = new_session(folder, workers=2, batch=8)
    return result(carry_out(run, session), session), killed
