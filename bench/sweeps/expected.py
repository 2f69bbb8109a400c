"""What the runs of a plan compute and how long that is expected to take, for the plan and for the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.core import ModelEntry, Record, Suite
from bench.input.content import Contents
from bench.input.splits import LEARNING
from bench.runs.costings import Passes, device_kind, estimate, speeds_of
from bench.runs.estimate import Estimate
from bench.runs.feature_passes import CachedPasses
from bench.runs.plan import Run
from bench.sweeps.pace import duration


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What runs compute, and the estimate of their time.

    Attributes:
        estimate: of the runs.
        passes: of frozen backbones that they need.
        protocols: name -> number of runs.
    """

    estimate: Estimate
    passes: Passes
    protocols: Mapping[str, int]

    def text(self) -> str:
        """Return what will be computed, what is cached, and an estimate with its basis."""
        parts = []
        if self.passes.computed:
            parts.append(f"{_counted(self.passes.computed, 'backbone pass')} over {self.passes.images:,} images")
        parts += [_counted(count, f"{name} run") for name, count in self.protocols.items()]
        cached = f" ({_counted(self.passes.cached, 'backbone pass')} cached)" if self.passes.cached else ""
        seconds = self.estimate.total()
        return f"to compute: {', '.join(parts)}{cached}; about {duration(seconds)}, {self.estimate.basis()}"


def expected(
    todo: Sequence[Run],
    suite: Suite,
    contents: Contents | None,
    *,
    records: Iterable[Record],
    entries: Mapping[str, ModelEntry],
    storage: str,
    device: str,
) -> Expected:
    """Return what runs still to do compute, and how long that is expected to take.

    Args:
        todo: the runs.
        suite: their suite.
        contents: fingerprints of its splits; None where the data are not there, and the declared sizes count.
        records: of earlier runs.
        entries: models by name, those of users' files included.
        storage: numpy dtype that features are kept in.
        device: as configured.
    """
    data, kind = contents.data if contents else None, device_kind(device)
    passes = CachedPasses(contents=contents, storage=storage) if contents else None

    def counts(run: Run) -> Mapping[str, int]:
        if data is None:
            return suite.splits
        names = (*LEARNING, *data.test_names(run.task, run.recipe.reads))
        return {name: len(data.split(run.task, name, run.recipe.reads)) for name in names}

    def cached(run: Run, split: str, grids: bool, some_layers: bool) -> bool:
        try:
            return passes is not None and passes.has(run, split, grids=grids, some_layers=some_layers)
        except (Exception, SystemExit):  # samples that cannot be read, or a fault in a user's file: the run reports it
            return False

    earlier = speeds_of(records, entries, kind)
    estimated, needed = estimate(todo, suite, counts, cached, earlier=earlier, kind=kind)
    return Expected(estimate=estimated, passes=needed, protocols=Counter(run.key.protocol for run in todo))


def _counted(count: int, noun: str) -> str:
    """Return a number of things in words.

    Example:
        >>> _counted(1, "backbone pass"), _counted(3, "backbone pass"), _counted(2, "probe run")
        ('1 backbone pass', '3 backbone passes', '2 probe runs')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")
