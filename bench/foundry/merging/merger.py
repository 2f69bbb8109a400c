"""Merger: the members of one merge, the method, and the images it is measured on."""

from __future__ import annotations

import copy
import dataclasses
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.core.errors import BadSetting, Incompatible
from bench.finetuning.arm import Arm
from bench.finetuning.settings import arms
from bench.finetuning.trained import Trained
from bench.foundry.contract.resolved import Parent
from bench.foundry.contract.workbench import RecipeWorkbench, TaskData
from bench.foundry.merging import arithmetic, batch_norm
from bench.foundry.merging.images import Images
from bench.foundry.merging.learned import groups_of, learn_on_features, learn_on_task
from bench.foundry.merging.lineage import kinship, matrices, verdict, warnings_of
from bench.foundry.merging.members import Member, check_ancestor, check_contracts, check_shapes, floats
from bench.foundry.merging.selection import select_state
from bench.foundry.merging.settings import LearningSettings, MergeSettings
from bench.metrics import METRICS
from bench.networks.batch_norms import LEAST_IMAGES, batch_norms
from bench.networks.tapped import TappedNetwork
from bench.store import FeatureCache, default_cache

Report = Callable[[str], None]


class Merger:
    """The members of one merge, the method, and the images it is measured on.

    Args:
        settings: of the recipe.
        members: loaded.
        base: common ancestor, or None.
        model: the entry whose shape and input contract the new one has.
        data: images and labels, or None.
        device: torch device of passes and training.
        report: called with a line per step.

    Attributes:
        images: those that networks are measured on, or None.
        notes: what a reader of the card must know.
        scores: on validation.
        facts: on data and coefficients, for the card.
    """

    def __init__(
        self,
        settings: MergeSettings,
        *,
        members: Sequence[Member],
        base: Member | None,
        model: Parent,
        data: TaskData | None,
        device: str,
        report: Report,
    ) -> None:
        self.settings, self.members, self.base, self.data = settings, list(members), base, data
        self.model, self.device, self.report = model, device, report
        self.notes: list[str] = []
        self.scores: dict[str, float] = {}
        self.facts: dict[str, Any] = {}
        self.images: Images | None = None

    def selected(self, student: TappedNetwork) -> TappedNetwork:
        """Return a smaller network filled with elements of the only member."""
        (larger,) = self.members
        self._prepare(student)
        self._note(*check_contracts([Member(parent=self.model, network=student), larger]))
        student.load_state_dict(select_state(larger.state(), student.state_dict()))
        self._measured(student, [])
        return student

    def merged(self) -> TappedNetwork:
        """Return the merged network."""
        everyone = [*self.members, *([self.base] if self.base else [])]
        check_shapes(everyone)
        self._prepare(self.members[0].network)
        self._note(*check_contracts(self.members))
        self._kinship()
        if self.base:
            check_ancestor(self.base, self.members)
        network = copy.deepcopy(self.members[0].network)
        skipped = batch_norm.statistics_names(network)
        states = [floats(member.state(), skipped) for member in self.members]
        if self.base:
            state = self._over_base(floats(self.base.state(), skipped), states)
        else:
            state = arithmetic.average(states, self.settings.shares)
        self._filled(network, state)
        return network

    def _over_base(self, base: arithmetic.State, states: Sequence[arithmetic.State]) -> dict[str, Tensor]:
        """Return the base with a merged task vector added."""
        settings = self.settings
        vectors = arithmetic.task_vectors(states, base)
        if settings.method == "learned":
            return self._learned(base, vectors)
        if settings.method == "ties":
            merged = arithmetic.ties(vectors, settings.density)
        else:
            merged = arithmetic.dare(vectors, settings.drop, settings.seed)
        return arithmetic.added(base, {name: settings.scale * value for name, value in merged.items()})

    def _learned(self, base: arithmetic.State, vectors: Sequence[arithmetic.State]) -> dict[str, Tensor]:
        """Return the base with task vectors added, each times a coefficient learned on training and validation."""
        assert self.base is not None and self.data is not None
        learning = self.settings.learning
        groups = groups_of(self.base.network, list(base), learning.grouping)
        start = 1 / len(vectors) if learning.start is None else learning.start
        first = {name: start * sum((vector[name] for vector in vectors[1:]), vectors[0][name]) for name in base}
        network = copy.deepcopy(self.base.network)
        self._filled(network, arithmetic.added(base, first))
        network.load_state_dict(dict(base), strict=False)  # the statistics stay those of the first combination
        coefficients, trained, sign = self._trained(network, vectors, groups, start)
        measured = "feature_gap" if learning.objective == "features" else self.data.task.metric
        self.scores[measured] = sign * trained.score
        self.report(f"coefficients: validation {measured} {self.scores[measured]:.4f} after step {trained.step}")
        names = [member.name for member in self.members]
        labels = {number: name for name, number in reversed(groups.items())}
        self.facts["coefficients"] = {
            labels[number]: dict(zip(names, (round(float(value), 4) for value in row), strict=True))
            for number, row in enumerate(coefficients)
            if number in labels
        }
        return arithmetic.added(base, arithmetic.combined(vectors, coefficients, groups))

    def _trained(
        self,
        network: TappedNetwork,
        vectors: Sequence[arithmetic.State],
        groups: Mapping[str, int],
        start: float,
    ) -> tuple[Tensor, Trained, float]:
        """Return coefficients, their training, and the sign that makes its score a metric."""
        assert self.data is not None
        learning = self.settings.learning
        training, *others = arms(learning, self.data.task)
        if others:
            raise BadSetting("learning= stands for several arms; give one decoder and one choice of taps")
        assert isinstance(training, LearningSettings)
        with tempfile.TemporaryDirectory() as folder:
            workbench = self._workbench(self.data, Path(folder), network)
            arm = Arm(self.data.task, workbench, settings=training, seed=self.settings.seed, device=self.device)
            if learning.objective == "features":
                networks = [copy.deepcopy(member.network) for member in self.members]
                return *learn_on_features(arm, networks, vectors, groups, training, start), -1.0
            runs = [
                learn_on_task(arm, vectors, groups, training.model_copy(update={"learning_rates": (rate,)}), start)
                for rate in training.learning_rates
            ]
        best = max(runs, key=lambda run: run[1].score)
        return *best, float(METRICS[self.data.task.metric].sign)

    def _workbench(self, data: TaskData, folder: Path, network: TappedNetwork) -> RecipeWorkbench:
        return RecipeWorkbench(
            entry=self.model.entry,
            data=data,
            network=lambda scratch: copy.deepcopy(network),
            folder=folder,
            cache=FeatureCache(default_cache()),
            device=self.device,
        )

    def _prepare(self, network: TappedNetwork) -> None:
        """Open the images that batch norms are measured on, and give folded batch norms a scale.

        Raises:
            BadSetting: there are batch norms to measure and no images.
        """
        count = len(batch_norms(network))
        if not count:
            return
        if self.settings.batch_norm == "average":
            self._note(f"the statistics of {count} batch norms are the members' average, not measured on images")
            return
        if self.data is None:
            raise BadSetting(
                f"this network has {count} batch norms, whose statistics must be measured on images: give suite= (and "
                "task=), or batch_norm=average to keep the members' average, which costs accuracy and is noted"
            )
        workbench = self._workbench(dataclasses.replace(self.data, labels=1.0), Path(), network)
        self.images = Images(workbench, self.settings.images, self.settings.seed)
        self.facts["batch_norm_images"] = self.images.count
        if self.images.count < LEAST_IMAGES:
            self._note(
                f"batch-norm statistics were measured on only {self.images.count} images, all that training and "
                f"validation have; fewer than {LEAST_IMAGES} cost accuracy"
            )
        for member in [*self.members, *([self.base] if self.base else [])]:
            if batch_norm.folded(member.network):
                member.network.to(self.device)
                batch_norm.unfold(member.network, self.images, partial(self.images.run, member.network))
                member.network.cpu()
                self._note(
                    f"the batch norms of {member.name} were folded into its convolutions; their scale was restored"
                )

    def _filled(self, network: TappedNetwork, state: arithmetic.State) -> None:
        """Put merged tensors into a network and measure its batch norms."""
        network.load_state_dict(dict(state), strict=False)
        self._measured(network, self.members)

    def _measured(self, network: TappedNetwork, members: Sequence[Member]) -> None:
        """Measure the batch norms of a network on images, or give them the average of its members' statistics.

        Raises:
            Incompatible: what comes out is not finite.
        """
        if self.images is not None:
            network.to(self.device)
            batch_norm.reestimate(network, self.images, partial(self.images.run, network))
            network.cpu()
        elif members and (names := batch_norm.statistics_names(network)):
            statistics = [
                {name: value for name, value in member.state().items() if name in names and value.is_floating_point()}
                for member in members
            ]
            network.load_state_dict(arithmetic.average(statistics, self.settings.shares), strict=False)
        for name, value in network.state_dict().items():
            if value.is_floating_point() and not math.isfinite(float(value.double().abs().max())):
                raise Incompatible(
                    f"the merged network holds values that are not finite ({name}); lower scale= or drop="
                )

    def _kinship(self) -> None:
        """Note the lineage of the members by their weights; warn of strangers."""
        labels: dict[str, arithmetic.State] = {}
        for number, member in enumerate(self.members, 1):
            labels[member.name if member.name not in labels else f"{member.name} ({number})"] = member.state()
        cosines = kinship(labels, matrices(self.members[0].network))
        if cosines:
            pairs = "; ".join(f"{a} ~ {b} {value:.3f} ({verdict(value)})" for (a, b), value in cosines.items())
            self._note(f"lineage by weights (cosine of rows): {pairs}")
        for warning in warnings_of(cosines):
            self._note(f"warning: {warning}")

    def _note(self, *lines: str) -> None:
        for line in lines:
            self.notes.append(line)
            self.report(line)
