"""Words and files become one frozen configuration; every slip is an error that teaches."""

from __future__ import annotations

import shlex

import pytest

from bench.config import RunConfig, run_config, run_configs
from bench.core.errors import BadSetting, UnknownName

NESTED = ("probe", "knn")


def read(*words: str) -> RunConfig:
    return run_config(words, NESTED)


def test_lists_dots_and_types():
    config = read("suite=demo", "models=[galileo_nano,dofa_*]", "fractions=1,0.1", "probe.pools=mean", "batch=8")
    assert config.models == ("galileo_nano", "dofa_*")
    assert config.fractions == (0.1, 1.0)
    assert config.settings == {"probe": {"pools": "mean"}}
    assert config.batch == 8


def test_integral_float_is_the_same_key():
    assert read("suite=demo", "batch=8.0") == read("suite=demo", "batch=8")


def test_key_given_twice():
    with pytest.raises(BadSetting, match="given twice"):
        read("suite=demo", "suite=eurosat")


@pytest.mark.parametrize(
    ("word", "near"),
    [("suit=demo", "suite"), ("fraction=0.1", "fractions"), ("prob.c=1", "probe"), ("modles=a", "models")],
)
def test_unknown_key_names_the_near_one(word, near):
    with pytest.raises(UnknownName, match=f"did you mean {near}\\?"):
        read(word)


@pytest.mark.parametrize("word", ["fractions=10", "fractions=0", "subsets=0", "batch=2.5", "device=gpu", "models=[]"])
def test_bad_value_names_the_key(word):
    with pytest.raises(BadSetting, match=word.partition("=")[0]):
        read("suite=demo", word)


def test_missing_suite_and_words_without_equals():
    with pytest.raises(BadSetting, match="suite= is needed"):
        read("models=all")
    with pytest.raises(BadSetting, match="no key=value word"):
        read("demo")
    with pytest.raises(BadSetting, match="bracket"):
        read("suite=demo", "models=[a,b")


def test_file_and_words_on_top(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("suite: demo\nmodels: [tiny_mae]\nprobe:\n  pools: [mean]\nfractions: [0.1, 1.0]\n")
    config = read(f"config={path}", "models=tiny_dino")
    assert (config.suite, config.models, config.fractions) == ("demo", ("tiny_dino",), (0.1, 1.0))
    assert config.settings["probe"]["pools"] == ["mean"]
    path.write_text("suite: demo\nmodel: x\n")
    with pytest.raises(UnknownName, match="did you mean models"):
        read(f"config={path}")
    path.write_text("suite: [\n")
    with pytest.raises(BadSetting, match="not YAML"):
        read(f"config={path}")
    with pytest.raises(BadSetting, match="cannot be read"):
        read(f"config={tmp_path / 'absent.yaml'}")


def test_replay_spells_the_same_configuration():
    config = read("suite=demo", "models=a,b", "fractions=0.1,1", "seeds=0,1", "probe.pools=mean,cls", "subsets=2")
    again = run_config(shlex.split(config.replay())[1:], NESTED)
    assert again == config


def test_shots_stand_beside_fractions_and_replay():
    config = run_config(["suite=demo", "shots=[5,1]"], ["probe"])
    assert config.label_sets == (-1.0, -5.0, 1.0)
    assert run_config(["suite=demo", "shots=5", "fractions=[]"], ["probe"]).label_sets == (-5.0,)
    assert run_config(shlex.split(config.replay())[1:], ["probe"]) == config
    with pytest.raises(BadSetting, match="1 sample per class or more"):
        run_config(["suite=demo", "shots=0"], ["probe"])
    with pytest.raises(BadSetting, match="no labels to learn from"):
        run_config(["suite=demo", "fractions=[]"], ["probe"])


def test_a_study_speaks_where_the_words_are_silent():
    given = {"protocols": ["probe"], "seeds": [0, 1], "probe": {"steps": 7, "batch": 3}}
    asked = []

    def study(name, suite):
        asked.append((name, suite))
        return given

    words = ["study=x", "suite=[demo,toy]", "seeds=5", "probe.batch=4"]
    configs = run_configs(words, ["probe"], lambda names: list(names), study)
    assert asked == [("x", "demo"), ("x", "toy")]
    assert [config.suite for config in configs] == ["demo", "toy"]
    assert configs[0].seeds == (5,) and configs[0].protocols == ("probe",)
    assert configs[0].settings == {"probe": {"steps": 7, "batch": "4"}}
    with pytest.raises(UnknownName, match="study"):
        run_configs(["study=x", "suite=demo"], ["probe"])
