"""Targets that are not sound stop a run before its network is run, whichever split holds them and however it learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.core import Task
from bench.core.errors import MissingData
from bench.input.content import Contents
from bench.input.splits import Splits
from bench.preflight.targets import check_targets, survey
from bench.protocols import finetune, knn, probe
from bench.runs.carry_out import carry_out
from bench.store import FeatureCache
from tests.builders import arms, sessions
from tests.builders.suite_and_model import BANDS, ToySplit, toy_suite

COUNTS = {"train": 24, "val": 12, "test": 12}
CHANGED = 7  # the sample whose target is changed


def suite_with(change, task, split, *, every=False, **facts):
    """The toy suite with the targets of one split changed: of one sample, or of every one."""

    class Changed(arms.Split):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            changed = self.ids[0].startswith(split) and (every or index == CHANGED)
            return sample._replace(target=change(sample.target)) if changed else sample

        def targets(self):
            if self.task in ("mask", "boxes", "height"):
                return np.ones((len(self), 1 if self.task != "mask" else 2))
            rows = [self[i].target for i in range(len(self))]
            return np.array(rows)

    return toy_suite(
        tasks=(dataclasses.replace(arms.TASKS[task], **facts),),
        splits=COUNTS,
        open=lambda root, name, part, bands: Changed(name, part, COUNTS[part], bands),
    )


def runs_of(task, suite, protocol):
    """A run and its session; networks are counted as they are loaded."""
    loaded = []

    def load(*given):
        loaded.append(given)
        return arms.load_tiny(*given)

    entry = dataclasses.replace(arms.ENTRY, load=load)
    settings = {"steps": 4, "learning_rates": (1e-3,), "tuning": "full"} if protocol is finetune else {}
    return arms.a_run(task, protocol=protocol, entry=entry, suite=suite, **settings), loaded


UNSOUND = [
    ("amount", lambda t: np.array([np.inf], np.float32), "is not finite"),
    ("kind", lambda t: 3, "label 3 is none of the 3 classes"),
    ("mask", lambda t: np.where(t == 0, 65537, t), "label 65537 is none of the 2 classes"),
    ("mask", lambda t: t[:8], r"mask of shape \(8, 16\), expected \(16, 16\)"),
    ("mask", lambda t: t + 0.5, "is no class code"),
    ("height", lambda t: t[:, :4], r"values of shape \(16, 4\)"),
    ("boxes", lambda t: {**t, "boxes": t["boxes"] * np.nan}, "is not finite"),
    ("boxes", lambda t: {**t, "boxes": t["boxes"][:, [0, 1, 0, 3]]}, "has no area"),
    ("boxes", lambda t: {**t, "labels": t["labels"] + 1}, "label 1 is none of the 1 classes"),
]


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize(("task", "change", "fault"), UNSOUND)
@pytest.mark.parametrize("protocol", [probe, finetune])
def test_unsound_targets_are_refused_before_anything_is_computed(tmp_path, split, task, change, fault, protocol):
    if protocol is probe and task == "boxes":
        pytest.skip("there is no probe of boxes")
    suite = suite_with(change, task, split)
    run, loaded = runs_of(task, suite, protocol)
    record = carry_out(run, sessions.new_session(tmp_path, suite))
    assert record.status == "failed" and not loaded
    name = {"train": 0, "val": 1000, "test": 2000}[split] + CHANGED
    assert f"toy {task} {split} {split}_{name}: " in record.error
    with pytest.raises(MissingData, match=fault):
        raise MissingData(record.error)


USELESS = [
    ("mask", lambda t: np.full_like(t, -1), "every label of every sample is ignored", ("train", "val", "test")),
    ("height", lambda t: np.full_like(t, np.nan), "no sample has a value", ("train", "val", "test")),
    ("amount", lambda t: t * np.nan, "no sample has a value", ("train", "val", "test")),
    ("boxes", lambda t: {"boxes": [], "labels": []}, "no sample has a box", ("train", "val", "test")),
    ("amount", lambda t: t * 0 + 4, r"the same for all samples \(4..4\)", ("train", "val", "test")),
    ("height", lambda t: t * 0 + 4, r"the same for all samples \(4..4\)", ("train",)),
    ("kind", lambda t: 1, "every sample is of class middle", ("train",)),
]


@pytest.mark.parametrize(("task", "change", "fault", "split"), [(*row[:3], name) for row in USELESS for name in row[3]])
def test_a_split_that_says_nothing_is_refused(tmp_path, task, change, fault, split):
    suite = suite_with(change, task, split, every=True)
    run, loaded = runs_of(task, suite, finetune)
    record = carry_out(run, sessions.new_session(tmp_path, suite))
    assert record.status == "failed" and not loaded
    with pytest.raises(MissingData, match=f"toy {task} {split}: no.*: .*{fault}"):
        raise MissingData(record.error)


@pytest.mark.parametrize("protocol", [probe, knn, finetune])
def test_a_sample_without_a_value_is_left_out_by_name(tmp_path, protocol):
    scores = {}
    for name, change in (("whole", lambda t: t), ("without", lambda t: t * np.nan)):
        suite = suite_with(change, "amount", "test")
        run, _ = runs_of("amount", suite, protocol)
        session = sessions.new_session(tmp_path / name, suite)
        record = carry_out(run, session)
        assert record.status == "ok", record.error
        scores[name] = session.store.arrays(record)["test.ids"].tolist()
    assert "test: left out 1 of 12, no target: test_2007" in record.notes
    assert scores["without"] == [sample for sample in scores["whole"] if sample != "test_2007"]
    assert all(np.isfinite(list(rule.values())).all() for rule in record.scores["test"].values())


@pytest.mark.parametrize("protocol", [probe, finetune])
@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("mask", lambda t: t[None].astype(np.float32)),
        ("mask", lambda t: t[..., None]),
        ("height", lambda t: t[None].astype(np.float64)),
        ("amount", lambda t: float(t[0])),
        ("kind", lambda t: np.array([t], np.float32)),
    ],
)
def test_repaired_targets_give_the_same_numbers(tmp_path, task, change, protocol):
    records = []
    for name, how in (("plain", lambda t: t), ("repaired", change)):
        suite = suite_with(how, task, "", every=True)
        run, _ = runs_of(task, suite, protocol)
        records.append(carry_out(run, sessions.new_session(tmp_path / name, suite)))
        assert records[-1].status == "ok", records[-1].error
    assert records[0].scores == records[1].scores


def test_a_code_beyond_int16_that_is_ignored_stays_ignored(tmp_path):
    """65535 as no-data: kept as -1 it would be refused, and 65537 would become class 1."""
    records = []
    for ignore in (-1, 65535):
        suite = suite_with(lambda t, code=ignore: np.where(t == -1, code, t), "mask", "", every=True, ignore=ignore)
        run, _ = runs_of("mask", suite, probe)
        run = dataclasses.replace(run, task=suite.tasks[0])
        session = sessions.new_session(tmp_path / str(ignore), suite)
        records.append(carry_out(run, session))
        assert records[-1].status == "ok", records[-1].error
    assert records[0].scores == records[1].scores


def test_masks_without_a_label_are_named_and_count_for_nothing(tmp_path):
    suite = suite_with(lambda t: np.full_like(t, -1), "mask", "test")
    run, _ = runs_of("mask", suite, probe)
    session = sessions.new_session(tmp_path, suite)
    record = carry_out(run, session)
    assert record.status == "ok" and "test: 1 of 12 have every label ignored: test_2007" in record.notes
    assert session.store.arrays(record)["test.confusion"][:, CHANGED].sum() == 0


def test_the_survey_is_kept_as_long_as_no_file_changes(tmp_path):
    """Targets of dense tasks come with their images: each is read once, whatever the number of models and runs."""
    reads = []

    class Counted(ToySplit):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "labels.txt").write_text("one")
    suite = toy_suite(folder="files", open=lambda root, task, split, bands: Counted(task, split, 20, bands))

    def check():
        contents = Contents(data=Splits(suite=suite, root=tmp_path), cache=FeatureCache(tmp_path / "cache"))
        given = {"started": lambda split, count: None, "workers": 2}
        return check_targets(contents, suite.tasks[2], ("train", "val", "test"), BANDS[0], **given)

    first = check()
    assert sorted(reads) == sorted([*range(20)] * 3)
    assert check() == first and len(reads) == 60
    (tmp_path / "files" / "labels.txt").write_text("another")
    assert check() == first and len(reads) == 120


def test_a_survey_counts_what_is_there(tmp_path):
    suite = toy_suite(open=lambda root, task, split, bands: ToySplit(task, split, 20, bands))
    contents = Contents(data=Splits(suite=suite, root=tmp_path), cache=FeatureCache(tmp_path / "cache"))
    seen = []
    counted = survey(contents, suite.tasks[2], "train", BANDS[0], started=lambda *given: seen.append(given), workers=2)
    assert (counted.samples, counted.labelled, counted.lowest, counted.highest) == (
        20,
        20,
        0,
        1,
    ) and not counted.constant
    assert seen == [("train", 20)]
    other = Task(name="kind", kind="classification", classes=("low", "middle", "high"), metric="accuracy")
    counted = survey(contents, other, "train", BANDS[0], started=lambda *given: seen.append(given), workers=2)
    assert counted.labelled == 20 and len(seen) == 1  # the suite lists them
