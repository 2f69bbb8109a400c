"""Settings are finite, bounded, and of the type that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import Field

from bench.config import RunConfig, Settings, validate
from bench.core.errors import BadSetting, UnknownName


class Example(Settings):
    """One field of each type."""

    count: int = 1
    rate: float = 0.5
    rates: tuple[float, ...] = (0.1,)
    names: tuple[str, ...] = ()
    flag: bool = False
    place: Path | None = None
    share: float = Field(0.5, ge=0, le=1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("rate", text) for text in ("nan", "inf", "-inf", "1e999", "NaN")),
        *(("rates", text) for text in (["0.1", "nan"], "inf")),
        ("count", str(10**20)),
        ("count", "-" + str(10**20)),
        ("count", "9" * 5000),
        ("count", "1.5"),
        ("count", True),
        ("rate", True),
        ("rates", [True]),
        ("flag", "maybe"),
        ("place", ""),
        ("place", "a\0b"),
        ("names", {"a": 1}),
        ("names", 3),
        ("share", "1.1"),
    ],
)
def test_a_value_that_does_not_fit_is_named(key, value):
    with pytest.raises(BadSetting, match=f"^{key}") as error:
        validate(Example, {key: value})
    assert len(str(error.value)) < 500


def test_values_are_coerced_alike():
    given = validate(Example, {"count": "3.0", "rate": "1e-3", "rates": "1", "names": "a", "flag": "yes"})
    assert given == Example(count=3, rate=0.001, rates=(1.0,), names=("a",), flag=True)
    assert Example(names=(name for name in "ab")).names == ("a", "b")
    assert Example(rates=np.array([1.0, 2.0])).rates == (1.0, 2.0)


def test_the_home_folder_is_written_with_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert Example(place="~/data").place == Path("/home/me/data")
    assert RunConfig(suite="demo", results="~/r").results == Path("/home/me/r")
    assert Example(place="a/~").place == Path("a/~")


def test_a_key_that_is_not_known_names_the_near_one():
    with pytest.raises(UnknownName, match=r"no setting of x 'rats'; did you mean rates\?"):
        validate(Example, {"rats": 1}, where=" of x")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("subsets", 10**20),
        ("subsets", 1001),
        ("seeds", -1),
        ("seeds", 2**32),
        ("shots", 10**30),
        ("batch", 10**9),
        ("workers", 10**6),
        ("devices", 10**6),
        ("device", "cuda:99999999999"),
        ("fractions", "nan"),
        ("fractions", 1e-320 * 0),
    ],
)
def test_numbers_of_a_run_are_bounded(word, value):
    with pytest.raises(BadSetting, match=f"^{word}(.0)?="):
        validate(RunConfig, {"suite": "demo", word: value})


def test_more_runs_than_anybody_waits_for_are_refused():
    with pytest.raises(BadSetting, match="1,000,000 runs per model and task"):
        validate(RunConfig, {"suite": "demo", "subsets": 1000, "seeds": range(1000)})


def test_every_word_of_a_run_is_described():
    for name, field in RunConfig.model_fields.items():
        assert field.description and field.description[0] != " " and not field.description.endswith("."), name
