"""RunConfig: what a person asks for, read from ``key=value`` words and YAML files, validated, replayable."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.config.settings import Settings, as_tuple, validate
from bench.config.words import read_words, spelled
from bench.core import Absent
from bench.core.errors import BadSetting
from bench.core.wording import clipped, shortened

REPLAYED = (
    *("models", "tasks", "protocols", "bands", "layers", "fractions", "shots", "seeds"),
    *("subsets", "absent", "rgb_as", "precision", "storage"),
)
MOST_CELLS = 100_000
PART = r"^(|[1-9]\d{0,5}/[1-9]\d{0,5})$"
DEVICE = r"^(auto|cpu|mps|cuda(:\d{1,4})?)$"


class RunConfig(Settings):
    """Configuration of a sweep: one suite crossed with models, tasks, protocols, label fractions, subsets and seeds.

    Of these settings ``data weights entries cache results download device devices batch workers channels_last compile
    retry executor part`` are not part of a run's identity: they determine where and how fast it runs.
    """

    suite: str = Field(
        description="a suite: geobench-list suites; geobench-run takes several, globs and groups: [a,b], core"
    )
    models: tuple[str, ...] = Field(
        ("all",), description="names, globs, all, origin:random, objective:multimodal, path:FILE:ENTRY, embeddings:FILE"
    )
    tasks: tuple[str, ...] = Field((), description="tasks of the suite; all if not given")
    protocols: tuple[str, ...] = Field(
        ("probe", "knn", "similarity"), description="ways to adapt, score and compare: geobench-list protocols"
    )
    bands: tuple[str, ...] = Field(
        (), description="bands or sensors: s1, s2.b04, s2.b0*; the suite's default if not given"
    )
    absent: Absent | None = Field(
        None,
        description="stand-in for bands the suite lacks: refuse, zero, mean, nearest, mask; else the model's own way",
    )
    rgb_as: Literal["", "s2"] = Field(
        "", description="s2: photographs stand for Sentinel-2's red, green and blue, for models that take nothing else"
    )
    layers: tuple[str, ...] = Field(
        (), description="layers to probe: embedding, block_3, block_*, last; all if not given"
    )
    fractions: tuple[float, ...] = Field((1.0,), description="shares of the train and validation labels, in (0, 1]")
    shots: tuple[int, ...] = Field(
        (), description="few-shot subsets of as many samples per class, besides the fractions"
    )
    subsets: int = Field(5, ge=1, le=1000, description="nested, stratified subsets per fraction below 1")
    seeds: tuple[int, ...] = Field(
        (), description="of random init, probe init and batch order; if not given 0, and 0,1,2 for what is trained"
    )
    data: Path = Field(Path("data"), description="folder with the suites' data")
    weights: Path | None = Field(
        None, description="folder looked in first for weights; then the cache, then a download"
    )
    entries: tuple[Path, ...] = Field((), description="folders with entries that recipes left (geobench-make)")
    cache: Path | None = Field(
        None, description="folder for features and downloads; $GEOBENCH_CACHE or ~/.cache/geobench if not given"
    )
    results: Path = Field(Path("results"), description="folder for records, tables and figures")
    download: bool = Field(True, description="fetch missing data and weights")
    device: str = Field("auto", pattern=DEVICE, description="auto, cpu, cuda, cuda:1 or mps")
    devices: int = Field(1, ge=1, le=1024, description="processes that fine-tune together, one per device")
    batch: int = Field(32, ge=1, le=65536, description="images per forward pass")
    workers: int = Field(2, ge=1, le=1024, description="threads that read samples")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="arithmetic of the network; part of a run's identity"
    )
    channels_last: bool = Field(False, description="memory layout of convolutions")
    compile: bool = Field(False, description="compile the network first")
    storage: Literal["float16", "float32"] = Field(
        "float16", description="how features are kept; float32 for a model whose activations exceed float16"
    )
    retry: bool = Field(True, description="run again what failed before")
    executor: str = Field("process", description="where runs are carried out: process (this one), local or slurm")
    part: str = Field(
        "", pattern=PART, description="one part of the sweep, 3/16; the parts are disjoint, for a split by hand"
    )
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="protocol -> its own settings, written probe.pools=[mean]"
    )
    placement: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="executor -> its own settings, written local.workers=4"
    )

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= seed < 2**32 for seed in value):
            raise ValueError("a seed lies in 0 to 4,294,967,295")
        return value

    @field_validator("part")
    @classmethod
    def _part(cls, value: str) -> str:
        number, _, count = value.partition("/")
        if value and int(number) > int(count):
            raise ValueError(f"parts of {count} are numbered 1/{count} to {count}/{count}")
        return value

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
            raise ValueError("a few-shot subset has 1 sample per class or more")
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _labels(self) -> RunConfig:
        if not self.label_sets:
            raise ValueError("no labels to learn from: give fractions= or shots=")
        cells = len(self.label_sets) * self.subsets * max(1, len(self.seeds))
        if cells > MOST_CELLS:
            raise ValueError(f"{cells:,} runs per model and task by subsets=, fractions=, shots= and seeds=; too many")
        return self

    @property
    def label_sets(self) -> tuple[float, ...]:
        """The label sets as `bench.core.RunKey.fraction` names them, few-shot ones first."""
        return (*(-float(shots) for shots in self.shots), *self.fractions)

    @field_validator("models", "protocols")
    @classmethod
    def _some(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("at least one is needed")
        return value

    def replay(self) -> str:
        """Return the command that runs this configuration again, quoted for a shell, without machine-bound words."""
        words = spelled("suite", self.suite)
        for name in REPLAYED:
            if (value := getattr(self, name)) != RunConfig.model_fields[name].default:
                words += spelled(name, value)
        return shlex.join(["geobench-run", *words, *(word for own in self.settings.items() for word in spelled(*own))])


def run_configs(
    words: Iterable[str],
    protocols: Sequence[str],
    expand: Callable[[Sequence[str]], Sequence[str]] = tuple,
    study: Callable[[str, str], Mapping[str, Any]] | None = None,
    executors: Sequence[str] = (),
) -> list[RunConfig]:
    """Return the configurations that command-line words spell, one per suite.

    Args:
        words: as for `read_words`; ``suite=`` may be a list.
        protocols: the names that own nested settings.
        expand: the values of ``suite=`` (names, groups, globs) -> names of suites.
        study: (name of ``study=``, suite) -> words that the study brings; those given take precedence.
        executors: the names that own nested settings of another kind.
    """
    fields = [name for name in RunConfig.model_fields if name not in ("settings", "placement")]
    values = read_words(words, [*fields, "config", *(["study"] if study else [])], [*protocols, *executors])
    given = as_tuple(values.pop("suite", None))
    if isinstance(given, Mapping):
        raise BadSetting(f"suite={clipped(str(given))}: a name or a list of names is needed")
    suites = expand([str(word) for word in given]) if given else [None]
    name = values.pop("study", None)
    configs = []
    for suite in suites:
        own = dict(values)
        for key, default in (study(str(name), suite or "") if study and name else {}).items():
            mine = own.get(key, {} if isinstance(default, Mapping) else default)
            own[key] = {**default, **mine} if isinstance(default, Mapping) and isinstance(mine, Mapping) else mine
        nested = {
            "settings": {key: own.pop(key) for key in list(own) if key in protocols},
            "placement": {key: own.pop(key) for key in list(own) if key in executors},
        }
        configs.append(validate(RunConfig, {**own, **nested} | ({"suite": suite} if suite else {})))
    return configs


def run_config(words: Iterable[str], protocols: Sequence[str], executors: Sequence[str] = ()) -> RunConfig:
    """Return the one configuration that words spell; see `run_configs`.

    Raises:
        BadSetting: they name several suites.
    """
    configs = run_configs(words, protocols, executors=executors)
    if len(configs) != 1:
        raise BadSetting(f"one suite at a time here; got {shortened([config.suite for config in configs])}")
    return configs[0]
