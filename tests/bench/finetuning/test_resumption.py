"""A training that was killed goes on to the same weights; never from a checkpoint that is not what was written."""

from __future__ import annotations

import io
import shutil

import pytest
import torch
from torch import nn

from bench.finetuning import loop
from bench.finetuning.loop import Budget, Trained, train
from bench.store.seals import write_sealed_bytes


class Rows:
    """Samples as the loop sees them: they can be counted and cut."""

    def __init__(self, values: torch.Tensor) -> None:
        self.rows = values

    def part(self, rows: slice) -> Rows:
        return Rows(self.rows[rows])


class Killed(BaseException):
    """What ends a process at no moment of its own."""


def run(place, *, stop: int | None = None, width: int = 4) -> tuple[Trained, dict[str, torch.Tensor]]:
    """Train a small network with dropout for 12 steps; give up at the evaluation of number `stop`."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.3), nn.Linear(width, 1))
    calls = []

    def evaluate() -> float:
        calls.append(1)
        if stop is not None and len(calls) > stop:
            raise Killed
        return -float(module[0].weight.detach().abs().sum())

    trained = train(
        module,
        [{"params": list(module.parameters()), "lr": 0.05}],
        Budget(steps=12, evaluations=6, patience=0),
        batches=lambda step: [Rows(torch.randn(8, 3, generator=torch.Generator().manual_seed(step)))],  # type: ignore[list-item]
        loss=lambda network, batch: network(batch.rows).square().mean(),  # type: ignore[attr-defined]
        evaluate=evaluate,
        micro=8,
        seed=1,
        place=place,
    )
    return trained, {name: value.clone() for name, value in module.state_dict().items()}


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """The checkpoint of a training that was killed after its third evaluation, and what the whole one comes to."""
    monkeypatch.setattr(loop, "KEPT_SECONDS", -1.0)
    place = tmp_path / "0a_0.pt"
    whole = run(None)
    with pytest.raises(Killed):
        run(place, stop=3)
    assert place.exists()
    return place, whole


def same(one, other) -> bool:
    trained, state = one
    return (
        trained.history == other[0].history
        and trained.step == other[0].step
        and all(torch.equal(state[name], other[1][name]) for name in other[1])
    )


def test_a_killed_training_goes_on_to_the_same_weights(begun):
    place, whole = begun
    resumed = run(place)
    assert same(resumed, whole) and resumed[0].notes == [] and not place.exists()


def flip(place, where) -> None:
    content = bytearray(place.read_bytes())
    content[where] ^= 1
    place.write_bytes(bytes(content))


def saved(content) -> memoryview:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getbuffer()


def of_another_network(place) -> None:
    other = place.with_name("other")
    with pytest.raises(Killed):
        run(other, stop=3, width=5)
    content = other.read_bytes().partition(b"\n")[2]
    write_sealed_bytes(place, place.name, content)


def of_another_run(place) -> None:
    other = place.with_name("0b_0.pt")
    shutil.copy(place, other)
    with pytest.raises(Killed):
        run(other, stop=1)
    shutil.move(other, place)


DAMAGE = {
    "a flipped byte": lambda place: flip(place, -2000),
    "a flipped byte of the first line": lambda place: flip(place, 40),
    "cut short": lambda place: place.write_bytes(place.read_bytes()[:-10]),
    "empty": lambda place: place.write_bytes(b""),
    "a list": lambda place: place.write_bytes(b"[1, 2]\n"),
    "of version 0.1": lambda place: place.write_bytes(place.read_bytes().partition(b"\n")[2]),
    "sealed, and no checkpoint": lambda place: write_sealed_bytes(place, place.name, b"nothing"),
    "sealed, and of other things": lambda place: write_sealed_bytes(place, place.name, saved({"step": 3})),
    "of another network": of_another_network,
    "of another run": of_another_run,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_that_is_not_what_was_written_is_removed_and_training_begins_anew(begun, damage):
    place, whole = begun
    DAMAGE[damage](place)
    trained, state = run(place)
    assert same((trained, state), whole)
    (note,) = trained.notes
    assert "training begun anew" in note and not place.exists()


def test_without_a_place_to_write_training_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "KEPT_SECONDS", -1.0)
    (tmp_path / "file").write_text("x")
    with pytest.warns(UserWarning, match="a file lies where a folder is needed"):
        trained, _ = run(tmp_path / "file" / "0a_0.pt")
    assert len(trained.history) == 6
