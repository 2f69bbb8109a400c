"""The commands: purpose, words and flags of each, as used by help, completion and the reading of words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, field_validator

from bench.config import DEVICE, RunConfig, Settings

COMMON_FLAGS = {"--help": "this text", "--version": "the version"}
SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, kw_only=True)
class Command:
    """Name, words and flags of one command.

    Attributes:
        name: the command as typed.
        summary: first line of its help.
        examples: words -> what the command does with them, printed below the summary.
        options: the words it takes, each with its description.
        more: further words that are no field of `options` -> description.
        without: fields of `options` that are no words of this command.
        actions: words without ``=`` that the command takes.
        flags: flag -> description, in addition to `COMMON_FLAGS`.
        settings: packages of nouns whose settings are words; under the noun's name (``probe.c=``) but for recipes.
        works: whether it writes results, so that an interrupted output is a failure.
        notes: the last paragraphs of its help.
    """

    name: str
    summary: str
    examples: Mapping[str, str]
    options: type[Settings]
    more: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ("settings", "placement")
    actions: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    works: bool = False
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The keys of its words."""
        return (*(name for name in self.options.model_fields if name not in self.without), *self.more)


class ListOptions(Settings):
    """Words of ``geobench-list``."""

    model: str | None = Field(None, description="the whole card of one model")
    models: tuple[str, ...] = Field((), description="some of the models: names, globs, origin:pretrained")
    suite: str | None = Field(None, description="the facts of one suite")
    data: Path = Field(Path("data"), description="with --show: folder with the suites' data")
    bands: tuple[str, ...] = Field((), description="with --show: bands or sensors; the suite's default if not given")
    split: str = Field("train", description="with --show: the split that is drawn")
    results: Path = Field(Path("results"), description="with --show: folder that the contact sheets go below")
    weights: Path | None = Field(None, description="folder looked in first for weights")
    entries: tuple[Path, ...] = Field((), description="folders with entries that recipes left (geobench-make)")
    cache: Path | None = Field(None, description="downloads; $GEOBENCH_CACHE or ~/.cache/geobench if not given")


class ReportOptions(Settings):
    """Words of ``geobench-report``."""

    suite: tuple[str, ...] = Field((), description="suites with records; all of them, and the index, if not given")
    results: Path = Field(Path("results"), description="folder with the records; tables and figures go there too")
    compare: str | None = Field(None, description="published: our scores next to published ones, instead of the report")


class CacheOptions(Settings):
    """Words of ``geobench-cache``."""

    cache: Path | None = Field(None, description="the folder; $GEOBENCH_CACHE or ~/.cache/geobench if not given")
    keep: int | None = Field(None, description="with gc: what may stay, 500MB or 20GB; all sound sets if not given")
    results: Path = Field(Path("results"), description="with verify and gc: folder with the records")
    seal: bool = Field(False, description="with verify: add checksums to records that carry none")

    @field_validator("keep", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        if value is None or isinstance(value, int):
            return value
        size = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?) ?([KMGT]?)B?", str(value).upper())
        if size is None:
            raise ValueError("a size reads 500MB or 20GB")
        return int(float(size[1]) * SIZES[size[2]])

    @field_validator("keep")
    @classmethod
    def _not_negative(cls, value: int | None) -> int | None:
        if value is not None and value < 0:
            raise ValueError("a size is 0 or more; 0 empties the cache")
        return value


class MakeOptions(Settings):
    """Words of ``geobench-make`` that are the same for every recipe."""

    recipe: str = Field(description="a recipe: geobench-list recipes")
    data: Path = Field(Path("data"), description="folder with the suites' data")
    out: Path = Field(Path("weights"), description="folder for weights and cards")
    device: str = Field("cpu", pattern=DEVICE, description="auto, cpu, cuda, cuda:1 or mps")


RUN = Command(
    name="geobench-run",
    summary="probe and fine-tune a set of models on a benchmark suite, with intervals, controls and provenance",
    examples={
        "suite=demo": "embedded data and models, a minute",
        "suite=eurosat_rgb models=[galileo_nano,galileo_nano.random,image_stats] data=DIR weights=DIR": "",
        "suite=sen1floods11 models=all --dry": "what would run, what is stored, what is refused and why",
    },
    options=RunConfig,
    more={
        "config": "a YAML file of these words; words on the command line take precedence",
        "study": "a named cross of settings (geobench-list studies); words given take precedence: study=decoders",
    },
    flags={"--dry": "show the plan only", "--watch": "show how the workers of this sweep get on, and start none"},
    settings=("bench.protocols", "bench.executors"),
    works=True,
    notes=(
        "Settings of a protocol or an executor stand under its name, as probe.c=[0.1,1] local.workers=4; "
        "geobench-list settings describes them.",
        "models=all is every entry whose weights can be had, the random twin of each, and the controls without "
        "weights. Files geobench_suites.py (SUITE) and geobench_models.py (ENTRIES) in the working folder add yours.",
        "A run that is stored is not run again; a killed run goes on where it stopped; a failed one is tried again.",
        "Exit code: 0 all done, 1 some runs failed (listed), 2 bad request. "
        "Completion: geobench-run completion bash|zsh|fish.",
    ),
)

LIST = Command(
    name="geobench-list",
    summary="what there is",
    examples={
        "models|suites|groups|protocols|decoders|studies|recipes": "a listing",
        "settings|recipe_settings|metrics|units": "what words and names mean",
        "models=[origin:pretrained,tiny_*]": "some of the models",
        "model=dofa_base": "the whole card of a model",
        "suite=sen1floods11": "the facts of a suite",
        "suite=sen1floods11 --show data=DIR": "contact sheets below results/<suite>: images, targets, classes, values",
    },
    options=ListOptions,
    actions=(
        *("models", "suites", "groups", "protocols", "decoders", "studies", "recipes"),
        *("settings", "recipe_settings", "metrics", "units"),
    ),
    flags={
        "--json": "one JSON list of objects, all columns",
        "--markdown": "a Markdown table",
        "--show": "draw contact sheets of a suite",
    },
)

REPORT = Command(
    name="geobench-report",
    summary="tables and figures again from the records alone, the same bytes on one machine; needs no GPU and no data",
    examples={"": "every suite, and the index", "suite=[eurosat_rgb,demo] results=DIR": "some suites"},
    options=ReportOptions,
    flags={"--json": "the files written, as JSON"},
)

CACHE = Command(
    name="geobench-cache",
    summary="what is stored: features, statistics, checkpoints, downloaded weights, records",
    examples={
        "ls": "the feature sets in the cache",
        "verify": "read everything that is stored and compare it with its checksum; exit 1 if something is damaged",
        "gc keep=20GB": "remove what is damaged or left over, then the least recently used feature sets beyond keep=",
    },
    options=CacheOptions,
    actions=("ls", "verify", "gc"),
    flags={"--json": "one JSON list of objects"},
)

DOCTOR = Command(
    name="geobench-doctor",
    summary="before a long run, the input contract of each model next to what the suite gives",
    examples={
        "suite=NAME models=[...] data=DIR": "units, scale, bands, and what every layer gives for a few images",
        "suite=NAME --audit data=DIR": "reads every file and lists every fault at once",
    },
    options=RunConfig,
    more={"config": RUN.more["config"]},
    flags={"--json": "one JSON list of objects", "--audit": "read every file of the suite"},
    settings=("bench.protocols", "bench.executors"),
    notes=("Exit code: 0 sound, 1 something is wrong, 2 bad request.",),
)

MAKE = Command(
    name="geobench-make",
    summary="train or derive a model by a recipe of the foundry; leaves weights (safetensors) and a JSON card",
    examples={"recipe=pretrain model=tiny_mae": "train an entry of the tiny zoo again"},
    options=MakeOptions,
    flags={"--dry": "print the sizes of what would be trained, and train nothing (recipe=learn)"},
    settings=("bench.foundry",),
    works=True,
    notes=("A recipe has words of its own (model=, seed=, ...): geobench-list recipe_settings describes them.",),
)

COMMANDS = {command.name: command for command in (RUN, LIST, REPORT, CACHE, DOCTOR, MAKE)}
