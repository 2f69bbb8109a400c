"""What cannot be trained is refused from facts alone, with the reason."""

from __future__ import annotations

import dataclasses

import pytest

from bench.core.errors import BadSetting, UnknownName
from bench.protocols import finetune
from tests.builders.arms import ENTRY, SUITE, TASKS
from tests.builders.suite_and_model import toy_entry


def test_refusals_say_why():
    def reason(task="kind", entry=ENTRY, **settings):
        changed = TASKS[task]
        return finetune.refuses(entry, SUITE, changed, finetune.arms(finetune.Settings(**settings), changed)[0])

    assert (
        reason(decoders="upernet")
        == "decoder upernet serves segmentation, change, dense_regression, not classification"
    )
    assert "reads one layer" in reason("mask", decoders="fcn", taps="quarters")
    assert "publish no taps" in reason("mask", decoders="upernet", taps="published", entry=toy_entry())
    assert "cannot be tuned" in reason(entry=toy_entry(vectors=True))
    assert "no parameters" in reason(entry=toy_entry(origin="baseline"), tuning="full")
    assert not reason("mask", decoders="upernet", taps="published")
    fewer = toy_entry(taps=("block_1", "norm"))
    assert reason("mask", decoders="upernet", taps="published", entry=fewer) == (
        "decoder upernet reads 4 layers; toy_small has 2 published taps"
    )
    assert reason(loss="dice") == "loss dice is not for classification; known: cross_entropy, focal"


def test_bad_settings_name_what_is_known():
    with pytest.raises(UnknownName, match="upernet"):
        finetune.Settings(decoders="upernett")
    with pytest.raises(BadSetting, match="no tuning 'frosen'"):
        finetune.Settings(tuning="frosen")
    with pytest.raises(UnknownName, match="quarters"):
        finetune.Settings(taps="quarter")
    masked = dataclasses.replace(TASKS["mask"])
    with pytest.raises(BadSetting, match="crop is for classes"):
        finetune.refuses(ENTRY, SUITE, masked, finetune.arms(finetune.Settings(augment="crop"), masked)[0])
