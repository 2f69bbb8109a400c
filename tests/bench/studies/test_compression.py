"""Words of the compression study, its budgets in words, and requests that make no sense."""

from __future__ import annotations

import pytest

from bench.catalogue import suites
from bench.compression.arms import ARMS
from bench.compression.settings import CompressSettings, arms
from bench.config import run_configs, validate
from bench.core import BadSetting, lookup
from bench.core.errors import UnknownName
from bench.protocols.compress import PROTOCOL, serves
from bench.studies.compression import notes, read

TASK = suites.load("demo").tasks[0]


def config(*words):
    (only,) = run_configs(read(words), lookup.names("bench.protocols"), suites.expand)
    return only


def test_teacher_and_small_network_become_models():
    words = read(
        ["teacher=tiny_mae", "small=tiny_croma", "task=landcover", "budgets=[.5,.25]", "steps=9", "suite=demo"]
    )
    assert "models=[tiny_mae,tiny_croma]" in words and "compress.small=[tiny_croma]" in words
    assert {"tasks=landcover", "compress.budgets=[.5,.25]", "compress.steps=9", "suite=demo"} <= set(words)


def test_every_arm_gets_equal_steps_and_one_run_per_budget():
    runs = arms(validate(CompressSettings, {"budgets": [0.25, 0.5], "steps": 7}), TASK)
    assert {run.steps for run in runs} == {7}
    names = [(run.arms[0], run.budgets) for run in runs]
    assert len(names) == len(set(names)) == sum(2 if arm.budgeted else 1 for arm in ARMS.values())
    assert ("structured", (0.5,)) in names and ("teacher", ()) in names


def test_small_arms_are_for_the_small_network_alone():
    whole = validate(CompressSettings, {"small": ["tiny_croma"]})
    entries = {name: lookup.module("bench.models", "tiny", kind="model family").ENTRIES for name in ("tiny",)}["tiny"]
    small = next(entry for entry in entries if entry.name == "tiny_croma")
    teacher = next(entry for entry in entries if entry.name == "tiny_mae")
    for run in arms(whole, TASK):
        is_small = run.arms[0].startswith("small_")
        assert serves(small, whole, run) == is_small and serves(teacher, whole, run) != is_small


def test_notes_state_budgets_and_warn_of_one_seed():
    lines = notes(config("teacher=tiny_mae", "suite=demo", "seeds=[0]", "steps=11", "teacher_steps=22"))
    text = "\n".join(lines)
    assert "11 optimiser steps" in text and "teacher: 22 steps" in text and "warning: 1 seed" in text
    assert "warning" not in "\n".join(notes(config("teacher=tiny_mae", "suite=demo", "seeds=[0,1,2]")))


def test_bad_requests_are_refused():
    with pytest.raises(BadSetting, match="needs teacher"):
        notes(config("suite=demo"))
    with pytest.raises(BadSetting, match="leave models"):
        read(["teacher=tiny_mae", "models=tiny_croma"])
    for value in (1.0, 0.0, 50):
        with pytest.raises(BadSetting, match="between 0 and 1"):
            validate(CompressSettings, {"budgets": [value]})
    with pytest.raises((BadSetting, UnknownName), match="squeezed"):
        validate(CompressSettings, {"arms": ["squeezed"]})


def test_a_teacher_without_weights_is_refused():
    entries = lookup.module("bench.models", "tiny", kind="model family").ENTRIES
    from dataclasses import replace

    bare = replace(next(entry for entry in entries if entry.name == "tiny_mae"), weights=None)
    (run, *_) = arms(validate(CompressSettings, {}), TASK)
    assert "no weights" in PROTOCOL.refuses(bare, suites.load("demo"), TASK, run)
