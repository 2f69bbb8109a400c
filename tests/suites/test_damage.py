"""Damaged and hostile files in the tiny copy of every suite: a sentence that names the file, or a sound reading.

Each kind of file that a suite reads is damaged in turn, in every way of `tests.builders.data_damage`. Opening and
reading must raise `MissingData` or `Incompatible` with the name of the file, or end well where the damage leaves valid
content.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.core.errors import Incompatible, MissingData
from suites.datasets import deepglobe_landcover
from suites.geobench2 import _container as container_module
from suites.reading import files as files_module
from suites.reading import hdf5 as hdf5_module
from tests.builders.data_damage import BY_KIND, CERTAIN, LISTS, POSSIBLE, damaged
from tests.builders.suites import NAMES, suite_of

MOST, TASKS = 4, 2
ON_DISK = [name for name in NAMES if suite_of(name).folder]
# Files whose absence leaves a dataset readable: optional ones, and those that make up the list of samples.
OPTIONAL = {
    "sen1floods11": r"Metadata\.geojson", "ai4smallfarms": r"\.gpkg", "crop_us": r"chips_df\.csv",
    "tree_crowns": r"\.(csv|xml)", "dfc2020": r"_dfc_0_p\d+\.tif",
    # A class is read from each file where the publisher's table of classes is absent.
    "m_": r"label_map\.json",
}  # fmt: skip
# Datasets whose images or labels differ in size: one row less is one of their sizes.
VARIES = ("cb_aq", "cb_biomass", "cb_lc100", "sen12flood", "spacenet1", "ucmerced")
# Files that may have any content: nothing built, and a table of another kind.
ANYTHING = {"spacenet1": r"\.geojson", "tree_crowns": r"classes\.csv"}


class Use(NamedTuple):
    """Where a file is read: a task, a split, and its first sample, -1 where no sample but its opening reads it."""

    path: Path
    task: str
    split: str
    index: int


def read(suite, root, task: str, name: str, index: int) -> None:
    """Open all splits of a task, and read the targets and a sample of one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        split = {name: suite.open(root, task, name, suite.bands) for name in suite.splits}[name]
        split.targets()
        if len(split):
            split[max(index, 0) % len(split)]


def uses_of(suite, root, paths: list[Path]) -> list[Use]:
    """Return where each file is read, preferably by a sample; `paths` is filled with the files that are opened."""
    uses: dict[Path, Use] = {}

    def note(task: str, split: str, index: int) -> None:
        for path in paths:
            if path not in uses or uses[path].index == -1 < index:
                uses[path] = Use(path, task, split, index)
        paths.clear()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for task in suite.tasks[:TASKS]:
            for name in suite.splits:
                split = suite.open(root, task.name, name, suite.bands)
                split.targets()
                note(task.name, name, -1)
                for index in range(len(split)):
                    split[index]
                    note(task.name, name, index)
    return list(uses.values())


def chosen(uses: list[Use], root: Path) -> list[Use]:
    """Return up to `MOST` files of each depth and ending, whose names differ in more than numbers."""
    kinds: dict[tuple[int, str], dict[str, Use]] = {}
    for use in uses:
        group = kinds.setdefault((len(use.path.relative_to(root).parts), use.path.suffix), {})
        name = re.sub(r"\d+", "#", use.path.name)
        if name not in group and len(group) < MOST:
            group[name] = use
    return sorted(use for group in kinds.values() for use in group.values())


@pytest.fixture(scope="module")
def used(copies):
    """Suite -> files of each kind that it reads."""
    uses: dict[str, list[Use]] = {}
    patch = pytest.MonkeyPatch()
    paths: list[Path] = []
    original = files_module.checked_file

    def noting(path):
        paths.append(Path(path))
        return original(path)

    for module in (files_module, hdf5_module, container_module):
        patch.setattr(module, "checked_file", noting)
    for name in ON_DISK:
        uses[name] = chosen(uses_of(suite_of(name), copies, paths), copies)
    patch.undo()
    return uses


def allowed(name: str, path: Path, how: str) -> bool:
    """Return whether a suite may read on after a damage, since what is left is valid."""

    def in_table(table: dict[str, str]) -> bool:
        return any(name.startswith(start) and re.search(pattern, path.name) for start, pattern in table.items())

    if how == "absent":
        return in_table(OPTIONAL)
    if how == "row less" and name.startswith(VARIES):
        return path.suffix == ".tif"
    return how in ("empty", "long") and in_table(ANYTHING)


def outcome(suite, root, use: Use) -> str:
    """Return the sentence of an error that names the file; "" where everything can be read."""
    for cache in (deepglobe_landcover._picture, deepglobe_landcover._codes):
        cache.cache_clear()
    try:
        read(suite, root, use.task, use.split, use.index)
    except (MissingData, Incompatible) as error:
        text = str(error)
        # Where the name of an absent file is not known, its folder is named.
        assert use.path.name in text or use.path.parent.name in text, f"the file is not named: {text}"
        assert len(text) < 3000, "a sentence, not a page"
        return text
    return ""


SLOW = ("deepglobe_landcover", "sen12flood")  # large pictures


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ON_DISK
])  # fmt: skip
def test_damaged_files_are_sentences(name, used, copies, tmp_path):
    suite = suite_of(name)
    assert used[name]
    for use in used[name]:
        path = use.path
        for how in (*CERTAIN, *POSSIBLE):
            with damaged(path, how, tmp_path):
                text = outcome(suite, copies, use)
            if how in CERTAIN and not allowed(name, path, how):
                assert text, f"{path}, {how}: read as if nothing had happened"
        for how, change in BY_KIND.get(path.suffix, {}).items():
            with damaged(path, how, tmp_path, change):
                text = outcome(suite, copies, use)
            assert text or allowed(name, path, how), f"{path}, {how}: read as if nothing had happened"
        for how, change in (LISTS if path.suffix in (".csv", ".txt") else {}).items():
            with damaged(path, how, tmp_path, change):
                outcome(suite, copies, use)
        assert outcome(suite, copies, use) == ""
