"""Feature passes: what decides the features of a run, and which of them the cache holds. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.core import sha256_of
from bench.features.extraction import Pass
from bench.features.statistics import statistics_key
from bench.input.content import Contents
from bench.input.targets import mask_type
from bench.runs.identity import user_files
from bench.runs.plan import Run
from bench.runs.task_splits import TaskSplits
from bench.store import FeatureCache

CHOICE = "layers"
"""Fact of a feature set that holds some of the layers."""


def feature_pass(
    run: Run,
    name: str,
    splits: TaskSplits,
    contents: Contents,
    *,
    labels: Mapping[str, str],
    storage: str,
    layers: tuple[str, ...] = (),
    grids: bool = False,
) -> Pass:
    """Return the pass that gives a run's features of one split, which decides their key in the cache.

    Args:
        run: the run.
        name: of the split.
        splits: of the run's task.
        contents: fingerprints of the suite's splits.
        labels: split -> hash of all targets; read for dense tasks alone.
        storage: numpy dtype that features are kept in.
        layers: names of the layers kept, empty for all.
        grids: whether the token grids of image-level tasks are kept too.
    """
    dense = run.task.dense
    facts = {
        "model": run.entry.name,
        "model_version": run.entry.version,
        "weights": run.key.weights,
        "seed": run.key.init_seed,
        "suite": run.key.suite,
        "suite_version": run.key.suite_version,
        "task": run.task.name if dense else "",
        "images": contents.images(run.task, name, run.recipe.reads),
        **({"labels": labels[name]} if dense and run.task.kind != "detection" else {}),
        **({"user_files": files} if (files := user_files(run, contents.data.suite)) else {}),
    }
    return Pass(
        facts=facts,
        split_name=name,
        split=splits.open(name),
        recipe=run.recipe,
        dense=dense,
        storage=storage,
        grids=grids and not dense,
        layers=layers,
        mask=mask_type(run.task),
    )


def statistics_facts(run: Run, contents: Contents) -> dict[str, Any]:
    """Return the facts that the train statistics of a run's bands are kept under."""
    images = contents.images(run.task, "train", run.recipe.reads)
    return {"suite": run.key.suite, "version": run.key.suite_version, "split": "train", "images": images}


@dataclass(frozen=True, kw_only=True)
class CachedPasses:
    """Which feature sets the cache holds, found without computing anything.

    Attributes:
        contents: fingerprints of the suite's splits, with the cache.
        storage: numpy dtype that features are kept in.
    """

    contents: Contents
    storage: str
    _choices: set[str] = field(default_factory=set)
    _listed: list[bool] = field(default_factory=list)

    @property
    def cache(self) -> FeatureCache:
        """The feature cache."""
        return self.contents.cache

    def has(self, run: Run, name: str, *, grids: bool = False, some_layers: bool = False) -> bool:
        """Return whether the features of one split of a run are cached.

        Features whose key needs the hash of all targets, or train statistics, are not there as long as those are not
        known: each pass computes and keeps them first.

        Args:
            run: the run.
            name: of the split.
            grids: whether the token grids of image-level tasks are needed too.
            some_layers: whether a set of the layers that decoders usually read will do.
        """
        task, contents = run.task, self.contents
        labels: dict[str, str] = {}
        if task.dense and task.kind != "detection":
            survey = contents.survey(task, name)
            if not isinstance(survey, Mapping) or "hash" not in survey:
                return False
            labels[name] = str(survey["hash"])
        splits = TaskSplits(data=contents.data, task=task, bands=run.recipe.reads)
        known: Any = {}
        if run.recipe.normalise == "dataset":
            key = statistics_key(splits.open("train"), run.recipe.reads, statistics_facts(run, contents))
            known = self.cache.memos.recall("statistics", key)
            if not known:
                return False
        job = feature_pass(run, name, splits, contents, labels=labels, storage=self.storage, grids=grids)
        stats = {band: (pair[0], pair[1]) for band, pair in known.items()}
        if (self.cache.folder(job.key(stats)) / "manifest.json").exists():
            return True
        return some_layers and self._without_choice(job.key(stats)) in self._sets_of_some_layers()

    def _sets_of_some_layers(self) -> set[str]:
        """Return the keys, but for the layers, of the cached sets that hold some of the layers."""
        if not self._listed:
            self._listed.append(True)
            for facts in self.cache.facts():
                if CHOICE in facts:
                    self._choices.add(self._without_choice(facts))
        return self._choices

    @staticmethod
    def _without_choice(facts: Mapping[str, Any]) -> str:
        return sha256_of({name: value for name, value in facts.items() if name != CHOICE})
