"""Hundreds of bad inputs to the commands: each ends in a sentence and the right exit code.

A traceback, a hang, exit 0 on a failure, and a silent difference are failures. Words and files are tried in this
process, through the functions behind the commands; terminals, shells and damaged files in processes of their own.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.builders.bad_files import MODEL_FILE, SUITE_FILE, changed
from tests.builders.bad_words import OTHERS, RUN
from tests.builders.commands import Outcome, call
from tests.builders.suite_and_model import coloured_images


def check(outcome: Outcome, text: str, code: int = 2) -> None:
    """Fail unless a command ended with a code and a sentence that holds one of the texts (parted by ``|``)."""
    assert not outcome.trace, outcome.trace
    assert outcome.code == code, (outcome.code, outcome.err[-800:], outcome.out[-800:])
    said = outcome.err if code == 2 else outcome.out + outcome.err
    assert "Traceback" not in outcome.out + outcome.err
    assert any(part in said for part in text.split("|")), f"{text!r} not in {said[-1500:]!r}"
    if code == 2:
        assert said.startswith("geobench-") and len(said) < 6000, said[:300]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("words", "text"), RUN, ids=[" ".join(words)[:60] or "none" for words, _ in RUN])
def test_words_of_run(words, text, place):
    check(call("run", words), text)
    assert not (place / "results").exists(), "a bad request leaves nothing"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A working folder with a user's suite and model, and the records of one run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "geobench_suites.py").write_text(SUITE_FILE)
    (folder / "geobench_models.py").write_text(MODEL_FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GEOBENCH_CACHE", str(folder / "cache"))
        outcome = call("run", ["suite=mine", "models=[mynet_small,image_stats]", "protocols=knn", "knn.k=1"])
    assert outcome.code == 0, outcome
    return folder


@pytest.mark.parametrize(
    ("command", "words", "text"), OTHERS, ids=[f"{command} {' '.join(words)[:60]}" for command, words, _ in OTHERS]
)
def test_words_of_the_other_commands(command, words, text, place, finished):
    check(call(command, [word.replace("RESULTS", str(finished / "results")) for word in words]), text)
