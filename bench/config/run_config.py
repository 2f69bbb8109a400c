"""RunConfig: what a person asks for, read from ``key=value`` words and YAML files, validated, replayable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.config.settings import Settings, as_tuple, validate
from bench.config.words import read_words
from bench.core import Absent
from bench.core.errors import BadSetting


class RunConfig(Settings):
    """What to run: one suite crossed with models, tasks, protocols, label fractions, subsets and seeds.

    Attributes:
        suite: a file name in ``suites/``.
        models: names, globs, ``all``, ``origin:NAME`` or ``objective:NAME``; any number of them.
        tasks: task names of the suite or globs; empty for all.
        protocols: file names in ``bench/protocols/``.
        bands: bands of the suite to use, as names or globs (``s1.*``, ``s2``); empty for the suite's default.
        absent: what stands in for bands a suite lacks, where an entry accepts it; an entry's own way if not given.
        rgb_as: ``s2`` lets photographs stand for Sentinel-2's red, green and blue, for models that take nothing else.
        layers: layer names or globs to probe (``block_*``, ``last``); empty for every layer.
        fractions: shares of the train and validation labels, in (0, 1].
        shots: few-shot subsets, of so many train and validation samples a class, beside the fractions.
        subsets: nested subsets drawn a fraction; the full set is one subset.
        seeds: seeds of random init, probe init and batch order; if not given 0, and 0, 1, 2 for what is trained.
        data: folder with the suites' data.
        weights: folder looked in first for weights.
        cache: folder for downloaded weights and features; empty for ``$GEOBENCH_CACHE`` or ``~/.cache/geobench``.
        results: folder the records, tables and figures go to.
        download: fetch missing data and weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. Never part of a run's identity.
        devices: processes that train together, one a device; never part of a run's identity.
        batch: images a forward pass. Never part of a run's identity.
        workers: threads that read samples. Never part of a run's identity.
        precision: arithmetic of the network, ``fp32`` or ``bf16`` (autocast); part of a run's identity.
        channels_last: memory layout of convolutions; recorded. Never part of a run's identity.
        compile: compile the network first; recorded. Never part of a run's identity.
        storage: how features are kept; float32 for a model whose activations exceed float16.
        retry: run again what failed before.
        settings: protocol name -> its own settings, written ``probe.pools=[mean]``.
    """

    suite: str
    models: tuple[str, ...] = ("all",)
    tasks: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ("probe", "knn")
    bands: tuple[str, ...] = ()
    absent: Absent | None = None
    rgb_as: Literal["", "s2"] = ""
    layers: tuple[str, ...] = ()
    fractions: tuple[float, ...] = (1.0,)
    shots: tuple[int, ...] = ()
    subsets: int = Field(5, ge=1)
    seeds: tuple[int, ...] = ()
    data: Path = Path("data")
    weights: Path | None = None
    cache: Path | None = None
    results: Path = Path("results")
    download: bool = True
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    devices: int = Field(1, ge=1)
    batch: int = Field(32, ge=1)
    workers: int = Field(2, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    storage: Literal["float16", "float32"] = "float16"
    retry: bool = True
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("fractions")
    @classmethod
    def _fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for fraction in value:
            if not 0 < fraction <= 1:
                raise ValueError(f"a label fraction lies in (0, 1]; 10 per cent is 0.1, not {fraction:g}")
        return tuple(sorted(set(value)))

    @field_validator("shots")
    @classmethod
    def _shots(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(shots < 1 for shots in value):
            raise ValueError("a few-shot subset has 1 sample a class or more")
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _labels(self) -> RunConfig:
        if not self.label_sets:
            raise ValueError("no labels to learn from: give fractions= or shots=")
        return self

    @property
    def label_sets(self) -> tuple[float, ...]:
        """The label sets as `bench.core.RunKey.fraction` names them: few-shot ones first, as minus their size."""
        return (*(-float(shots) for shots in self.shots), *self.fractions)

    @field_validator("models", "protocols")
    @classmethod
    def _some(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("at least one is needed")
        return value

    def replay(self) -> str:
        """Return the command that runs this configuration again, without its machine-bound words."""
        words = [f"suite={self.suite}"]
        for name in ("models", "tasks", "protocols", "bands", "layers", "fractions", "shots", "seeds"):
            value = getattr(self, name)
            if value != RunConfig.model_fields[name].default:
                words.append(f"{name}=[{','.join(f'{item}' for item in value)}]")
        for name in ("subsets", "absent", "rgb_as", "precision", "storage"):
            if getattr(self, name) != RunConfig.model_fields[name].default:
                words.append(f"{name}={getattr(self, name)}")
        words += [f"{name}.{key}={_word(value)}" for name, own in self.settings.items() for key, value in own.items()]
        return "geobench-run " + " ".join(words)


def _word(value: Any) -> str:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return f"[{','.join(map(str, value))}]" if listed else str(value)


def run_configs(
    words: Iterable[str],
    protocols: Sequence[str],
    expand: Callable[[Sequence[str]], Sequence[str]] = tuple,
    study: Callable[[str, str], Mapping[str, Any]] | None = None,
) -> list[RunConfig]:
    """Return the configurations that command-line words spell, one a suite.

    Args:
        words: as for `read_words`; ``suite=`` may be a list.
        protocols: the names that own nested settings.
        expand: the words of ``suite=`` -> names of suites (groups and globs).
        study: (name of ``study=``, suite) -> what the study says where the words are silent.
    """
    known = [*(name for name in RunConfig.model_fields if name != "settings"), "config", *(["study"] if study else [])]
    values = read_words(words, known, protocols)
    suites = expand([str(word) for word in as_tuple(values.pop("suite"))]) if values.get("suite") else [None]
    name = values.pop("study", None)
    found = []
    for suite in suites:
        own = dict(values)
        for key, said in (study(str(name), suite or "") if study and name else {}).items():
            own[key] = {**said, **own.get(key, {})} if isinstance(said, Mapping) else own.get(key, said)
        settings = {key: own.pop(key) for key in list(own) if key in protocols}
        found.append(validate(RunConfig, {**own, "settings": settings} | ({"suite": suite} if suite else {})))
    return found


def run_config(words: Iterable[str], protocols: Sequence[str]) -> RunConfig:
    """Return the one configuration that words spell; see `run_configs`.

    Raises:
        BadSetting: they name several suites.
    """
    configs = run_configs(words, protocols)
    if len(configs) != 1:
        raise BadSetting(f"one suite at a time here; got {', '.join(config.suite for config in configs)}")
    return configs[0]
