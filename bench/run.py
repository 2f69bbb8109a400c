"""For each planned run: is it stored? if not, load, run the protocol, put the Record. A failure is a Record too."""

from __future__ import annotations

import functools
import platform
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import bench
from bench.config import RunConfig
from bench.core import Backbone, Band, Outcome, Record, Split, Suite, Task, sha256_of
from bench.doctor import SAMPLES, Finding, examine_input, examine_samples, identical_models
from bench.errors import BadSetting, BenchError, Incompatible, MissingData
from bench.features import Pass, extract, health, statistics
from bench.labelled import Context, Labelled, select_layers, usable_rows
from bench.metrics import metric
from bench.plan import Plan, Run
from bench.store import FeatureCache, Features, Store, write_atomic
from bench.subsets import SCHEME, Subset, draw
from bench.weights import Shelf

LEARNING = ("train", "val")


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
class Data:
    """A suite's opened splits, each opened once for each set of bands.

    Attributes:
        suite: its facts.
        root: folder of its files.
    """

    suite: Suite
    root: Path
    _open: dict[tuple[str, str, tuple[Band, ...]], Split] = field(default_factory=dict)
    _drawn: dict[tuple[str, str, float, int], Subset] = field(default_factory=dict)

    def split(self, task: Task, name: str, bands: tuple[Band, ...]) -> Split:
        """Return an opened split.

        Raises:
            MissingData: its files are not there.
        """
        key = (task.name, name, bands)
        if key not in self._open:
            self._open[key] = self.suite.open(self.root, task.name, name, bands)
        return self._open[key]

    def test_names(self, task: Task, bands: tuple[Band, ...]) -> tuple[str, ...]:
        """Return the test splits that are there: ``test``, and out-of-region ones whose files are at hand."""
        names = [name for name in self.suite.splits if name not in LEARNING]
        there = []
        for name in names:
            try:
                self.split(task, name, bands)
            except MissingData:
                if name == "test":
                    raise
                continue
            there.append(name)
        return tuple(there)

    def split_hash(self, task: Task, bands: tuple[Band, ...]) -> str:
        """Return the hash over the ids of every split, and of the subset scheme.

        Raises:
            MissingData: one id lies in two splits.
        """
        names = (*LEARNING, *self.test_names(task, bands))
        ids = {name: list(self.split(task, name, bands).ids) for name in names}
        seen: dict[str, str] = {}
        for name, members in ids.items():
            for one in members:
                if one in seen:
                    raise MissingData(
                        f"{self.suite.name}: sample {one} is in {seen[one]} and in {name}; splits must be disjoint"
                    )
                seen[one] = name
        return sha256_of({"ids": ids, "subsets": SCHEME})

    def subset(self, task: Task, name: str, bands: tuple[Band, ...], fraction: float, number: int) -> Subset:
        """Return the label subset of a split, drawn once."""
        key = (task.name, name, fraction, number)
        if key not in self._drawn:
            split = self.split(task, name, bands)
            self._drawn[key] = draw(task, list(split.ids), split.targets(), fraction, number)
        return self._drawn[key]


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
            self._loaded = (key, run.entry.load(run.entry, path, _seed(run), run.recipe.bands))
        return self._loaded[1]

    def features(self, run: Run, name: str) -> tuple[Features, dict[str, float]]:
        """Return the features of one split for a run, and what they cost now."""
        bands = run.recipe.reads
        split = self.data.split(run.task, name, bands)
        stats = self._statistics(run)
        self._examine(run, stats)
        dense = run.task.kind == "segmentation"
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
            facts=facts, split_name=name, split=split, recipe=run.recipe, dense=dense, storage=self.config.storage
        )

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


def some_samples(split: Split) -> list[Any]:
    """Return a few samples spread over a split."""
    places = sorted({int(i) for i in np.linspace(0, len(split) - 1, min(SAMPLES, len(split)))})
    return [split[i] for i in places]


def _seed(run: Run) -> int:
    return run.key.seed if run.key.weights in ("random", "none") else 0


def execute(plan: Plan, session: Session) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record and whether it was done now; runs of one model come together.

    A run that another process holds is passed over and taken up at the end, when its record is there or the other
    process is gone. An exception is a failed record; an interrupt ends the sweep.
    """
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
    facts = _facts(run, session.data)
    try:
        outcome = run.protocol.run(_context(run, session, costs, facts))
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
        facts=facts,
        scores=outcome.scores if outcome else {},
        choices=outcome.choices if outcome else {},
        curves=outcome.curves if outcome else (),
        notes=outcome.notes if outcome else (),
        arrays=sorted(outcome.arrays) if outcome else (),
        cost={name: round(value, 4) for name, value in costs.items()},
        environment=environment() | {"command": session.config.replay(), "device": session.device},
        error=error,
    )
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

    def open_split(name: str) -> Labelled:
        features, cost = session.features(run, name)
        costs["passes"] += cost["passes"]
        costs["extraction_seconds"] += cost["seconds"]
        labelled = label(run, session, features, name)
        facts[f"n_{name}"] = len(labelled.rows)
        return labelled

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


def label(run: Run, session: Session, features: Features, name: str) -> Labelled:
    """Return a split's features joined with its labels: the subset of a learning split, usable rows only.

    Raises:
        Incompatible: the rows of the features are not those of the split, or none is usable.
    """
    bands = run.recipe.reads
    split = session.data.split(run.task, name, bands)
    if list(split.ids) != features.ids:
        raise Incompatible(f"{run.key.suite} {name}: the features' rows are not the split's samples")
    subset = Subset(rows=np.arange(len(split)))
    if name in LEARNING:
        subset = session.data.subset(run.task, name, bands, run.key.fraction, run.key.subset)
        _save_subset(run, session, name, [split.ids[i] for i in subset.rows])
    usable = usable_rows(features)
    rows = subset.rows[usable[subset.rows]]
    notes = [f"{name}: {note}" for note in subset.notes]
    if dropped := [split.ids[i] for i in subset.rows if not usable[i]]:
        notes.append(
            f"{name}: left out {len(dropped)} of {len(subset.rows)}, a band without one valid pixel: {_some(dropped)}"
        )
    if name == "train":
        notes += [f"unhealthy features: {fault}" for fault in health(features)]
    if run.task.kind == "segmentation":
        masks = features["mask"]
        blank = [split.ids[i] for i in rows if bool((masks[i] == run.task.ignore).all())]
        if blank:
            notes.append(f"{name}: {len(blank)} of {len(rows)} have every label ignored: {_some(blank)}")
    if not len(rows):
        raise Incompatible(f"{run.key.suite} {name}: no usable sample; {'; '.join(notes)}")
    target = None if run.task.kind == "segmentation" else np.asarray(split.targets())[rows]
    return Labelled(
        features=features,
        rows=rows,
        ids=[split.ids[i] for i in rows],
        blocks=[split.blocks[i] for i in rows],
        target=target,
        notes=tuple(notes),
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _save_subset(run: Run, session: Session, name: str, ids: list[str]) -> None:
    """Keep the ids of a drawn subset beside the records, with their hash, so that others can use the same."""
    if run.key.fraction >= 1:
        return
    stem = f"{run.task.name}_{name}_{run.key.fraction:g}_{run.key.subset}.txt"
    path = session.store.root / run.key.suite / "subsets" / stem
    text = f"# sha256 {sha256_of(ids)}\n" + "\n".join(ids) + "\n"
    if not path.exists() or path.read_text() != text:
        write_atomic(path, text.encode())


def _facts(run: Run, data: Data) -> dict[str, Any]:
    suite, task, entry = data.suite, run.task, run.entry
    measure = metric(task.metric)
    exposed = "yes" if suite.dataset and suite.dataset in entry.trained_on else "no"
    if entry.origin not in ("random", "baseline") and not entry.trained_on:
        exposed = "unknown"
    return {
        "title": suite.title,
        "generated": suite.generated,
        "suite_licence": suite.licence,
        "suite_notes": suite.notes,
        "kind": task.kind,
        "metric": task.metric,
        "metric_label": measure.label,
        "direction": measure.direction,
        "classes": list(task.classes),
        "quantity": task.quantity,
        "unit": task.unit,
        "origin": entry.origin,
        "objective": entry.objective,
        "parent": entry.parent,
        "parameters": entry.parameters,
        "depth": entry.depth,
        "reference": entry.reference,
        "licence": entry.weights.licence if entry.weights else "",
        "trained_on_this": exposed,
        "input": run.recipe.summary(),
    }


@functools.lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "geobench_run": bench.__version__}
    for package in ("torch", "torchvision", "torchgeo", "timm", "numpy", "scikit-learn", "torchmetrics", "rasterio"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    try:
        here = Path(__file__).parent
        answer = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=10
        )
        if answer.returncode == 0:
            found["commit"] = answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return found


def environment() -> dict[str, Any]:
    """Return what a record says of the machine and the software that made it."""
    return {**_versions(), "platform": platform.platform(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


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
