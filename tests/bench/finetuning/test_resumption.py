"""A training that was killed goes on to the same weights; never from a checkpoint that is not what was written."""

from __future__ import annotations

import io
import shutil

import pytest
import torch

from bench.finetuning import loop
from bench.store.seals import write_sealed_bytes
from tests.builders.training import Killed, run, same


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
