"""``geobench-doctor``: the input contract of each model, checked against a few samples, and its features."""

from __future__ import annotations

from collections.abc import Sequence

from bench.catalogue.suites import select_bands, select_tasks
from bench.catalogue.weights import WeightSources
from bench.config import RunConfig
from bench.core import ModelEntry, Split, Suite, Task
from bench.core.errors import BenchError, Incompatible, MissingWeights
from bench.core.soundness import open_split
from bench.features.statistics import statistics
from bench.input.recipe import match
from bench.input.splits import some_samples
from bench.preflight.checks import Finding, examine_contract, examine_features, examine_input, examine_samples
from bench.store import FeatureCache

Rows = list[dict[str, str]]


def checkup(
    suite: Suite, entries: Sequence[ModelEntry], config: RunConfig, shelf: WeightSources, cache: FeatureCache
) -> Rows:
    """Return one row per finding: the suite's own first, then those of each model.

    Args:
        suite: looked at through a few samples of its training split.
        entries: the models; one whose weights are not at hand has its input examined, not its features.
        config: bands, tasks and the data folder.
        shelf: where weights are.
        cache: keeps the train statistics.

    Raises:
        MissingData: the suite's data are not there.
    """
    bands = select_bands(suite, config.bands)
    rows: Rows = []
    for task in select_tasks(suite, config.tasks)[:1]:
        split = open_split(suite, config.data, task.name, "train", bands)
        rows += _rows(suite.name, examine_samples(some_samples(split), bands))
        for entry in entries:
            try:
                rows += _rows(entry.name, _examine(suite, task, entry, config, shelf, cache))
            except Incompatible as error:
                rows.append({"who": entry.name, "state": "refused", "about": "contract", "what": str(error)})
            except BenchError as error:
                rows.append({"who": entry.name, "state": "error", "about": "contract", "what": str(error)})
    return rows


def _examine(
    suite: Suite, task: Task, entry: ModelEntry, config: RunConfig, shelf: WeightSources, cache: FeatureCache
) -> list[Finding]:
    recipe = match(
        entry,
        suite,
        task,
        select_bands(suite, config.bands),
        absent=config.absent,
        precision=config.precision,
        rgb_as=config.rgb_as,
    )
    split: Split = open_split(suite, config.data, task.name, "train", recipe.reads)
    stats: dict[str, tuple[float, float]] = {}
    if recipe.normalise == "dataset":
        facts = {"suite": suite.name, "version": suite.version, "split": "train"}
        stats = statistics(split, recipe.reads, cache, facts)
    samples = some_samples(split)
    findings = examine_contract(entry, suite, recipe) + examine_input(samples, recipe, stats)
    if any(finding.level == "error" for finding in findings):
        return findings
    state = shelf.state(entry)
    if state in ("missing", "downloadable"):
        return [*findings, Finding(level="warning", about="weights", text=f"{state}: {shelf.remedy(entry)}")]
    try:
        backbone = entry.load(entry, shelf.find(entry), (config.seeds or (0,))[0], recipe.bands)
    except MissingWeights as error:
        return [*findings, Finding(level="error", about="weights", text=str(error))]
    return findings + examine_features(backbone, samples, recipe, stats)


def _rows(who: str, findings: Sequence[Finding]) -> Rows:
    return [{"who": who, "state": finding.level, "about": finding.about, "what": finding.text} for finding in findings]
