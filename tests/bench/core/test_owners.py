"""Names of a process's own files, from which others can tell whether it is gone."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.core.owners import host, owner_is_gone, owner_tag


def test_a_running_process_is_there_and_an_ended_one_gone():
    assert owner_is_gone(owner_tag()) is False and owner_tag() != owner_tag()
    out = subprocess.run(
        [sys.executable, "-c", "from bench.core.owners import owner_tag; print(owner_tag())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert owner_is_gone(out.stdout.strip()) is True


def test_a_later_process_of_the_same_number_is_another():
    tag = f"{host()}-{os.getpid()}-0000000012345-00"
    assert owner_is_gone(tag) is True


def test_of_another_machine_nothing_is_known():
    assert owner_is_gone("elsewhere-1-2-00") is None


def test_other_words_belong_to_nobody():
    assert all(owner_is_gone(word) for word in ("", "left", "a-b-c-d", "left_00", "x-99999999999999999999-0-0"[:1]))
