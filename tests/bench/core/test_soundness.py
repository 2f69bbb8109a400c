"""What a person declares is checked before anything runs: each fault is named, and what ships is sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.core import BadSetting, Band, MissingData, Normalise, Sample, Task
from bench.core.soundness import check_entry, check_sample, check_suite, count_notes, open_split
from bench.metrics import METRICS
from tests.builders.suite_and_model import BANDS, COUNTS, ToySplit, toy_entry, toy_suite


def test_every_suite_and_model_that_ships_is_sound():
    for name in suite_catalogue.names():
        check_suite(suite_catalogue.load(name), METRICS)
    for entry in model_catalogue.entries().values():
        check_entry(entry)


def task(**changes) -> Task:
    return Task(**{"name": "kind", "kind": "classification", "classes": ("a", "b"), "metric": "accuracy", **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../up"}, "name='../up'"),
        ({"name": ""}, "name=''"),
        ({"name": "[/b]"}, "letters, digits"),
        ({"version": "1"}, "version='1'"),
        ({"version": 0}, "at least 1"),
        ({"bands": ()}, "bands=()"),
        ({"bands": BANDS[0]}, "a tuple of bench.core.Band"),
        ({"bands": (BANDS[0], BANDS[0])}, "bands given twice: s2.b04"),
        ({"bands": (Band(name="s2.b04", unit="dnn"),)}, "no unit 'dnn'; did you mean dn?"),
        ({"bands": (Band(name="b04", unit="dn"),)}, "sensor.band"),
        ({"bands": (Band(name="s2.b04", unit="dn", gsd_m=-1.0),)}, "gsd_m=-1.0"),
        ({"image_size": 64}, "(height, width)"),
        ({"image_size": (64, 0)}, "(height, width)"),
        ({"dates": -1}, "dates=-1"),
        ({"levels": "s2:L2A"}, "a tuple of texts"),
        ({"levels": ("L2A",)}, "sensor:LEVEL"),
        ({"splits": {"train": 5}}, "train, val and test"),
        ({"splits": {"train": 5, "val": -1, "test": 2}}, "splits['val']=-1"),
        ({"folder": "/etc"}, "folder='/etc'"),
        ({"folder": "../x"}, "without '..'"),
        ({"gsd_m": float("nan")}, "gsd_m=nan"),
        ({"open": None}, "open must be a function"),
        ({"download": "url"}, "download must be a function"),
        ({"tasks": ()}, "a tuple of bench.core.Task"),
        ({"tasks": (task(), task())}, "two tasks of one name"),
        ({"tasks": (task(kind="classify"),)}, "no kind 'classify'; did you mean classification?"),
        ({"tasks": (task(metric="acuracy"),)}, "did you mean accuracy?"),
        ({"tasks": (task(classes=()),)}, "the names of the classes are needed"),
        ({"tasks": (task(classes=("a",)),)}, "the names of the classes are needed"),
        ({"tasks": (task(classes=("a", "a")),)}, "two classes of one name"),
        ({"tasks": (task(classes="ab"),)}, "a tuple of texts"),
        ({"tasks": (task(ignore="none"),)}, "ignore='none'"),
        ({"tasks": (task(name="a/b"),)}, "name='a/b'"),
    ],
)
def test_a_fault_of_a_suite_is_named(changes, words):
    with pytest.raises(BadSetting) as error:
        check_suite(toy_suite(**changes), METRICS)
    assert words in str(error.value) and str(error.value).startswith("suite ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a b"}, "name='a b'"),
        ({"origin": "pretraind"}, "no origin 'pretraind'; did you mean pretrained?"),
        ({"objective": "mae"}, "no objective 'mae'"),
        ({"bands": (Band(name="s2.b04", unit="x"),) * 1}, "no unit 'x'"),
        ({"bands": ()}, "bands=()"),
        ({"bands": (), "any_bands": True}, "any_bands needs sensors"),
        ({"sensors": "s2"}, "a tuple of texts"),
        ({"absent": ("fill",)}, "no absent 'fill'"),
        ({"absent": "zero"}, "absent='zero'"),
        ({"normalise": "zscore"}, "bench.core.Normalise"),
        ({"normalise": Normalise(kind="affine", shift=(1.0,), scale=(1.0,))}, "1 shifts and 1 scales for 2 bands"),
        ({"normalise": Normalise(kind="affine", shift=(1.0, 1.0), scale=(1.0, 0.0))}, "a scale of 0"),
        ({"normalise": Normalise(kind="zscore")}, "no normalise kind 'zscore'"),
        ({"image_size": 0}, "image_size=0"),
        ({"patch": 1.5}, "patch=1.5"),
        ({"depth": True}, "depth=True"),
        ({"parameters": -1}, "parameters=-1"),
        ({"weights": "model.pth"}, "bench.core.Weights"),
        ({"trained_on": "eurosat"}, "trained_on='eurosat'"),
        ({"load": "load"}, "load must be a function"),
    ],
)
def test_a_fault_of_a_model_is_named(changes, words):
    with pytest.raises(BadSetting) as error:
        check_entry(toy_entry(**changes))
    assert words in str(error.value) and str(error.value).startswith("model ")


def test_all_faults_are_named_at_once():
    with pytest.raises(BadSetting, match=r"version=0.*; dates=-1.*; folder='/'"):
        check_suite(toy_suite(version=0, dates=-1, folder="/"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda split: None, ""),
        (lambda split: [1, 2], "returned list, which lacks ids, blocks, targets"),
        (lambda split: split.ids.pop(), "4 samples, 3 ids and 4 blocks"),
        (lambda split: setattr(split, "ids", [1, 2, 3, 4]), "ids must be text"),
        (lambda split: setattr(split, "ids", list("abca")), "id a is given twice"),
    ],
)
def test_what_a_suite_opens_is_held_against_what_a_split_is(change, words):
    def open_toy(*_: object) -> object:
        split = ToySplit("kind", "train", 4, BANDS)
        split.__class__ = type("Counted", (ToySplit,), {"__len__": lambda self: 4})
        changed = change(split)
        return changed if isinstance(changed, list) else split

    suite = toy_suite(open=open_toy)
    if not words:
        assert len(open_split(suite, Path(), "kind", "train", BANDS)) == 4
        return
    with pytest.raises(BadSetting, match=words):
        open_split(suite, Path(), "kind", "train", BANDS)


@pytest.mark.parametrize("code", ["raise KeyError('x')", "1 / 0", "raise SystemExit(0)", "import nowhere"])
def test_code_of_a_suite_that_fails_names_the_split_and_the_line(code, tmp_path):
    space: dict = {}
    exec(compile(f"def open_it(*words):\n    {code}\n", str(tmp_path / "mine.py"), "exec"), space)
    with pytest.raises(MissingData, match=r"suite toy, task kind, split train: \w+: .*\(mine.py, line 2\)"):
        open_split(toy_suite(open=space["open_it"]), Path(), "kind", "train", BANDS)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ({"s2": np.zeros((2, 8, 8))}, "the time axis is missing, add it with image[None]"),
        ({"s2": np.zeros((8, 8))}, "images are (T, C, H, W)"),
        ({"s2": np.zeros((1, 3, 8, 8))}, "s2 has 3 bands"),
        ({"s2": np.zeros((2, 2, 8, 8))}, "s2 has 2 dates"),
        ({"s1": np.zeros((1, 2, 8, 8))}, "images of s1; asked for were s2"),
        (np.zeros((1, 2, 8, 8)), "is read where bench.core.Sample"),
    ],
)
def test_a_sample_of_another_shape_is_named(images, words):
    sample = Sample(images=images, target=0)
    with pytest.raises(BadSetting) as error:
        check_sample(toy_suite(), BANDS, sample, "here")
    assert words in str(error.value)
    check_sample(toy_suite(), BANDS, Sample(images={"s2": np.zeros((1, 2, 8, 8))}, target=0), "here")


def test_other_counts_than_declared_are_named():
    assert count_notes(toy_suite(), COUNTS) == []
    notes = count_notes(toy_suite(), {**COUNTS, "val": 59})
    assert notes == [
        "split val: 59 samples are there, 60 are declared; is the download complete? download again, or correct "
        "splits= in the suite's file"
    ]
    more = count_notes(toy_suite(), {**COUNTS, "val": 61})
    assert more == ["split val: 61 samples are there, 60 are declared; correct splits= in the suite's file"]
