"""Distillation: exact against plain training and the teacher itself, governed by its seed, for every kind of task."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, read_card
from bench.catalogue.suites import load as load_suite
from bench.config import validate
from bench.core import BadSetting, Incompatible, MissingWeights, Structure
from bench.finetuning.evaluation import validation_score
from bench.finetuning.fit import batches_of, fit
from bench.foundry.contract.resolved import Parent
from bench.foundry.contract.workbench import TaskData
from bench.foundry.distill import RECIPE
from bench.foundry.distillation.carry_out import objective, student_arm
from bench.foundry.distillation.outputs import TeacherOutputs
from bench.foundry.distillation.students import Student
from bench.foundry.distillation.teacher import recorded_teacher, state_hash, tuned_teacher
from bench.input.splits import Splits
from bench.store import default_cache
from tests.builders.arms import COUNTS, ENTRY, SUITE, TASKS, Split, outcome
from tests.builders.suite_and_model import BANDS

QUICK = {"steps": 4, "batch": 6, "evaluations": 2, "learning_rates": [3e-3]}
KINDS = ("kind", "amount", "mask", "height", pytest.param("boxes", marks=pytest.mark.slow))


def the_settings(**words):
    given = {"teacher": "toy", "student": "first:2", "suite": "toy", "tuned": QUICK, "training": QUICK, **words}
    return validate(RECIPE.settings, given)


def the_data(folder, task="kind", labels=1.0):
    return TaskData(suite=SUITE, task=TASKS[task], splits=Splits(suite=SUITE, root=folder), bands=BANDS, labels=labels)


PARENT = Parent(entry=ENTRY, path=None, base="toy", shape=Structure())


def prepared(folder, task="kind", *, blocks=(1, 2), labels=1.0, **words):
    """Return teacher, arm of the student and what distillation adds to it."""
    settings, data = the_settings(**words), the_data(folder, task, labels)
    teacher = tuned_teacher(PARENT, data, settings, "cpu", lambda text: None)
    student = Student(word="first:2", parent=PARENT, blocks=blocks, random=False)
    arm = student_arm(student, data, settings, teacher, folder=folder, device="cpu")
    return teacher, arm, objective(arm, student, teacher, settings, folder)


def states(fitted):
    return {name: value for name, value in fitted.trained.state.items() if not name.startswith("addition")}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("task", KINDS)
def test_without_the_teacher_it_is_plain_training(tmp_path, task):
    _, arm, addition = prepared(tmp_path, task, strength=0)
    assert equal(states(fit(arm, 0, 3e-3)), states(fit(arm, 0, 3e-3, addition=addition)))


@pytest.mark.parametrize("task", KINDS)
def test_a_full_copy_of_the_teacher_starts_without_a_distance(tmp_path, task):
    _, arm, addition = prepared(tmp_path, task, blocks=(1, 2, 3, 4), start="teacher")
    model = arm.build()
    model.addition = addition.modules(arm, model)
    model.eval()
    (batch,) = batches_of(arm, arm.train)(0)
    batch = dataclasses.replace(batch, target=None)
    with torch.no_grad():
        assert float(addition.loss(model, batch)) == pytest.approx(0, abs=1e-5)
    _, other, addition = prepared(tmp_path, task)
    model = other.build().eval()
    with torch.no_grad():
        assert float(addition.loss(model, batch)) > 1e-3


def test_the_term_is_weighted_by_lambda(tmp_path):
    values = {}
    for strength in (1.0, 3.0):
        _, arm, addition = prepared(tmp_path, "mask", strength=strength)
        (batch,) = batches_of(arm, arm.train)(0)
        model = arm.build().eval()
        values[strength] = float(addition.loss(model, batch)), float(addition.task_loss(model(batch), batch))
    (first, plain), (third, _) = values[1.0], values[3.0]
    assert third - plain == pytest.approx(3 * (first - plain), rel=1e-4)


def test_the_teacher_does_not_change(tmp_path):
    teacher, arm, addition = prepared(tmp_path, "mask", features="cosine", relations=1.0)
    before, entry = state_hash(teacher.model), state_hash(PARENT.network(BANDS))
    fit(arm, 0, 3e-3, addition=addition)
    assert state_hash(teacher.model) == before and state_hash(PARENT.network(BANDS)) == entry


@pytest.mark.parametrize("task", ["kind", "mask", pytest.param("boxes", marks=pytest.mark.slow)])
def test_stored_and_computed_outputs_agree(tmp_path, task):
    words = {"features": "mse", "relations": 1.0}
    _, arm, stored = prepared(tmp_path, task, **words)
    _, _, computed = prepared(tmp_path, task, cache=False, **words)
    model = arm.build()
    model.addition = stored.modules(arm, model)
    model.eval()
    for step in (0, 9, 9):  # another epoch, seen in another view; the second time from the store
        (batch,) = [dataclasses.replace(each, target=None) for each in batches_of(arm, arm.train)(step)][:1]
        with torch.no_grad():
            assert float(stored.loss(model, batch)) == pytest.approx(float(computed.loss(model, batch)), rel=1e-4)
    stored.outputs[""].close()
    _, _, again = prepared(tmp_path, task, **words)
    with torch.no_grad():
        assert float(again.loss(model, batch)) == float(stored.loss(model, batch))
    assert again.outputs[""].images == 0 and list((default_cache() / "teachers").glob("*/*.npy"))


def test_views_of_teacher_and_student_are_the_same(tmp_path):
    """The teacher's stored mask of a view is the one that it predicts for the student's images of that epoch."""
    teacher, arm, addition = prepared(tmp_path, "mask", blocks=(1, 2, 3, 4))
    per_epoch = len(arm.train) // 6
    for epoch in (0, 1, 2, 5):
        (batch,) = batches_of(arm, arm.train)(epoch * per_epoch)
        with torch.no_grad():
            direct = teacher.model(batch)  # both read the same bands at the same size
        assert torch.allclose(addition.outputs[""].read(batch)["output"], direct, atol=1e-5)
        assert set(batch.views) == {(0, 4, 1, 5, 2, 6)[epoch]}


def test_unlabelled_images_add_the_term_alone(tmp_path):
    _, arm, addition = prepared(tmp_path, "kind", labels=0.25, unlabelled="rest")
    labelled, (free,) = batches_of(arm, arm.train)(0), addition.batches(0)
    assert free.target is None and free.source == "rest"
    pool = addition.outputs["rest"].examples
    assert set(pool.ids).isdisjoint(arm.train.ids) and len(pool) + len(arm.train) == COUNTS["train"]
    model = arm.build().eval()
    (batch,) = labelled
    with torch.no_grad():
        whole = float(addition.loss(model, batch))
        term = float(addition.loss(model, dataclasses.replace(batch, target=None)))
        assert whole == pytest.approx(term + 2 * float(addition.task_loss(model(batch), batch)), rel=1e-5)
    assert math.isfinite(fit(arm, 0, 3e-3, addition=addition).trained.score)


def test_labels_of_unlabelled_images_are_not_read(tmp_path, monkeypatch):
    _, arm, addition = prepared(tmp_path, "kind", labels=0.25, unlabelled="rest")
    fitted = states(fit(arm, 0, 3e-3, addition=addition))
    labelled = set(arm.train.ids)
    original = Split.__getitem__

    def poisoned(self, index):
        sample = original(self, index)
        train = self.ids[index] not in labelled and self.ids[index].startswith("train")
        return sample._replace(target="poison") if train else sample

    monkeypatch.setattr(Split, "__getitem__", poisoned)
    _, arm, addition = prepared(tmp_path, "kind", labels=0.25, unlabelled="rest")
    assert equal(fitted, states(fit(arm, 0, 3e-3, addition=addition)))


def test_random_augmentations_have_no_stored_outputs(tmp_path):
    _, arm, addition = prepared(tmp_path)
    (batch,) = batches_of(arm, arm.train)(0)
    outputs = addition.outputs[""]
    assert isinstance(outputs, TeacherOutputs)
    with pytest.raises(Incompatible, match="augment=views or none"):
        outputs.read(dataclasses.replace(batch, views=None))


def test_a_record_that_kept_its_weights_is_a_teacher(tmp_path):
    """The network of the record predicts again what the record says of its validation score."""
    record, _ = outcome(tmp_path, "kind", tuning=("full",), keep=True, steps=8)
    teacher = recorded_teacher(record, PARENT, the_data(tmp_path), "cpu")
    assert validation_score(teacher.arm, teacher.model) == pytest.approx(teacher.validation)
    with pytest.raises(Incompatible, match="outputs do not fit"):
        recorded_teacher(record, PARENT, the_data(tmp_path, "amount"), "cpu")
    path = default_cache() / "tuned" / f"{record.digest}.safetensors"
    path.unlink()
    with pytest.raises(MissingWeights, match=r"finetune\.keep=true"):
        recorded_teacher(record, PARENT, the_data(tmp_path), "cpu")


def make(folder, **words):
    given = {
        "teacher": "tiny_mae", "student": "first:2", "suite": "demo", "task": "landcover", "labels": 0.05,
        "tuned": {"steps": 2, "evaluations": 1, "batch": 4}, "training": {"steps": 2, "evaluations": 1, "batch": 4},
        **words,
    }  # fmt: skip
    return RECIPE.run(validate(RECIPE.settings, given), data=folder, out=folder / "entries")


@pytest.mark.slow
def test_an_entry_is_left_that_loads_without_its_teacher(tmp_path):
    path = make(tmp_path)
    card = read_card(path.with_name(CARD))
    assert (card.name, card.origin, card.parents) == ("tiny_mae.first_2.distilled", "distilled", ("tiny_mae",))
    assert card.trained_on == ("geobench-demo-unlabelled", load_suite("demo").dataset)
    assert set(card.scores) == {"val", "teacher_val", "test", "teacher_test"}
    assert card.data["labels"] == 0.05 and card.cost["teacher_steps"] == 2 and card.settings["strength"] == 1
    head = load_file(path.with_name("head.safetensors"))
    assert any(name.startswith("decoder.") for name in head)
    (entry,), _ = model_catalogue.select(["tiny_mae.first_2.distilled"], [tmp_path / "entries"])
    backbone = entry.load(entry, path, 0, entry.bands)
    assert [layer.name for layer in backbone.layers] == ["embedding", "block_1", "block_2", "norm"]
    again = make(tmp_path, teacher="tiny_mae.first_2.distilled", student="first:1", entries=[tmp_path / "entries"])
    assert read_card(again.with_name(CARD)).parents == ("tiny_mae.first_2.distilled",)


@pytest.mark.slow
def test_seeds_govern_everything(tmp_path, monkeypatch):
    torch.rand(5)
    first = make(tmp_path / "a", features="mse").read_bytes()
    monkeypatch.setenv("GEOBENCH_CACHE", str(tmp_path / "fresh"))
    torch.rand(3)
    np.random.rand(3)
    assert make(tmp_path / "b", features="mse").read_bytes() == first
    assert make(tmp_path / "c", features="mse", seed=1).read_bytes() != first


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"teacher": ["tiny_mae", "tiny_dino"]}, "one teacher"),
        ({"training": {"tuning": ["frozen"]}}, "trained as a whole"),
        ({"training": {"augment": ["flips"]}}, "deterministic views"),
        ({"tuned": {"tuning": ["frozen"]}}, "too weak a teacher"),
        ({"student": "first:9"}, "has 6 blocks"),
        ({"student": "imagenet_resnet18.random"}, "take a smaller student"),
        ({"start": "teacher", "tuned": {"tuning": ["lora"]}}, "only full"),
        ({"unlabelled": "rest", "labels": 1.0, "tuned": {"steps": 1, "batch": 2, "evaluations": 1}}, "labels= below 1"),
        ({"task": ""}, "name one with task="),
    ],
)
def test_requests_that_make_no_sense_are_named(tmp_path, words, text):
    with pytest.raises((BadSetting, Incompatible), match=text):
        make(tmp_path, **words)


@pytest.mark.slow
def test_a_loss_that_diverges_is_named_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bench.foundry.distillation.objective.output_term", lambda output, *_, **__: output.sum() * float("nan")
    )
    with pytest.raises(Incompatible, match=r"the loss is nan.*lower training\.learning_rates"):
        make(tmp_path)
