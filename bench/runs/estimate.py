"""Seconds that planned runs will take: work of each run, at the speeds of runs that are like it. Imports no torch.

A run has two parts: the passes of the frozen backbone that its features still need, and all the rest (training, fits,
scores). A fixed guess turns the work of each part into seconds; what parts of earlier runs took, divided by the guess
for them, corrects it. Earlier runs count by how alike they are: the same model on the same task first, any run of the
protocol last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.features.work import Job, Work
from bench.runs.plan import Run

Keys = tuple[tuple[object, ...], ...]
"""Groups that a part of a run belongs to, the narrowest first."""
LEAST_SECONDS = 0.05
"""A part that takes less tells nothing of speed."""
ALIKE = 2
"""Narrowest groups of a run whose earlier members show whether the machine is slower or faster than it was."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A kind of device as a rough guess.

    Attributes:
        backbone, head: multiply-adds per second of networks and of probes.
        value: seconds per input value that is read and prepared.
        step: seconds per optimiser step or fit.
        run: seconds per run for whatever else it does.
    """

    backbone: float
    head: float
    value: float = 2e-8
    step: float = 3e-3
    run: float = 0.3


GUESSES = {
    "cpu": Guess(backbone=2e10, head=5e9),
    "mps": Guess(backbone=3e11, head=1e11),
    "cuda": Guess(backbone=1e13, head=1e12),
}
"""Kind of device -> the guess before anything has run."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What names a run when speeds are compared.

    Attributes:
        suite, task, protocol, fraction: of its key.
        architecture: name of the model; of a random twin that of its parent.
        arm: decoder, tuning and taps of a training.
    """

    suite: str
    task: str
    protocol: str
    fraction: float
    architecture: str
    arm: tuple[str, ...]


def facts_of(run: Run) -> RunFacts:
    """Return what names a planned run."""
    return RunFacts(
        suite=run.key.suite,
        task=run.key.task,
        protocol=run.key.protocol,
        fraction=run.key.fraction,
        architecture=run.entry.parent if run.entry.origin == "random" else run.entry.name,
        arm=tuple(run.protocol.arm_facts(run.settings).values()),
    )


@dataclass(frozen=True, kw_only=True)
class Costing:
    """What the estimate needs to know of one run.

    Attributes:
        image: guessed seconds of one image through the frozen backbone, reading included.
        images: split -> images whose features the run's own pass is to make.
        rest: guessed seconds of all the rest.
        pass_keys, rest_keys: see `Keys`.
        work: what the run does.
    """

    image: float
    images: Mapping[str, int]
    rest: float
    pass_keys: Keys
    rest_keys: Keys
    work: Work

    @property
    def passes(self) -> float:
        """Guessed seconds of the run's own pass."""
        return self.image * sum(self.images.values())


def costing(run: RunFacts, job: Job, work: Work, images: Mapping[str, int], kind: str) -> Costing:
    """Return the costing of a run.

    Args:
        run: what names it.
        job: what decides its work.
        work: its work.
        images: split -> images that its pass is to make features of.
        kind: of device, a key of `GUESSES`.
    """
    guess = GUESSES[kind]
    image = job.forward / guess.backbone + job.values * guess.value
    rest = work.forwards * image + work.steps * guess.step + work.head / guess.head + guess.run
    # Controls without parameters show the speed of reading, not that of networks.
    sized, dense = bool(job.entry.parameters), job.task.dense
    model, arm = run.architecture, run.arm
    return Costing(
        image=image,
        images=images,
        rest=rest,
        pass_keys=(
            ("pass", model, run.suite, dense),
            ("pass", model, dense),
            ("pass", sized, run.suite, dense),
            ("pass", sized, dense),
            ("pass", sized),
            ("pass",),
        ),
        rest_keys=(
            (run.protocol, arm, model, run.suite, run.task, run.fraction),
            (run.protocol, arm, model, run.suite, run.task),
            (run.protocol, arm, sized, run.suite, run.task),
            (run.protocol, arm, model, job.task.kind),
            (run.protocol, arm, sized, dense),
            (run.protocol, arm, sized),
            (run.protocol, work.forwards > 0, sized, dense),
            (run.protocol, sized),
            ("trains", work.trains, work.forwards > 0),
        ),
        work=work,
    )


@dataclass
class Speeds:
    """Measured seconds over guessed ones, by group of runs."""

    _sums: dict[tuple[object, ...], tuple[float, float]] = field(default_factory=dict)
    _runs: dict[tuple[object, ...], set[str]] = field(default_factory=dict)

    def learn(self, keys: Keys, guessed: float, seconds: float, name: str) -> None:
        """Count a part of the run `name` in all of its groups."""
        if not (guessed > 0 and seconds > 0 and math.isfinite(seconds)):
            return
        for key in keys:
            total, measured = self._sums.get(key, (0.0, 0.0))
            self._sums[key] = total + guessed, measured + seconds
            self._runs.setdefault(key, set()).add(name)

    def ratio(self, key: tuple[object, ...]) -> float | None:
        """Return measured over guessed seconds of a group, None where nothing is known of it."""
        if key not in self._sums:
            return None
        guessed, measured = self._sums[key]
        return measured / guessed

    def runs(self, key: tuple[object, ...]) -> set[str]:
        """Return the names of the runs that a group's ratio comes from."""
        return self._runs.get(key, set())

    def learn_record(self, cost: Mapping[str, float], run: Costing, name: str) -> None:
        """Count what a finished run has taken.

        Args:
            cost: of its record.
            run: its costing.
            name: of the run.
        """
        images = cost.get("passes", 0.0) if run.work.splits else 0.0
        passes = cost.get("extraction_seconds", 0.0) if run.work.splits else 0.0
        if images > 0 and passes >= LEAST_SECONDS:
            self.learn(run.pass_keys, images * run.image, passes, name)
        if "seconds" in cost:
            self.learn(run.rest_keys, run.rest, cost["seconds"] - passes, name)


@dataclass
class Estimate:
    """Seconds of the runs still to do, which follow what the runs done have taken.

    Attributes:
        runs: digest -> costing, in the order of the plan.
        earlier: speeds of stored runs of this machine.
    """

    runs: dict[str, Costing]
    earlier: Speeds = field(default_factory=Speeds)
    _now: Speeds = field(default_factory=Speeds)
    _drift: tuple[float, float] = (0.0, 0.0)

    def learn(self, digest: str, cost: Mapping[str, float]) -> None:
        """Count the cost of a run that this sweep has carried out."""
        run = self.runs.get(digest)
        if run is None:
            return
        expected = self._from_earlier(run)
        if expected is not None and "seconds" in cost:
            total, measured = self._drift
            self._drift = total + expected, measured + cost["seconds"]
        self._now.learn_record(cost, run, digest)

    def seconds(self, digest: str) -> float:
        """Return the seconds that a run is expected to take."""
        run = self.runs[digest]
        passes = run.passes * self._ratio(run.pass_keys) if run.passes else 0.0
        return passes + run.rest * self._ratio(run.rest_keys)

    def total(self) -> float:
        """Return the seconds that all runs are expected to take."""
        return math.fsum(self.seconds(digest) for digest in self.runs)

    def basis(self) -> str:
        """Return in words what the estimate rests on."""
        used, known, total = set[str](), 0.0, 0.0
        for run in self.runs.values():
            for guessed, keys in ((run.passes, run.pass_keys), (run.rest, run.rest_keys)):
                seconds = guessed * self._ratio(keys)
                total += seconds
                if key := self._known(keys, self.earlier):
                    used |= self.earlier.runs(key)
                    known += seconds
        if not used:
            return "a rough guess until the first model has run"
        text = f"from {len(used)} earlier run{'' if len(used) == 1 else 's'} on this machine"
        return text if known > 0.9 * total else f"{text}, and partly a rough guess"

    def _ratio(self, keys: Keys) -> float:
        """Return the correction of a guess: of the narrowest group known, those of this sweep before earlier ones."""
        for key in keys:
            if (ratio := self._now.ratio(key)) is not None:
                return ratio
            if (ratio := self.earlier.ratio(key)) is not None:
                expected, measured = self._drift
                return ratio * (measured / expected if expected > 0 else 1.0)
        return 1.0

    def _from_earlier(self, run: Costing) -> float | None:
        """Return the seconds of a run by earlier runs of its kind alone, None where there were none."""
        seconds = 0.0
        for guessed, keys in ((run.passes, run.pass_keys), (run.rest, run.rest_keys)):
            key = self._known(keys[:ALIKE], self.earlier)
            ratio = self.earlier.ratio(key) if key else None
            if guessed and ratio is None:
                return None
            seconds += guessed * (ratio or 0.0)
        return seconds

    @staticmethod
    def _known(keys: Keys, speeds: Speeds) -> tuple[object, ...] | None:
        return next((key for key in keys if speeds.ratio(key) is not None), None)
