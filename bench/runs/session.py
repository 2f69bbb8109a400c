"""Session: what the runs of a sweep share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bench.catalogue.weights import WeightSources
from bench.config import RunConfig
from bench.core import Backbone, Record
from bench.core.errors import BadSetting, Incompatible
from bench.features.extraction import Pass, extract, statistics
from bench.features.ready_made import embedded
from bench.input.splits import Splits, some_samples
from bench.preflight.checks import Finding, examine_input, examine_samples, identical_models
from bench.runs.plan import Run
from bench.store import FeatureCache, Features, Store


class Progress(Protocol):
    """Hears how a sweep goes; the command line draws it."""

    def extracting(self, model: str, split: str, images: int) -> None:
        """Learn that a backbone pass over `images` images begins."""

    def extracted(self, images: int) -> None:
        """Learn that so many more images are done."""

    def finished(self, run: Run, record: Record) -> None:
        """Learn that a run has its record."""


@dataclass(frozen=True)
class NoProgress:
    """A watcher that says nothing."""

    def extracting(self, model: str, split: str, images: int) -> None:
        """Say nothing."""

    def extracted(self, images: int) -> None:
        """Say nothing."""

    def finished(self, run: Run, record: Record) -> None:
        """Say nothing."""


@dataclass
class Session:
    """What runs share: places, data and the model in memory.

    Attributes:
        config: what was asked for.
        data: the suite.
        store, cache, shelf: places.
        device: torch device, resolved.
        watcher: hears of progress.
    """

    config: RunConfig
    data: Splits
    store: Store
    cache: FeatureCache
    shelf: WeightSources
    device: str
    watcher: Progress = field(default_factory=NoProgress)
    _loaded: tuple[Any, Backbone] | None = None
    _examined: set[Any] = field(default_factory=set)
    _prints: dict[tuple[str, bool], dict[str, str]] = field(default_factory=dict)

    def backbone(self, run: Run) -> Backbone:
        """Return the run's model, loaded once for consecutive runs that use it."""
        key = (run.entry.name, run.recipe.bands, init_seed(run))
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # let the last one go before the next comes
            path = self.shelf.find(run.entry)
            self._loaded = (key, self._tuned(run.entry.load(run.entry, path, init_seed(run), run.recipe.bands)))
        return self._loaded[1]

    def _tuned(self, backbone: Backbone) -> Backbone:
        """Return the backbone laid out and compiled as asked for."""
        import torch

        if isinstance(backbone, torch.nn.Module):
            if self.config.channels_last:
                backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if self.config.compile:
                backbone.compile()
        return backbone

    def own_backbone(self, run: Run, scratch: bool) -> Backbone:
        """Return a copy of the run's model that is nobody else's, to be tuned; from `scratch`, at random init."""
        path = None if scratch else self.shelf.find(run.entry)
        seed = run.key.seed if scratch else init_seed(run)
        return self._tuned(run.entry.load(run.entry, path, seed, run.recipe.bands))

    def ready(self, run: Run) -> dict[str, tuple[float, float]]:
        """Return the train statistics a run needs, once its input is known to be what its model was trained on."""
        stats = self._statistics(run)
        self._examine(run, stats)
        return stats

    def features(
        self, run: Run, name: str, layers: tuple[str, ...] = (), grids: bool = False
    ) -> tuple[Features, dict[str, float]]:
        """Return the features of one split for a run, of some layers or all, and what they cost now.

        Features of all layers, where they are there already, serve for some.
        """
        bands = run.recipe.reads
        split = self.data.split(run.task, name, bands)
        stats = self.ready(run)
        dense = run.task.dense
        facts = {
            "model": run.entry.name,
            "model_version": run.entry.version,
            "weights": run.key.weights,
            "seed": init_seed(run),
            "suite": run.key.suite,
            "suite_version": run.key.suite_version,
            "task": run.task.name if dense else "",
        }
        job = Pass(
            facts=facts,
            split_name=name,
            split=split,
            recipe=run.recipe,
            dense=dense,
            storage=self.config.storage,
            grids=grids and not dense,
        )
        if layers and (ready := self.cache.open(job.key(stats))) is not None:
            return ready, {"passes": 0.0, "seconds": 0.0}
        job = replace(job, layers=layers)

        if run.entry.vectors:
            path = self.shelf.find(run.entry)
            assert path is not None
            return embedded(path, list(split.ids), self.cache, job.key(stats), self.config.storage)

        def load() -> Backbone:
            self.watcher.extracting(run.entry.name, name, len(split))
            return self.backbone(run)

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
        if layers:
            return features, cost
        last = next(one for one in features.names if one.startswith(f"{features.layers[-1].name}."))
        if run.key.weights != "random":  # twins of one architecture and seed are equal, and should be
            self._prints.setdefault((name, dense), {})[run.entry.name] = features.manifest["files"][last]["crc32"]
        return features, cost

    def identical(self) -> list[Finding]:
        """Return a finding for each group of models whose features were equal to the bit."""
        return [finding for prints in self._prints.values() for finding in identical_models(prints)]

    def _statistics(self, run: Run) -> dict[str, tuple[float, float]]:
        if run.recipe.normalise != "dataset":
            return {}
        facts = {"suite": run.key.suite, "version": run.key.suite_version, "split": "train"}
        return statistics(self.data.split(run.task, "train", run.recipe.reads), run.recipe.reads, self.cache, facts)

    def _examine(self, run: Run, stats: Mapping[str, tuple[float, float]]) -> None:
        """Stop a run whose input is not what the model was trained on, before it costs anything."""
        key = (run.task.name, run.recipe)
        if key in self._examined:
            return
        samples = some_samples(self.data.split(run.task, "train", run.recipe.reads))
        findings = examine_samples(samples, run.recipe.reads) + examine_input(samples, run.recipe, stats)
        faults = [finding.text for finding in findings if finding.level == "error"]
        if faults:
            raise Incompatible(f"{run.entry.name} on {run.key.suite}: {'; '.join(faults)}")
        self._examined.add(key)


def init_seed(run: Run) -> int:
    """Return the seed of a model's random init: the run's for untrained networks, else 0."""
    return run.key.seed if run.key.weights in ("random", "none") else 0


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
