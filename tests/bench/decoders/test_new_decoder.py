"""A new decoder is one file, and the example in the README is complete: it is listed, accepted, built and trained."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench.decoders
from bench.cli.listing import list_
from bench.core import UnknownName, lookup
from bench.decoders.parts.contract import Decoder
from bench.finetuning.settings import ArmSettings
from tests.builders.added_files import ROOT, run_tests

README = ROOT / "bench" / "decoders" / "README.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the decoder of the README, which belongs to `bench.decoders` during the test."""
    (example,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.S | re.M)
    (tmp_path / "two_layers.py").write_text(example)
    monkeypatch.setattr(bench.decoders, "__path__", [*bench.decoders.__path__, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("bench.decoders.two_layers", None)
    vars(bench.decoders).pop("two_layers", None)


def test_it_is_listed_and_accepted_by_fine_tuning(folder, monkeypatch, capsys) -> None:
    assert isinstance(lookup.noun("bench.decoders", "two_layers", Decoder), Decoder)
    assert ArmSettings(decoders=("linear", "two_layers")).decoders == ("linear", "two_layers")
    monkeypatch.setattr(sys, "argv", ["geobench-list", "decoders", "--json"])
    with pytest.raises(SystemExit):
        list_()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["two_layers"]["layers"] == 2 and rows["two_layers"]["what"].startswith("Two layers: ")


def test_without_the_file_its_name_is_unknown() -> None:
    with pytest.raises(UnknownName, match=r"no decoder .two_layers."):
        ArmSettings(decoders=("two_layers",))


def test_the_tests_of_all_decoders_run_over_it(folder) -> None:
    printed = run_tests("bench.decoders", folder, "tests/bench/decoders/test_decoders.py", "two_layers")
    assert printed.count(".") >= 40
