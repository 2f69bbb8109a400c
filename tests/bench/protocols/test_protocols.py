"""The probe finds what was planted where it was planted, and chooses without ever seeing a test label."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from bench.core import Task
from bench.core.errors import Incompatible, UnknownName
from bench.features.labelled import select_layers
from bench.metrics import METRICS, score, segmentation
from bench.metrics.boxes import average_precision, matched
from bench.protocols import knn, probe
from bench.protocols.contract.selection import Candidate, choose
from bench.runs.carry_out import carry_out
from bench.runs.labels import label
from tests.builders.sessions import ENTRY, SUITE, a_run, new_session
from tests.builders.suite_and_model import BANDS, DEPTH, ToySplit, load_toy, toy_entry, toy_suite


@pytest.fixture
def session(tmp_path):
    return new_session(tmp_path)


@pytest.mark.parametrize(
    ("task", "protocol", "high"), [(0, probe, 0.9), (1, probe, 0.8), (2, probe, 0.8), (0, knn, 0.85), (1, knn, 0.7)]
)
def test_the_planted_layer_is_found_on_validation(session, task, protocol, high):
    record = carry_out(a_run(task, protocol), session)
    assert record.status == "ok", record.error
    assert record.choices["best-on-val"]["layer"] == "block_2"
    assert record.choices["last"]["layer"] == f"block_{DEPTH}"
    metric = SUITE.tasks[task].metric
    best, last = (record.scores["test"][rule][metric] for rule in ("best-on-val", "last"))
    assert best > high and best > last + 0.2
    assert [row["layer"] for row in record.curves] == ["embedding", "block_1", "block_2", "block_3", "block_4"]
    assert record.curves[2]["test"] == best


def test_stored_outcomes_give_the_stored_scores(session):
    for task in range(3):
        record = carry_out(a_run(task), session)
        arrays = session.store.arrays(record)
        index = record.choices["best-on-val"]["index"]
        names = [name.partition(".")[2] for name in record.arrays]
        outcome = {name: arrays[f"test.{name}"] for name in names}
        for name in set(names) & {"prediction", "confidence", "confusion"}:
            outcome[name] = outcome[name][index]
        for metric, value in score(SUITE.tasks[task], outcome).items():
            np.testing.assert_allclose(value, record.scores["test"]["best-on-val"][metric], rtol=1e-3, atol=1e-3)
        assert len(arrays["test.ids"]) == len(arrays["test.blocks"]) == 90


@pytest.mark.parametrize("protocol", [probe, knn])
def test_poisoned_test_labels_move_no_choice(tmp_path, protocol):
    clean = carry_out(a_run(0, protocol), new_session(tmp_path / "clean"))
    session = new_session(tmp_path / "poisoned")
    session.data.split(SUITE.tasks[0], "test", BANDS).poison = True
    poisoned = carry_out(a_run(0, protocol), session)
    assert clean.choices == poisoned.choices
    assert [row["val"] for row in clean.curves] == [row["val"] for row in poisoned.curves]
    assert clean.scores != poisoned.scores


def test_test_splits_stay_closed_until_the_choice_is_made(session, monkeypatch):
    opened, before_choice = [], []

    def spied_label(run, splits, store, features, name):
        opened.append(name)
        return label(run, splits, store, features, name)

    def spied_choose(candidates, layers):
        before_choice.extend(opened)
        return choose(candidates, layers)

    monkeypatch.setattr("bench.runs.context.label", spied_label)
    monkeypatch.setattr(probe, "choose", spied_choose)
    assert carry_out(a_run(0), session).status == "ok"
    assert before_choice == ["train", "val"] and opened == ["train", "val", "test"]


def test_fractions_train_on_fewer_and_say_so(session):
    record = carry_out(a_run(0, fraction=0.1), session)
    assert 10 <= record.facts["n_train"] <= 14 and record.facts["n_test"] == 90
    saved = list((session.store.root / "toy" / "subsets").iterdir())
    assert sorted(path.name for path in saved) == ["kind_train_0.1_0.txt", "kind_val_0.1_0.txt"]
    assert saved[0].read_text().startswith("# sha256 ")


def test_one_pass_serves_every_protocol_and_fraction(tmp_path):
    loads = []
    entry = toy_entry(load=lambda *arguments: loads.append(1) or load_toy(*arguments))
    session = new_session(tmp_path)
    passes = 0.0
    for protocol in (probe, knn):
        for fraction in (0.1, 1.0):
            record = carry_out(a_run(0, protocol, entry=entry, fraction=fraction), session)
            passes += record.cost["passes"]
    assert passes == 120 + 60 + 90 and len(loads) == 1


def test_layers_can_be_named_and_a_misspelt_one_is_an_error(session):
    record = carry_out(a_run(0, layers=("block_2", "last")), session)
    assert [row["layer"] for row in record.curves] == ["block_2", "block_4"]
    failed = carry_out(a_run(0, layers=("blok_2",)), session)
    assert failed.status == "failed" and "did you mean block_2" in failed.error
    with pytest.raises(UnknownName):
        select_layers(load_toy(ENTRY, None, 0, BANDS).layers, ["block_5"], "toy")


def test_a_subset_of_one_class_fails_by_name_and_loses_nothing(tmp_path):
    suite = toy_suite()
    session = new_session(tmp_path, suite)
    split = session.data.split(suite.tasks[0], "train", BANDS)
    split.targets = lambda: np.zeros(len(split), int)
    record = carry_out(a_run(0), session)
    assert record.status == "failed" and "class" in record.error
    assert session.store.get(record.key).error == record.error


def test_validation_without_a_single_label_is_named(tmp_path):
    session = new_session(tmp_path)
    split = session.data.split(SUITE.tasks[2], "val", BANDS)
    inner = type(split).__getitem__
    split.__class__ = type(
        "Blank", (type(split),), {"__getitem__": lambda self, i: inner(self, i)._replace(target=np.full((16, 16), -1))}
    )
    record = carry_out(a_run(2), session)
    assert record.status == "failed" and "no validation sample can be scored" in record.error


def test_wrong_units_stop_a_run_before_it_costs_anything(tmp_path):
    from bench.core import Band, Normalise

    reflectance = tuple(Band(name=band.name, unit="reflectance") for band in BANDS)
    entry = toy_entry(bands=reflectance, normalise=Normalise(kind="affine", shift=(1500.0,) * 2, scale=(500.0,) * 2))
    record = carry_out(a_run(0, entry=entry), new_session(tmp_path))
    assert record.status == "ok" or "not the scale the network was trained on" in record.error
    far = toy_entry(bands=reflectance, normalise=Normalise(kind="affine", shift=(0.0,) * 2, scale=(1e-3,) * 2))
    record = carry_out(a_run(0, entry=far), new_session(tmp_path / "far"))
    assert record.status == "failed" and "is the unit right?" in record.error and record.cost["passes"] == 0


def test_the_seed_recorded_is_the_seed_used(tmp_path):
    entry = toy_entry(origin="random", weights=None)
    runs = [a_run(0, entry=entry) for _ in range(2)]
    other = dataclasses.replace(runs[0], key=dataclasses.replace(runs[0].key, seed=5, weights="random"))
    same = dataclasses.replace(runs[1], key=dataclasses.replace(runs[1].key, seed=0, weights="random"))
    curves = [
        carry_out(run, new_session(tmp_path / name)).curves for run, name in ((same, "a"), (same, "b"), (other, "c"))
    ]
    assert curves[0] == curves[1] != curves[2]


def test_ties_go_to_the_lower_loss_then_the_earlier_layer():
    def candidate(layer, score, loss=0.0):
        return Candidate(layer=layer, pool="mean", setting=1.0, edge=False, score=score, loss=loss)

    choice = choose(
        [
            candidate(0, 0.9, 0.3),
            candidate(0, 0.9, 0.2),
            candidate(1, 0.9, 0.2),
            candidate(2, 0.5),
            candidate(2, float("nan")),
        ],
        3,
    )
    assert [c.loss for c in choice.by_layer[:2]] == [0.2, 0.2]
    assert choice.rules == {"last": 2, "best-on-val": 0} and choice.by_layer[2].score == 0.5
    with pytest.raises(Incompatible, match="nothing can be chosen"):
        choose([candidate(0, float("nan"))], 1)


def test_metrics_by_hand():
    matrix = np.array([[3, 1], [2, 4]])
    scores = segmentation(matrix)
    assert scores["miou"] == pytest.approx((3 / 6 + 4 / 7) / 2) and scores["pixel_accuracy"] == pytest.approx(0.7)
    absent = np.zeros((3, 3), int)
    absent[:2, :2] = matrix
    assert segmentation(absent)["miou"] == pytest.approx(scores["miou"]) and segmentation(absent)["classes_absent"] == 1
    assert np.isnan(segmentation(np.zeros((2, 2)))["miou"])
    # Summed over images, not the mean of per-image scores.
    parts = np.array([[[3, 0], [0, 0]], [[0, 1], [2, 4]]])
    assert segmentation(parts)["miou"] == pytest.approx(scores["miou"])
    assert set(scores) - {"iou_0", "iou_1", "classes_absent"} <= set(METRICS)


def test_classification_and_regression_scores_equal_scikit_learn():
    from scipy.stats import spearmanr
    from sklearn import metrics as reference

    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    confidence = rng.uniform(0.25, 1, 500)
    task = dataclasses.replace(SUITE.tasks[0], classes=("a", "b", "c", "d"))
    scores = score(task, {"prediction": predicted, "target": target, "confidence": confidence})
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(target, predicted))
    assert scores["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(target, predicted))
    assert scores["macro_f1"] == pytest.approx(reference.f1_score(target, predicted, average="macro"))
    edges = np.linspace(0, 1, 16)
    gaps = [
        abs((predicted == target)[inside].mean() - confidence[inside].mean()) * inside.mean()
        for low, high in itertools.pairwise(edges)
        if (inside := (confidence > low) & (confidence <= high)).any()
    ]
    assert scores["ece"] == pytest.approx(sum(gaps))
    value = rng.normal(size=(300, 2))
    guess = value + rng.normal(size=(300, 2))
    scores = score(SUITE.tasks[1], {"prediction": guess, "target": value})
    assert scores["r2"] == pytest.approx(reference.r2_score(value, guess))
    assert scores["mae"] == pytest.approx(reference.mean_absolute_error(value, guess))
    assert scores["spearman"] == pytest.approx(np.mean([spearmanr(value[:, j], guess[:, j])[0] for j in range(2)]))
    labels = (rng.uniform(size=(300, 5)) < 0.3).astype(int)
    chance = np.clip(labels * 0.3 + rng.uniform(size=(300, 5)) * 0.6, 0, 1)
    task = dataclasses.replace(SUITE.tasks[0], kind="multilabel", classes=tuple("abcde"), metric="map")
    scores = score(task, {"prediction": chance, "target": labels})
    assert scores["map"] == pytest.approx(reference.average_precision_score(labels, chance, average="micro"), abs=1e-4)
    assert scores["macro_map"] == pytest.approx(reference.average_precision_score(labels, chance), abs=1e-4)


def test_a_layer_that_says_the_same_of_every_image_stands_in_the_record(tmp_path):
    def load(*arguments):
        backbone = load_toy(*arguments)
        inner = backbone.forward
        backbone.forward = lambda *a, **k: [
            type(t)(*(part * 0 + 1 for part in t)) if i == 1 else t for i, t in enumerate(inner(*a, **k))
        ]
        return backbone

    record = carry_out(a_run(0, knn, entry=toy_entry(load=load)), new_session(tmp_path))
    assert record.status == "ok" and "unhealthy features: block_1.mean is the same for every image" in record.notes


@pytest.mark.parametrize(("task", "code"), [(0, 3), (0, -1), (2, 2), (2, -2)])
@pytest.mark.parametrize("where", ["train", "val", "test"])
def test_a_label_that_is_no_class_is_named(tmp_path, task, code, where):
    def open_split(root, name, split, bands):
        return strange if split == where else SUITE.open(root, name, split, bands)

    class Strange(ToySplit):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            if self.task == "mask" and index == 7:
                sample.target[3, 3] = code
            return sample

        def targets(self):
            labels = super().targets()
            if self.task == "kind":
                labels[7] = code
            return labels

    strange = Strange(SUITE.tasks[task].name, where, 20, BANDS)
    suite = dataclasses.replace(SUITE, open=open_split)
    record = carry_out(a_run(task, suite=suite), new_session(tmp_path, suite))
    assert record.status == "failed"
    assert f"{where}_" in record.error
    assert f"label {code} is none of the" in record.error


HEIGHT = Task(name="height", kind="dense_regression", quantity="height", unit="m", metric="r2")
GONE = Task(name="gone", kind="change", classes=("same", "gone"), metric="miou", ignore=-1)


class Dense(ToySplit):
    """Heights that follow the second band, and a second date on which part of each image has changed."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        image = sample.images["s2"]
        if self.task == "height":
            coarse = image[0, 0].reshape(4, 4, 4, 4).mean((1, 3))
            height = coarse.repeat(4, 0).repeat(4, 1) / 100
            height[0] = np.nan
            return sample._replace(target=height.astype(np.float32))
        later, changed = image.copy(), np.zeros((16, 16), np.int64)
        corner = 4 * (int(self.numbers[index]) % 3)
        later[:, :, corner : corner + 8, corner : corner + 8] += 3000
        changed[corner : corner + 8, corner : corner + 8] = 1
        changed[0] = -1
        return sample._replace(images={"s2": np.concatenate([image, later])}, target=changed)

    def targets(self):
        if self.task == "height":
            return np.stack([[np.nanmean(self[i].target)] for i in range(len(self))]).astype(np.float32)
        return np.ones((len(self), 2), int)


@pytest.mark.parametrize("task", [HEIGHT, GONE])
def test_values_and_changes_are_probed_pixel_by_pixel(tmp_path, task):
    def open_split(root, name, split, bands):
        return Dense(name, split, 24, bands)

    dates = 2 if task is GONE else 1
    suite = dataclasses.replace(SUITE, open=open_split, tasks=(task,), dates=dates)
    session = new_session(tmp_path, suite)
    record = carry_out(a_run(0, suite=suite, entry=dataclasses.replace(ENTRY, temporal=True)), session)
    assert record.status == "ok", record.error
    planted = next(row for row in record.curves if row["layer"] == "block_2")
    others = [row["test"] for row in record.curves if row["layer"] != "block_2"]
    assert planted["test"] > 0.9 and record.choices["best-on-val"]["layer"] == "block_2"
    assert planted["test"] > max(others) + 0.2
    arrays = session.store.arrays(record)
    if task is HEIGHT:
        assert arrays["test.errors"].shape == (DEPTH + 1, 24, 5)
        assert "test.confusion" not in arrays
    board = build_report(session.store)
    rows = board[board.layer == "best-on-val"]
    assert rows["low"].item() <= rows["score"].item() <= rows["high"].item()
    assert knn.refuses(ENTRY, suite, task, knn.Settings())


def build_report(store):
    from analysis.report.write import build

    return build(store, "toy").tables.leaderboard


def test_box_scores_by_hand():
    """Two objects of one class, one found well and first, one found at IoU 0.62, and a false alarm between them."""
    truth = [{"boxes": [[0, 0, 10, 10], [20, 20, 30, 30]], "labels": [0, 0]}, {"boxes": [], "labels": []}]
    predicted = [
        {"boxes": [[0, 0, 10, 10], [20, 20, 30, 26.2]], "scores": [0.9, 0.5], "labels": [0, 0]},
        {"boxes": [[5, 5, 9, 9]], "scores": [0.7], "labels": [0]},
    ]
    scores = average_precision(*matched(predicted, truth, 1))
    # COCO reads the precision at 101 recalls: 1 up to recall 0.5 (51 of them), then 2/3 where the second counts.
    half, whole = 51 / 101, (51 + 50 * 2 / 3) / 101
    assert scores["box_map50"] == pytest.approx(whole, abs=1e-6)
    assert scores["box_map"] == pytest.approx((3 * whole + 7 * half) / 10, abs=1e-6)  # 0.62 counts at 3 of 10
    assert average_precision(*matched(truth_as_said(truth), truth, 1))["box_map"] == pytest.approx(1.0)
    assert np.isnan(average_precision(*matched([predicted[1]], [truth[1]], 1))["box_map"])


def truth_as_said(truth):
    return [{**image, "scores": [1.0] * len(image["labels"])} for image in truth]
