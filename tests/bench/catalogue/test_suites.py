"""Suites by name, by group, by glob, and from a user's own file."""

from __future__ import annotations

import pytest

from bench.catalogue import suites as suite_catalogue
from bench.config import run_configs
from bench.core.errors import BadSetting, UnknownName

OWN_FILE = """
from suites.generated.demo import SUITE as DEMO
import dataclasses

SUITE = dataclasses.replace(DEMO, name="{name}", title="mine")
"""


def test_groups_and_globs_name_suites_once_in_order():
    assert suite_catalogue.expand(["eurosat"]) == ["eurosat"]
    assert suite_catalogue.expand(["eurosat*", "eurosat"]) == ["eurosat", "eurosat_rgb"]
    core = suite_catalogue.expand(["core"])
    assert core and set(core) <= set(suite_catalogue.names()) and len(set(core)) == len(core)
    assert suite_catalogue.expand(["demo", "core"]) == ["demo", *core]
    with pytest.raises(UnknownName, match="eurosat"):
        suite_catalogue.expand(["eurosta"])
    with pytest.raises(UnknownName, match="core"):
        suite_catalogue.expand(["cor"])


def test_core_has_one_suite_of_each_kind():
    kinds = [suite_catalogue.load(name).tasks[0].kind for name in suite_catalogue.groups()["core"]]
    assert len(set(kinds)) == len(kinds)


def test_every_member_of_a_group_is_a_suite_or_one_to_come():
    import suites.groups as facts

    for group, members in suite_catalogue.groups().items():
        assert set(members) <= set(facts.GROUPS[group]) and len(members) >= 1


def test_several_suites_are_several_configurations():
    configs = run_configs(["suite=[demo,eurosat]", "models=tiny_mae", "probe.c=1"], ["probe"], suite_catalogue.expand)
    assert [config.suite for config in configs] == ["demo", "eurosat"]
    assert all(config.settings == {"probe": {"c": "1"}} for config in configs)
    with pytest.raises(BadSetting, match="suite= is needed"):
        run_configs(["models=tiny_mae"], [], suite_catalogue.expand)


def test_a_suite_of_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / suite_catalogue.OWN).write_text(OWN_FILE.format(name="mine"))
    monkeypatch.chdir(tmp_path)
    assert "mine" in suite_catalogue.names() and suite_catalogue.load("mine").title == "mine"
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / suite_catalogue.OWN).write_text("SUITE = 3")
    monkeypatch.chdir(tmp_path / "bad")
    with pytest.raises(BadSetting, match="has no SUITE"):
        suite_catalogue.names()
