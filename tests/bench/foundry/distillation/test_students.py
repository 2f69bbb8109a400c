"""Students keep the blocks asked for with the teacher's weights, and are entries like any other."""

from __future__ import annotations

import pytest
import torch

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, read_card
from bench.core import BadSetting, Incompatible, UnknownName
from bench.foundry.contract.resolved import parent_of
from bench.foundry.distillation.students import initial_student, student_of
from bench.foundry.pruning.budgets import example_images


def teacher(name="tiny_mae", entries=()):
    return parent_of(name, weights=None, entries=entries)


@pytest.mark.parametrize(("word", "blocks"), [("first:2", (1, 2)), ("every:2", (2, 4, 6)), ("every:4", (4,))])
def test_truncated_students_are_the_blocks_of_the_teacher(word, blocks):
    parent = teacher()
    whole = parent.network(parent.entry.bands)
    student = student_of(word, parent)
    network = student.network(parent.entry.bands)
    assert student.blocks == blocks
    kept = network.get_submodule("inner").network.blocks
    for number in blocks:
        for name, value in whole.network.blocks[number - 1].state_dict().items():
            assert torch.equal(kept[number - 1].state_dict()[name], value)


def test_a_student_as_deep_as_its_teacher_computes_the_same():
    parent = teacher()
    images = example_images(parent.entry, parent.entry.bands, batch=2)
    whole, student = parent.network(parent.entry.bands), student_of("first:6", parent).network(parent.entry.bands)
    with torch.inference_mode():
        assert torch.equal(whole(images, [7])[0].grid, student(images, [7])[0].grid)


def test_random_students_follow_the_seed():
    parent = teacher()
    student = student_of("first:2.random", parent)
    first, same, other = (student.network(parent.entry.bands, seed=seed).state_dict() for seed in (1, 1, 2))
    whole = student_of("first:2", parent).network(parent.entry.bands).state_dict()
    weight = next(name for name in first if name.endswith("qkv.weight"))
    assert torch.equal(first[weight], same[weight])
    assert not torch.equal(first[weight], other[weight]) and not torch.equal(first[weight], whole[weight])
    assert student_of("imagenet_mobilenet_small.random", teacher("imagenet_resnet18.random")).random


def test_an_initial_student_is_an_entry_and_gives_students_itself(tmp_path):
    path = initial_student("first:4", "tiny_mae", out=tmp_path)
    card = read_card(path.with_name(CARD))
    assert (card.name, card.origin, card.base, card.parents) == (
        "tiny_mae.first_4.init", "distilled", "tiny_mae", ("tiny_mae",),
    )  # fmt: skip
    assert card.depth == 4 and card.trained_on == ("geobench-demo-unlabelled",)
    again = initial_student("every:2", "tiny_mae.first_4.init", out=tmp_path, name="again", entries=[tmp_path])
    assert read_card(again.with_name(CARD)).shape.blocks == (2, 4)
    (entry,), _ = model_catalogue.select(["again"], [tmp_path])
    backbone = entry.load(entry, again, 0, entry.bands)
    assert [layer.name for layer in backbone.layers] == ["embedding", "block_1", "block_2", "norm"]
    twin = student_of("again.random", teacher(), entries=[tmp_path])
    assert twin.random and twin.network(entry.bands, seed=3)


@pytest.mark.parametrize(
    ("word", "error", "text"),
    [
        ("first:7", BadSetting, "has 6 blocks"),
        ("first:0", BadSetting, "from 1"),
        ("every:x", BadSetting, "write first:2"),
        ("imagenet_resnet18", BadSetting, "take a smaller student, e.g. first:3"),
        ("no_such_model", UnknownName, "no model"),
    ],
)
def test_students_that_cannot_be_are_named(word, error, text, monkeypatch):
    monkeypatch.setattr("bench.catalogue.weights.WeightSources.find", lambda self, entry, *args, **more: None)
    with pytest.raises(error, match=text):
        student_of(word, teacher())


def test_stages_of_a_pyramid_are_not_left_out():
    parent = teacher("imagenet_resnet18.random")
    with pytest.raises(Incompatible, match="cannot be shortened"):
        student_of("first:2", parent).network(parent.entry.bands)
