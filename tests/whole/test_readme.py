"""The README is short, its commands and its example are those that the program has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from analysis.tables.columns import LEADERBOARD
from bench.api import RunConfig
from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 250


def test_the_first_command_of_a_newcomer_does_the_work():
    """Runs committed under results/ would be found stored, and the demo would show them without running anything."""
    command = "geobench-run suite=demo models=[tiny_*,tiny_*.random,image_stats,rcf] results=results/local"
    assert command in TEXT and command in (ROOT / "Makefile").read_text()
    assert "results/local/" in (ROOT / ".gitignore").read_text().split()


def test_the_commands_are_those_that_are_installed():
    scripts = set(re.findall(r"^(geobench-\w+) = ", (ROOT / "pyproject.toml").read_text(), re.M))
    assert set(re.findall(r"geobench-(?!run\b)\w+", TEXT)) <= scripts
    assert scripts <= set(re.findall(r"geobench-\w+", TEXT))


def test_the_targets_of_make_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {name for file in files for name in re.findall(r"`make ([\w-]+)", file.read_text())}
    assert named - targets == set()


def test_the_python_example_is_sound():
    """The demo itself takes minutes; `tests/whole/test_api.py` runs the same job on a few images."""
    (source,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    calls = {
        node.func.id: node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    words = {word.arg: ast.literal_eval(word.value) for word in calls["RunConfig"].keywords if word.arg}
    config = RunConfig(**words)
    suite_catalogue.load(config.suite)
    assert len(model_catalogue.select(config.models)[0]) == 4
    columns = ast.literal_eval(re.findall(r"board\[(\[.*?\])\]", source)[0])
    assert set(columns) <= set(LEADERBOARD)


def test_the_citation_is_of_this_version():
    from bench import __version__

    text = (ROOT / "CITATION.cff").read_text()
    assert f"version: {__version__}\n" in text and f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
