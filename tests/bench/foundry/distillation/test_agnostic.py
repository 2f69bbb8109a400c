"""Features are learned from images alone, from one or several teachers."""

from __future__ import annotations

import pytest
import torch

from bench.catalogue.cards import CARD, read_card
from bench.config import validate
from bench.core import BadSetting, ModelEntry, Structure
from bench.foundry.contract.resolved import Parent
from bench.foundry.distill import RECIPE
from tests.builders.arms import ENTRY, SUITE, Split

QUICK = {"steps": 6, "batch": 8, "evaluations": 2, "learning_rates": [3e-3]}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that distils toy entries on the toy suite and returns the path of the weights."""

    def parent(name, **_):
        entry: ModelEntry = ENTRY
        return Parent(entry=entry, path=None, base="toy", shape=Structure())

    monkeypatch.setattr("bench.foundry.distillation.agnostic.parent_of", parent)
    monkeypatch.setattr("bench.foundry.distillation.agnostic.load_suite", lambda name: SUITE)
    monkeypatch.setattr("bench.foundry.contract.resolved.model_catalogue.entries", lambda: {"toy": ENTRY})

    def run(folder="entries", **words):
        given = {"teacher": "toy", "student": "first:2.random", "method": "features", "suite": "toy", "training": QUICK}
        settings = validate(RECIPE.settings, {**given, **words})
        return RECIPE.run(settings, data=tmp_path, out=tmp_path / folder)

    return run


def distance(path):
    return read_card(path.with_name(CARD)).scores["held_out_distance"]


def test_more_steps_bring_the_student_nearer_to_its_teacher(make):
    short, long = make("a", training={**QUICK, "steps": 1}), make("b", training={**QUICK, "steps": 60})
    assert distance(long) < 0.9 * distance(short)
    card = read_card(long.with_name(CARD))
    assert card.origin == "distilled" and card.shape.blocks == (1, 2) and card.data["images"]["held_out"] == 5


def test_two_runs_are_equal_and_labels_are_not_read(make, monkeypatch):
    first = make("a", teacher=["toy", "toy"], features="cosine", relations=0.5).read_bytes()
    original = Split.__getitem__
    monkeypatch.setattr(Split, "__getitem__", lambda self, row: original(self, row)._replace(target="poison"))
    torch.rand(3)
    assert make("b", teacher=["toy", "toy"], features="cosine", relations=0.5).read_bytes() == first
    assert make("c", teacher=["toy", "toy"], features="cosine", relations=0.5, seed=1).read_bytes() != first


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"suite": ""}, "give suite="),
        ({"labels": 0.5}, "reads no labels"),
        ({"training": {"augment": ["flips"]}}, "deterministic views"),
        ({"training": {"tuning": ["lora"]}}, "trains the whole student"),
    ],
)
def test_requests_that_make_no_sense_are_named(make, words, text):
    with pytest.raises(BadSetting, match=text):
        make(**words)
