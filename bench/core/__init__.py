"""The nouns of the harness: bands, models, suites, samples, runs and records. Data only; nothing here imports torch."""

from bench.core.bands import UNITS, Band, Normalise, Unit
from bench.core.errors import (
    BadSetting,
    BenchError,
    Damaged,
    Incompatible,
    MissingData,
    MissingWeights,
    UnknownName,
    Unwritable,
)
from bench.core.models import (
    BLOCK_PARTS,
    Absent,
    Backbone,
    Images,
    Layer,
    Load,
    ModelEntry,
    ModulesMap,
    Objective,
    Origin,
    Tap,
    Weights,
)
from bench.core.records import Outcome, Record, RunKey, canonical, label_fraction_text, sha256_of
from bench.core.structures import Structure
from bench.core.suites import Fetch, GeoreferencedSplit, Kind, Sample, Split, Suite, Task

__all__ = [
    "BLOCK_PARTS",
    "UNITS",
    "Absent",
    "Backbone",
    "BadSetting",
    "Band",
    "BenchError",
    "Damaged",
    "Fetch",
    "GeoreferencedSplit",
    "Images",
    "Incompatible",
    "Kind",
    "Layer",
    "Load",
    "MissingData",
    "MissingWeights",
    "ModelEntry",
    "ModulesMap",
    "Normalise",
    "Objective",
    "Origin",
    "Outcome",
    "Record",
    "RunKey",
    "Sample",
    "Split",
    "Structure",
    "Suite",
    "Tap",
    "Task",
    "Unit",
    "UnknownName",
    "Unwritable",
    "Weights",
    "canonical",
    "label_fraction_text",
    "sha256_of",
]


def __getattr__(name: str) -> object:
    if name == "labels_in_words":  # its name in version 0.1; goes with version 0.3
        return label_fraction_text
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
