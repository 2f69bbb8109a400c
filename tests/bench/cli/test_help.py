"""--help is the descriptions of what a command takes, on one screen."""

from __future__ import annotations

import pytest

from bench.cli.help import help_text
from bench.cli.options import COMMANDS
from bench.config import RunConfig


@pytest.mark.parametrize("name", COMMANDS)
def test_every_word_and_flag_is_there_with_its_description(name):
    command = COMMANDS[name]
    text = help_text(command)
    for word in command.words:
        assert f"\n  {word}=" in text, word
    for flag, what in command.flags.items():
        assert f"\n  {flag}" in text and what in text
    plain = " ".join(text.split())
    for word, field in command.options.model_fields.items():
        if word not in command.without:
            assert field.description and field.description in plain, word
    assert all(f"{name} {example}".strip() in text for example in command.examples)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
@pytest.mark.parametrize("name", COMMANDS)
def test_it_fits_the_terminal(name, width):
    typed = max(len(f"  {name} {example}") for example in COMMANDS[name].examples)
    text = help_text(COMMANDS[name], width)
    assert all(len(line) <= max(width, typed) for line in text.splitlines())


def test_the_longest_help_fits_a_screen():
    assert len(help_text(COMMANDS["geobench-run"]).splitlines()) <= 55


def test_defaults_are_those_of_the_fields():
    text = help_text(COMMANDS["geobench-run"])
    assert "[probe,knn,similarity]" in text and "[32]" in text and "[true]" in text and "[results]" in text
    assert set(COMMANDS["geobench-run"].words) == {*RunConfig.model_fields, "config", "study"} - {
        "settings",
        "placement",
    }
