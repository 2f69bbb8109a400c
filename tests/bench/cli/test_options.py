"""No command needs torch for its help, its completion, its listings or a plan."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from bench.cli.listing_rows import LISTINGS
from bench.cli.markdown import REFERENCE
from bench.cli.options import COMMANDS

SCRIPT = """
import importlib, sys
module, _, name = sys.argv.pop(1).partition(":")
sys.argv[0] = module
try:
    getattr(importlib.import_module(module), name)()
except SystemExit as end:
    code = end.code or 0
print("torch" in sys.modules, code, file=sys.stderr)
"""
REGISTERED = {
    point.name: point.value for point in entry_points(group="console_scripts") if point.value.startswith("bench.")
}
"""Command -> the function that is registered for it."""
EVERY = [["--help"], ["--version"], *(["completion", shell] for shell in ("bash", "zsh", "fish"))]
LINES = [
    *((command, words) for command in COMMANDS for words in EVERY),
    *(("geobench-list", [name, form]) for name in LISTINGS for form in ("--json", "--markdown")),
    *(("geobench-list", [name, "--markdown"]) for name in REFERENCE if name not in LISTINGS),
    ("geobench-run", ["suite=demo", "models=all", "--dry"]),
    ("geobench-run", ["suite=demo", "models=[tiny_mae,rcf]", "protocols=[probe,finetune,drift,embed]", "--dry"]),
    ("geobench-cache", ["ls"]),
    ("geobench-cache", ["verify"]),
]
"""What is only listed or planned, for every command there is."""


def test_every_command_is_registered():
    assert set(REGISTERED) == set(COMMANDS)


@pytest.mark.parametrize(("command", "words"), LINES, ids=[" ".join((command, *words)) for command, words in LINES])
def test_a_line_needs_no_torch(command, words, tmp_path):
    places = [f"results={tmp_path}"] if "--dry" in words else []
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, REGISTERED[command], *words, *places],
        capture_output=True,
        text=True,
        env={**os.environ, "GEOBENCH_CACHE": str(tmp_path / "cache")},
    )
    assert done.stderr.splitlines()[-1:] == ["False 0"], done.stdout[-500:] + done.stderr
