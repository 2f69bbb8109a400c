"""For each planned run: is it stored? if not, load, run the protocol, put the Record. A failure is a Record too."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from bench import parallel, provenance
from bench.config import RunConfig
from bench.core import Backbone, Outcome, Record
from bench.data import Data, label, some_samples
from bench.doctor import Finding, examine_input, examine_samples, identical_models
from bench.embeddings import embedded
from bench.errors import BadSetting, BenchError, Incompatible, MissingData
from bench.features import Pass, extract, statistics
from bench.labelled import Context, Labelled, select_layers
from bench.plan import Plan, Run
from bench.store import FeatureCache, Features, Store
from bench.weights import Shelf


class Watcher(Protocol):
    """Hears how a sweep goes; the command line draws it."""

    def extracting(self, model: str, split: str, images: int) -> None:
        """Learn that a backbone pass over `images` images begins."""

    def extracted(self, images: int) -> None:
        """Learn that so many more images are done."""

    def finished(self, run: Run, record: Record) -> None:
        """Learn that a run has its record."""


@dataclass(frozen=True)
class Silent:
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
    data: Data
    store: Store
    cache: FeatureCache
    shelf: Shelf
    device: str
    watcher: Watcher = field(default_factory=Silent)
    _loaded: tuple[Any, Backbone] | None = None
    _examined: set[Any] = field(default_factory=set)
    _prints: dict[tuple[str, bool], dict[str, str]] = field(default_factory=dict)

    def backbone(self, run: Run) -> Backbone:
        """Return the run's model, loaded once for consecutive runs that use it."""
        key = (run.entry.name, run.recipe.bands, _seed(run))
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # let the last one go before the next comes
            path = self.shelf.find(run.entry)
            self._loaded = (key, self._tuned(run.entry.load(run.entry, path, _seed(run), run.recipe.bands)))
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
        seed = run.key.seed if scratch else _seed(run)
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
            "seed": _seed(run),
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


def _seed(run: Run) -> int:
    return run.key.seed if run.key.weights in ("random", "none") else 0


def execute(plan: Plan, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record and whether it was done now; runs of one model come together.

    A run that another process holds is passed over and taken up at the end, when its record is there or the other
    process is gone. An exception is a failed record; an interrupt ends the sweep.
    """
    if parallel.world() > 1:
        yield from _together(plan, session)
        return
    postponed: list[Run] = []
    for _, runs in groupby(plan.runs, key=lambda run: (run.entry.name, run.recipe.bands, _seed(run))):
        for run in runs:
            if record := _stored(run, session):
                yield run, record, False
                continue
            lock = session.store.claim(run.key)
            if lock is None:
                postponed.append(run)
                continue
            with lock:
                record = _stored(run, session)
                done = record is None
                record = record or carry_out(run, session)
            session.store.release(run.key)
            yield run, record, done
    for run in postponed:
        lock = session.store.claim(run.key, wait=True)
        assert lock is not None
        with lock:
            record = _stored(run, session)
            done = record is None
            record = record or carry_out(run, session)
        session.store.release(run.key)
        yield run, record, done


def _together(plan: Plan, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    """Carry out a plan in several processes: the first decides and keeps the records, trained runs are shared."""
    for run in plan.runs:
        record = _stored(run, session) if parallel.rank() == 0 else None
        if record := parallel.agreed(record):
            yield run, record, False
            continue
        if getattr(run.protocol, "NETWORK", False) or parallel.rank() == 0:
            record = carry_out(run, session)
        yield run, parallel.agreed(record), True


def _stored(run: Run, session: Session) -> Record | None:
    try:
        record = session.store.get(run.key)
    except MissingData:
        return None  # a damaged record is made again
    if record is not None and record.status == "failed" and session.config.retry:
        return None
    return record


def carry_out(run: Run, session: Session) -> Record:
    """Return the record of a run, carried out now and stored."""
    start = time.perf_counter()
    costs: dict[str, float] = {"passes": 0.0, "extraction_seconds": 0.0}
    outcome: Outcome | None = None
    error = ""
    about = provenance.facts(run, session.data.suite)
    try:
        outcome = run.protocol.run(_context(run, session, costs, about))
    except BenchError as problem:
        error = f"{type(problem).__name__}: {problem}"
    except (Exception, MemoryError) as problem:
        error = f"{type(problem).__name__}: {problem} ({_where(problem)})"
    costs |= {
        "seconds": time.perf_counter() - start,
        "parameters": float(run.entry.parameters),
        "peak_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024,
        **(outcome.cost if outcome else {}),
    }
    record = Record(
        key=run.key,
        status="ok" if outcome else "failed",
        facts=about,
        scores=outcome.scores if outcome else {},
        choices=outcome.choices if outcome else {},
        curves=outcome.curves if outcome else (),
        notes=outcome.notes if outcome else (),
        arrays=sorted(outcome.arrays) if outcome else (),
        cost={name: round(value, 4) for name, value in costs.items()},
        environment=provenance.environment()
        | {
            "command": session.config.replay(),
            "device": session.device,
            "channels_last": session.config.channels_last,
            "compile": session.config.compile,
        },
        error=error,
    )
    if parallel.rank() == 0:
        session.store.put(record, outcome.arrays if outcome else {})
    session.watcher.finished(run, record)
    return record


def _where(problem: BaseException) -> str:
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "unknown place"


def _context(run: Run, session: Session, costs: dict[str, float], facts: dict[str, Any]) -> Context:
    bands = run.recipe.reads

    def open_split(name: str, layers: tuple[str, ...] = (), grids: bool = False) -> Labelled:
        features, cost = session.features(run, name, layers, grids)
        costs["passes"] += cost["passes"]
        costs["extraction_seconds"] += cost["seconds"]
        labelled = label(run, session.data, session.store, features, name)
        facts[f"n_{name}"] = len(labelled.rows)
        return labelled

    if getattr(run.protocol, "NETWORK", False):
        from bench.network import network

        own = network(
            run,
            data=session.data,
            store=session.store,
            cache=session.cache,
            statistics=session.ready(run),
            load=lambda scratch: session.own_backbone(run, scratch),
            shared=lambda: session.backbone(run),
            stored=open_split,
            device=session.device,
            workers=session.config.workers,
        )
        return Context(
            task=run.task,
            layers=own.layers,
            open=open_split,
            tests=session.data.test_names(run.task, bands),
            settings=run.settings,
            seed=run.key.seed,
            device=session.device,
            network=own,
        )
    train, cost = session.features(run, "train")
    costs["passes"] += cost["passes"]
    costs["extraction_seconds"] += cost["seconds"]
    return Context(
        task=run.task,
        layers=select_layers(train.layers, run.layers, run.entry.name),
        open=open_split,
        tests=session.data.test_names(run.task, bands),
        settings=run.settings,
        seed=run.key.seed,
        device=session.device,
    )


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
