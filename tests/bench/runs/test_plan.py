"""The plan: what is crossed, what is refused and why, what a key covers."""

from __future__ import annotations

import pytest

from bench.catalogue.suites import select_bands
from bench.config import RunConfig
from bench.core import Band
from bench.core.errors import BadSetting, MissingWeights, UnknownName
from bench.protocols import knn, probe
from bench.runs import plan as planning
from tests.builders.suite_and_model import toy_entry, toy_suite

SUITE = toy_suite()
PROTOCOLS = {"probe": probe.PROTOCOL, "knn": knn.PROTOCOL}


def plan(entries=None, *, explicit=True, weights=lambda entry: "none", suite=SUITE, **words):
    config = RunConfig(suite="toy", **words)
    return planning.make(
        config,
        suite,
        entries or [toy_entry()],
        PROTOCOLS,
        bands=select_bands(suite, config.bands),
        explicit=explicit,
        split_hash=lambda task: "x",
        weights=weights,
    )


def test_the_cross_and_its_refusals():
    planned = plan(fractions=(0.1, 1.0), subsets=3, seeds=(0, 1))
    # 3 tasks with probe, 2 with knn; (3 subsets + the whole) x 2 seeds
    assert len(planned.runs) == 5 * 4 * 2 and len({run.key.digest for run in planned.runs}) == 40
    assert [(r.task, r.protocol) for r in planned.refused] == [("mask", "knn")]
    assert "not for pixels and boxes" in planned.refused[0].reason


def test_a_model_without_its_bands_is_refused_with_what_there_is():
    other = toy_entry(name="other_small", bands=(Band(name="s1.vv", unit="db"),))
    planned = plan([toy_entry(), other], protocols=("probe",))
    assert {run.entry.name for run in planned.runs} == {"toy_small"}
    assert {r.reason for r in planned.refused if r.model == "other_small"} == {
        "other_small needs s1.vv; toy has s2.b04 s2.b08"
    }


def test_missing_weights_are_listed_or_an_error_when_asked_for_by_name():
    def weights(entry):
        if entry.name == "toy_small":
            raise MissingWeights("toy_small: get it from its authors")
        return "random"

    entries = [
        toy_entry(),
        toy_entry(name="toy_small.random", origin="random", parent="toy_small"),
        toy_entry(name="alone", origin="baseline"),
    ]
    planned = plan(entries, explicit=False, weights=weights)
    assert planned.unavailable == {"toy_small": "toy_small: get it from its authors"}
    # The twin of a model that is not compared is no control of anything.
    assert {run.entry.name for run in planned.runs} == {"alone"}
    with pytest.raises(MissingWeights, match="authors"):
        plan(entries, explicit=True, weights=weights)


def test_only_what_differs_from_the_defaults_is_in_a_key():
    plain = plan().runs[0].key
    assert plain.settings == {}
    assert plan(settings={"probe": {"steps": 100}}).runs[0].key == plain
    assert plan(settings={"probe": {"steps": 101}}).runs[0].key.settings == {"steps": 101}
    assert plan(settings={"probe": {"steps": "100.0"}}).runs[0].key == plain
    assert plan(device="cpu", batch=7, workers=9).runs[0].key == plain
    assert plan(layers=("block_2",)).runs[0].key.settings == {"layers": ["block_2"]}
    assert plan(storage="float32").runs[0].key.settings == {"storage": "float32"}


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ({"tasks": ("kindd",)}, "kind"),
        ({"layers": ("blok_2",)}, "block_2"),
        ({"bands": ("s2.b4",)}, r"s2\.b04"),
        ({"settings": {"probe": {"step": 1}}}, "steps"),
    ],
)
def test_misspelt_names_stop_the_plan(words, near):
    with pytest.raises(UnknownName, match=f"did you mean {near}\\?"):
        plan(**words)


def test_bad_protocol_settings_name_the_key():
    for settings, message in (({"pools": "meen"}, "no pool 'meen'"), ({"c": [0]}, "positive"), ({"steps": 0}, "steps")):
        with pytest.raises(BadSetting, match=message):
            plan(settings={"probe": settings})


def test_bands_by_sensor_name_or_glob():
    bands = [Band(name=name, unit="dn") for name in ("s2.b04", "s2.b08")] + [Band(name="s1.vv", unit="db")]
    suite = toy_suite(bands=tuple(bands), default_bands=("s1.*",))
    names = lambda *words: [band.name for band in select_bands(suite, words)]  # noqa: E731
    assert names() == ["s1.vv"] and names("s2") == ["s2.b04", "s2.b08"] and names("s1", "s2.b08") == ["s2.b08", "s1.vv"]
