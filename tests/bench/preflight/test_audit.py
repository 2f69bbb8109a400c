"""An audit names every fault of a folder at once, and a sound one has none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.core import Sample, Task
from bench.core.errors import MissingData
from bench.preflight.audit import audit, faults_of
from suites.reading.samples import Samples
from tests.builders.suite_and_model import BANDS, ToySplit, toy_suite
from tests.builders.suites import suite_of
from tests.fixtures.datasets.sen1floods11 import write as write_sen1floods11

SUITE = toy_suite()


def sample(value=1500.0, target=1, shape=(1, 2, 16, 16)):
    return Sample(images={"s2": np.full(shape, value, np.float32)}, target=target)


MASK = np.zeros((16, 16), np.int64)
BOXES = Task(name="boxes", kind="detection", classes=("tree",), metric="box_map")
HEIGHT = Task(name="height", kind="dense_regression", quantity="height", unit="m", metric="r2")
LABELS = Task(name="labels", kind="multilabel", classes=("a", "b"), metric="micro_f1")


@pytest.mark.parametrize(
    ("split", "task", "fault"),
    [
        (sample(), SUITE.tasks[0], None),
        (sample(target=3), SUITE.tasks[0], "label 3 is none of the 3"),
        (sample(value=-1e6), SUITE.tasks[0], r"s2\.b04: .* lies outside dn"),
        (sample(value=np.nan), SUITE.tasks[0], r"s2\.b04: not one value"),
        (sample(shape=(1, 2, 8, 16)), SUITE.tasks[0], "shape"),
        (sample(shape=(2, 2, 16, 16)), SUITE.tasks[0], "shape"),
        (sample(target=np.array([np.nan])), SUITE.tasks[1], "not finite"),
        (sample(target=MASK - 1), SUITE.tasks[2], None),
        (sample(target=MASK + 7), SUITE.tasks[2], "label 7 is none"),
        (sample(target=MASK[:8]), SUITE.tasks[2], "mask of shape"),
        (sample(target=np.full((16, 16), np.nan, np.float32)), HEIGHT, None),
        (sample(target=np.zeros((4, 4), np.float32)), HEIGHT, "values of shape"),
        (sample(target=np.array([0, 2])), LABELS, "expected 2 of 0 or 1"),
        (sample(target={"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}), BOXES, None),
        (sample(target={"boxes": [[1, 1, 1, 5]], "labels": [0]}), BOXES, "box 1 1 1 5 has no area"),
        (sample(target={"boxes": [[1, 1, 17, 5]], "labels": [0]}), BOXES, "reaches outside 16 x 16"),
        (sample(target={"boxes": [[1, 1, 5, 5]], "labels": [1]}), BOXES, "label 1 is none of the 1"),
        (Sample(images={}, target=1), SUITE.tasks[0], "no image of s2"),
    ],
)
def test_each_fault_is_named(split, task, fault):
    import re

    faults = list(faults_of(split, SUITE, task, BANDS))
    assert (not faults) if fault is None else any(re.search(fault, text) for text in faults)


def test_all_faults_come_at_once_and_a_reader_that_fails_ends_nothing():
    def open_split(root, task, split, bands):
        whole = ToySplit(task, split, {"train": 120, "val": 60, "test": 90}[split], bands)
        if split == "val":
            raise MissingData("val.csv is absent; download it again")

        def read(index):
            if index == 7:
                raise MissingData("image 7 is cut short")
            if index == 9:
                raise ZeroDivisionError("a bug")
            return whole[index]._replace(target=5) if index == 11 else whole[index]

        ids = [*whole.ids[:-1], "train_0"] if split == "test" else whole.ids
        return Samples(ids=ids, blocks=ids, read=read, read_targets=whole.targets)

    import dataclasses

    suite = dataclasses.replace(SUITE, open=open_split, splits={"train": 121, "val": 60, "test": 90})
    rows = audit(suite, Path(), suite.tasks[:1], BANDS)
    findings = [(row["split"], row["about"], row["what"]) for row in rows]
    assert (
        "kind train",
        "split",
        "120 samples, 121 were expected",
    ) in findings
    assert ("kind train", "train_7", "image 7 is cut short") in findings
    assert ("kind train", "train_9", "ZeroDivisionError: a bug") in findings
    assert ("kind train", "train_11", "target: label 5 is none of the 3 classes of kind; known are 0..2") in findings
    assert ("kind val", "split", "val.csv is absent; download it again") in findings
    assert ("kind test", "split", "train_0 is in train too") in findings


def test_a_real_layout_is_audited_from_the_command_line(tmp_path):
    folder = write_sen1floods11(tmp_path)
    suite = suite_of("sen1floods11")
    assert {row["state"] for row in audit(suite, tmp_path, suite.tasks, suite.bands[:2])} == {"warning", "ok"}
    chip = next((folder / "v1.1" / "data" / "flood_events" / "HandLabeled" / "S1Hand").glob("Mekong*"))
    chip.write_bytes(chip.read_bytes()[:500])
    command = Path(sys.executable).parent / "geobench-doctor"
    if not command.exists():
        command = Path(shutil.which("geobench-doctor") or "geobench-doctor")
    words = ["suite=sen1floods11", "--audit", f"data={tmp_path}", "--json"]
    done = subprocess.run([command, *words], capture_output=True, text=True, check=False)
    faults = [row for row in json.loads(done.stdout) if row["state"] == "error"]
    assert done.returncode == 1 and [row["about"] for row in faults] == ["Mekong_2"]
    assert chip.name in faults[0]["what"]


def test_the_hash_of_a_split_covers_every_pixel_and_target():
    class One(ToySplit):
        change = 0.0

        def __getitem__(self, index):
            sample = super().__getitem__(index)
            sample.images["s2"][0, 1, -1, -1] += self.change * (index == 19)
            return sample._replace(target=(sample.target + 1) % 3 if self.change < 0 and index == 7 else sample.target)

    hashes = []
    for change in (0.0, 0.0, 0.5, -1e-30):
        kind = type("Changed", (One,), {"change": change})
        suite = toy_suite(open=lambda root, task, split, bands, kind=kind: kind(task, split, 20, bands))
        rows = audit(suite, Path(), suite.tasks[:1], BANDS)
        hashes.append([row["what"] for row in rows if row["about"] == "content"])
    assert hashes[0] == hashes[1] and len(set(hashes[0])) == 3
    assert not set(hashes[0]) & set(hashes[2]) and not set(hashes[0]) & set(hashes[3])
