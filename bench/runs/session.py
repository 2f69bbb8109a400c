"""Session: places, data and the loaded model that the runs of a sweep share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench.catalogue.weights import WeightSources
from bench.config import RunConfig
from bench.core import Backbone, Band, Record
from bench.core.errors import BadSetting, Incompatible
from bench.features.extraction import Pass, extract
from bench.features.ready_made import embedded
from bench.features.statistics import statistics
from bench.input.content import Contents
from bench.input.splits import Splits, some_samples
from bench.preflight.checks import Finding, examine_input, examine_samples, identical_models
from bench.preflight.targets import check_targets
from bench.runs.feature_passes import feature_pass, statistics_facts
from bench.runs.fingerprint import network_fingerprint
from bench.runs.identity import data_facts, user_files
from bench.runs.plan import Run
from bench.runs.task_splits import TaskSplits
from bench.store import FeatureCache, Features, Store


class Progress(Protocol):
    """Receiver of a sweep's progress; the commands print it, see `bench.sweeps.watchers`."""

    def started(self, run: Run) -> None:
        """Note that a run begins."""

    def extracting(self, model: str, split: str, images: int) -> None:
        """Note that a backbone pass over `images` images begins."""

    def extracted(self, images: int) -> None:
        """Note that `images` more images of that pass are done."""

    def waiting(self, groups: int) -> None:
        """Note that all that is left, `groups` groups of runs, is claimed by other processes."""

    def finished(self, run: Run, record: Record) -> None:
        """Note that a run has its record."""


@dataclass(frozen=True)
class NoProgress:
    """A watcher that prints nothing."""

    def started(self, run: Run) -> None:
        """Print nothing."""

    def extracting(self, model: str, split: str, images: int) -> None:
        """Print nothing."""

    def extracted(self, images: int) -> None:
        """Print nothing."""

    def waiting(self, groups: int) -> None:
        """Print nothing."""

    def finished(self, run: Run, record: Record) -> None:
        """Print nothing."""


@dataclass
class Session:
    """State shared by runs: folders, data and the model in memory.

    Attributes:
        config: the configuration.
        data: the suite's splits.
        store, cache, shelf: where records, features and weights are.
        device: torch device, resolved.
        watcher: receives progress.
        begun: when the sweep began, by the clock of the results folder; failures from before are tried again.
        contents: fingerprints of the suite's splits.
    """

    config: RunConfig
    data: Splits
    store: Store
    cache: FeatureCache
    shelf: WeightSources
    device: str
    watcher: Progress = field(default_factory=NoProgress)
    begun: float = math.inf
    contents: Contents = field(init=False)
    _loaded: tuple[Any, Backbone] | None = None
    _examined: set[Any] = field(default_factory=set)
    _opened: dict[tuple[str, tuple[Band, ...]], TaskSplits] = field(default_factory=dict)
    _prints: dict[tuple[str, bool], dict[str, str]] = field(default_factory=dict)
    _labels: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.contents = Contents(data=self.data, cache=self.cache)

    def splits(self, run: Run) -> TaskSplits:
        """Return the splits of a run, opened once for all runs of its task that read the same bands."""
        key = (run.task.name, run.recipe.reads)
        if key not in self._opened:
            self._opened[key] = TaskSplits(data=self.data, task=run.task, bands=run.recipe.reads)
        return self._opened[key]

    def backbone(self, run: Run) -> Backbone:
        """Return the run's model, loaded once for consecutive runs that use it."""
        key = (run.entry.name, run.recipe.bands, run.key.init_seed)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # free the last model before the next is loaded
            backbone = self._load(run, self._weights(run), run.key.init_seed)
            if run.key.weights == "random":
                self.cache.memos.remember("networks", self._fingerprint_key(run), network_fingerprint(backbone))
            self._loaded = (key, backbone)
        return self._loaded[1]

    def fingerprint(self, run: Run) -> str:
        """Return the fingerprint of a run's network at random init, ``""`` for other networks.

        It is taken when the network is loaded, and kept in the cache for runs that read cached features.
        """
        if run.key.weights != "random":
            return ""
        return str(self.cache.memos.recall("networks", self._fingerprint_key(run)) or "")

    def _fingerprint_key(self, run: Run) -> dict[str, object]:
        facts = {"model": run.entry.name, "version": run.entry.version, "seed": run.key.init_seed}
        facts |= {"recipe": run.recipe.facts(), "suite": run.key.suite}
        return facts | {"user_files": user_files(run, self.data.suite)}

    def weight_notes(self, run: Run) -> tuple[str, ...]:
        """Return notes on the loading of a run's weights, by this process or an earlier one."""
        return tuple(self.cache.memos.recall("weight_notes", self._weight_key(run)) or ())

    def size_notes(self, run: Run) -> tuple[str, ...]:
        """Return notes on the splits of a run's task whose size is not as the suite declares."""
        return self.data.size_notes(run.task, run.recipe.reads)

    def _weight_key(self, run: Run) -> dict[str, Any]:
        return {"model": run.entry.name, "version": run.entry.version, "weights": run.key.weights}

    def _weights(self, run: Run) -> Path | None:
        """Return the run's weights file, which must be the one it was planned with."""
        planned = run.key.weights if run.entry.weights else ""
        return self.shelf.find(run.entry, expected="" if planned in ("none", "random") else planned)

    def own_backbone(self, run: Run, *, scratch: bool = False) -> Backbone:
        """Return a copy of the run's model that may be changed; with `scratch`, at random init by the run's seed."""
        path = None if scratch else self._weights(run)
        return self._load(run, path, run.key.seed if scratch else run.key.init_seed)

    def _load(self, run: Run, path: Path | None, seed: int) -> Backbone:
        """Return a new copy of the run's model, laid out and compiled as configured."""
        import torch

        from bench.networks.checkpoints import collected_notes
        from bench.networks.randomness import seeded_draws

        notes: list[str] = []
        with seeded_draws(seed), collected_notes(notes):  # whatever a loader draws follows the seed it is given
            backbone = run.entry.load(run.entry, path, seed, run.recipe.bands)
        if notes:
            self.cache.memos.remember("weight_notes", self._weight_key(run), notes)
        if not hasattr(backbone, "modules_map"):  # networks in users' files need not name their sub-modules
            vars(backbone)["modules_map"] = {}
        if isinstance(backbone, torch.nn.Module):
            if self.config.channels_last:
                backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if self.config.compile:
                backbone.compile()
        return backbone

    def ready(self, run: Run) -> dict[str, tuple[float, float]]:
        """Return the train statistics that a run needs, after checking its targets, and that its input fits its model.

        Raises:
            MissingData: targets that are not sound, see `bench.preflight.targets`.
            Incompatible: the input is not on the scale that the model was trained on.
        """
        if run.protocol.reads_labels:
            self.labels(run)
        stats = self._statistics(run)
        self._examine(run, stats)
        return stats

    def labels(self, run: Run) -> dict[str, str]:
        """Return the hash of all targets of each split of a run's task, checked once.

        Raises:
            MissingData: see `bench.preflight.targets.check_targets`.
        """
        task = run.task
        if task.name not in self._labels:
            self._labels[task.name] = check_targets(
                self.contents,
                task,
                self.splits(run).names,
                run.recipe.reads[0],
                started=lambda split, count: self.watcher.extracting(f"labels of {task.name}", split, count),
                workers=self.config.workers,
            )
        return self._labels[task.name]

    def data_facts(self, run: Run) -> dict[str, object]:
        """Return the fingerprints of a run's data, which its record holds; see `bench.runs.identity`."""
        return data_facts(run, self.contents, self.labels(run) if run.protocol.reads_labels else {})

    def feature_pass(self, run: Run, name: str, layers: tuple[str, ...] = (), grids: bool = False) -> Pass:
        """Return the pass that gives a run's features of one split, which decides their key in the cache."""
        return feature_pass(
            run,
            name,
            self.splits(run),
            self.contents,
            labels=self.labels(run) if run.task.dense else {},
            storage=self.config.storage,
            layers=layers,
            grids=grids,
        )

    def features(
        self, run: Run, name: str, layers: tuple[str, ...] = (), grids: bool = False
    ) -> tuple[Features, dict[str, float]]:
        """Return a run's features of one split, and the cost of the pass that was made for them.

        Args:
            run: the run.
            name: of the split.
            layers: names of the layers wanted, all by default; features of all layers serve where they are cached.
            grids: whether the token grids of image-level tasks are wanted too.

        Returns:
            The features, and ``{"passes": images run now, "seconds": ...}``.
        """
        from bench.networks.randomness import seeded_draws

        stats = self.ready(run)
        job = self.feature_pass(run, name, (), grids)
        if layers and (cached := self.cache.open(job.key(stats))) is not None:
            return cached, {"passes": 0.0, "seconds": 0.0}
        job = replace(job, layers=layers)
        if run.entry.vectors:
            path = self._weights(run)
            assert path is not None
            return embedded(path, list(job.split.ids), self.cache, job.key(stats), self.config.storage)

        def load() -> Backbone:
            self.watcher.extracting(run.entry.name, name, len(job.split))
            return self.backbone(run)

        with seeded_draws(run.key.init_seed, self.device):
            features, cost = extract(
                job,
                load,
                self.cache,
                stats,
                device=self.device,
                batch=self.config.batch,
                workers=self.config.workers,
                progress=self.watcher.extracted,
            )
        if not layers:
            self._remember(run, name, features)
        return features, cost

    def _remember(self, run: Run, name: str, features: Features) -> None:
        """Keep the checksum of a model's last layer, to find models whose features are equal to the bit."""
        if run.key.weights == "random":
            return  # twins of one architecture and seed are equal, and should be
        last = next(array for array in features.names if array.startswith(f"{features.layers[-1].name}."))
        prints = self._prints.setdefault((name, run.task.dense), {})
        prints[run.entry.name] = features.manifest["files"][last]["crc32"]

    def identical(self) -> list[Finding]:
        """Return a finding for each group of models whose features are equal to the bit."""
        return [finding for prints in self._prints.values() for finding in identical_models(prints)]

    def _statistics(self, run: Run) -> dict[str, tuple[float, float]]:
        if run.recipe.normalise != "dataset":
            return {}
        bands = run.recipe.reads
        return statistics(self.splits(run).open("train"), bands, self.cache, statistics_facts(run, self.contents))

    def _examine(self, run: Run, stats: Mapping[str, tuple[float, float]]) -> None:
        """Stop a run whose input is not what the model was trained on, before it costs anything."""
        key = (run.task.name, run.recipe)
        if key in self._examined:
            return
        samples = some_samples(self.splits(run).open("train"))
        findings = examine_samples(samples, run.recipe.reads) + examine_input(samples, run.recipe, stats)
        faults = [finding.text for finding in findings if finding.level == "error"]
        if faults:
            raise Incompatible(f"{run.entry.name} on {run.key.suite}: {'; '.join(faults)}")
        self._examined.add(key)


def resolve_device(word: str) -> str:
    """Return a torch device for ``auto``, ``cpu``, ``mps`` or ``cuda[:N]``.

    Raises:
        BadSetting: the device is not there.
    """
    import torch

    if word == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if word.startswith("cuda") and not torch.cuda.is_available():
        raise BadSetting(f"device={word}: torch sees no CUDA device here; use device=cpu")
    return word
