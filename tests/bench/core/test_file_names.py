"""Names that may become parts of file names."""

from __future__ import annotations

import pytest

from bench.core.file_names import LONGEST, as_file_name, file_name_fault


@pytest.mark.parametrize(
    "name", ["eurosat_rgb", "dofa_base.pruned_50", "dofa.my model (1)", "länd+use-2", "block_1.mean"]
)
def test_names_in_use(name):
    assert file_name_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a\\b",
        "/a",
        "C:x",
        "a\x00",
        "a\nb",
        "a\u202eb",
        " a",
        "a ",
        "x" * (LONGEST + 1),
        None,
        3,
    ],
)
def test_names_that_are_refused(name):
    assert file_name_fault(name)


def test_any_text_becomes_a_name():
    for text in ("my model (1)", "../up", "", "...", "a/b\\c", "x" * 300, "-rf"):
        assert file_name_fault(as_file_name(text)) == ""
    assert as_file_name("checkpoint-12.best") == "checkpoint-12.best"
