"""Words are read as they were typed, and spelled so that a shell and the reader give the same back."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from bench.config import RunConfig, read_words, run_config
from bench.config.words import spelled
from bench.core.errors import BadSetting, UnknownName

KNOWN = ("suite", "models", "layers", "data", "config")


def read(word: str):
    key = word.partition("=")[0]
    return read_words([word], KNOWN, ["probe"])[key]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("models=a", "a"),
        ("models=a,b", ["a", "b"]),
        ("models=[a,b]", ["a", "b"]),
        ("models=[ a , b ,]", ["a", "b"]),
        ("models=[]", []),
        ("models=[a]", ["a"]),
        ("layers=block_[12]", "block_[12]"),
        ("layers=[block_[12],last]", ["block_[12]", "last"]),
        ("layers=[ab]_[12]", "[ab]_[12]"),
        ("models='a,b'", "a,b"),
        ('models="[a]"', "[a]"),
        ("models=['a,b',c]", ["a,b", "c"]),
        (r'models=["a\"b\\c"]', [r'a"b\c']),
        ("models=O'Brien", "O'Brien"),
        ("models=[O'Brien,b]", ["O'Brien", "b"]),
        ("data=/a b/c", "/a b/c"),
        ("data='${HOME}/x'", "${HOME}/x"),
        ("data=a=b", "a=b"),
    ],
)
def test_a_value_is_text_or_a_list(word, value):
    assert read(word) == value


@pytest.mark.parametrize("word", ["models=[a,b", "models=a,b]", "models='a", 'models=["a]', "models=]a["])
def test_an_open_bracket_or_quote_is_named(word):
    with pytest.raises(BadSetting, match="unbalanced bracket or quote in models="):
        read(word)


@pytest.mark.parametrize("word", ["models=[a,,b]", "models=,a", "models=[,]"])
def test_an_empty_item_is_named(word):
    with pytest.raises(BadSetting, match="empty item"):
        read(word)


@pytest.mark.parametrize("word", ["data=", "data= ", "models="])
def test_a_word_without_a_value_is_named(word):
    """``data=$UNSET`` would read the working folder."""
    with pytest.raises(BadSetting, match=r"has no value; leave it out for the default"):
        read(word)


@pytest.mark.parametrize("word", ["probe.=1", "probe..c=1", "probe.c[0]=1", "probe.c d=1"])
def test_a_key_that_is_no_name_is_named(word):
    with pytest.raises(BadSetting, match="no name of a setting"):
        read_words([word], KNOWN, ["probe"])


@pytest.mark.parametrize("word", [".c=1", "=1", "prob.c=1", "suite.x=1", "SUITE=a", "mod\x1b[31m=a"])
def test_a_key_that_is_not_known_is_named(word):
    with pytest.raises(UnknownName):
        read_words([word], KNOWN, ["probe"])


def test_interpolation_reads_other_words_and_stops_in_circles(monkeypatch):
    monkeypatch.setenv("PLACE", "/there")
    values = read_words(["suite=demo", "data=${oc.env:PLACE}/${suite}"], KNOWN)
    assert values["data"] == "/there/demo"
    for word in ("data=${data}", "data=${nowhere}", "data=${", "data=${oc.env:NOT_SET_ANYWHERE}"):
        with pytest.raises(BadSetting, match="cannot be resolved"):
            read_words([word], KNOWN)
    with pytest.raises(BadSetting, match="cannot be resolved"):
        read_words(["data=${suite}", "suite=${data}"], KNOWN)


ODD = [
    "a b",
    "$HOME",
    "${HOME}",
    "`id`",
    "it's",
    'a"b',
    "\"'",
    "[x]",
    "[/b]",
    "a,b",
    "a;b|c&d>e",
    "back\\slash",
    "\\${x}",
    "\\",
    "tab\there",
    "new\nline",
    "é ü ß",
    "~",
    "*?",
    "#x",
    "!x",
    "(a){b}",
    "'",
    "x]",
    "[x",
    "trailing ",
    "=",
]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_path_comes_back_from_a_shell(name):
    """The replay command of a record is pasted into bash."""
    models = ("tiny_mae", f"path:/weights/{name}.pth:tiny_mae", f"embeddings:{name}")
    config = RunConfig(suite="demo", models=models, settings={"probe": {"pools": ("mean",)}})
    command = config.replay().replace("geobench-run", "printf '%s\\0'", 1)
    given = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    assert given == shlex.split(config.replay())[1:]
    again = run_config(given, ["probe"])
    assert again.models == models and again.settings == {"probe": {"pools": ["mean"]}}


@pytest.mark.parametrize("name", ODD)
def test_what_is_spelled_is_read_as_it_was(name):
    for value in (name, [name], [name, "b"], ["a", name, name]):
        assert read_words(spelled("models", value), KNOWN) == {"models": value}
