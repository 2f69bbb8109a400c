"""A user's own Python files: what they define is there, and what keeps them from running is named."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from bench.catalogue import models as model_catalogue
from bench.catalogue.user_models import OWN, run_file
from bench.core.errors import BadSetting

OWN_FILE = """
from bench.core import Band, ModelEntry, Weights
from bench.models.rcf import ENTRIES as RCF

ENTRIES = (
    ModelEntry(
        name="{name}", origin="baseline", objective="none", any_bands=True, sensors=("*",), image_size=512,
        any_size=True, patch=8, depth=0, width=256, parameters=0, reference="mine", load=RCF[0].load,
    ),
)
"""


def test_a_file_of_entries_in_the_working_folder_is_one_more_family(tmp_path, monkeypatch):
    (tmp_path / OWN).write_text(OWN_FILE.format(name="mine_small"))
    monkeypatch.chdir(tmp_path)
    assert "mine_small" in model_catalogue.entries()
    assert [entry.name for entry in model_catalogue.select(["mine_*"])[0]] == ["mine_small"]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / OWN).write_text(OWN_FILE.format(name="rcf"))
    monkeypatch.chdir(tmp_path / "taken")
    with pytest.raises(BadSetting, match="the name rcf is taken"):
        model_catalogue.entries()


@pytest.mark.parametrize(("text", "message"), [("1 / 0", "ZeroDivisionError"), ("x = 1", "has no ENTRIES")])
def test_a_bad_file_of_entries_is_named(tmp_path, monkeypatch, text, message):
    (tmp_path / OWN).write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSetting, match=message):
        model_catalogue.entries()


FILES = {
    "sys.exit": (b"import sys\nsys.exit(3)", r"it ends the program \(SystemExit: 3\).*\(line 2\)"),
    "exit": (b"raise SystemExit", r"it ends the program \(SystemExit\)"),
    "interrupt": (b"raise KeyboardInterrupt", r"KeyboardInterrupt \(line 1\)"),
    "of its own": (b"class Stop(BaseException): pass\nraise Stop('now')", r"Stop: now \(line 2\)"),
    "generator": (b"raise GeneratorExit", "GeneratorExit"),
    "imports itself": (b"from mine import ENTRIES", "partially initialized|cannot import name"),
    "runs itself": (b"import runpy\nrunpy.run_path(__file__)", "without end"),
    "calls itself": (b"def f(): f()\nf()", r"calls or imports itself without end"),
    "Latin-1": ("ENTRIES = ()  # für".encode("latin-1"), "is not UTF-8 text"),
    "binary": (b"\x00\x01\x02", "null bytes|cannot be run"),
    "wrong coding": (b"# -*- coding: no-such -*-\n", "is not UTF-8 text"),
    "syntax": (b"ENTRIES = (", "SyntaxError"),
    "missing module": (b"import no_such_module", "no_such_module"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_run_are_a_sentence(tmp_path, monkeypatch, name):
    content, message = FILES[name]
    path = tmp_path / "mine.py"
    path.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadSetting, match=message) as caught:
        run_file(path)
    assert str(path) in str(caught.value) and "mine" not in sys.modules


@pytest.fixture
def interruptible():
    """Let this process take keyboard interrupts, which a shell lets its background commands ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_from_the_keyboard_is_one(tmp_path, interruptible):
    path = tmp_path / "mine.py"
    path.write_text(f"import os, signal, time\nos.kill({os.getpid()}, signal.SIGINT)\ntime.sleep(5)")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_file(path)
    assert signal.getsignal(signal.SIGINT) is before


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "mine.py").mkdir()
    with pytest.raises(BadSetting, match="cannot be read"):
        run_file(tmp_path / "mine.py")
