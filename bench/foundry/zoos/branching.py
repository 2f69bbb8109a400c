"""The trunk and the branches of a zoo, trained and left as entries."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from bench.catalogue.cards import CARD, WEIGHTS, Card, read_card, write_entry
from bench.core import canonical
from bench.core.errors import BadSetting
from bench.finetuning.arm import Arm
from bench.finetuning.fit import fit
from bench.finetuning.settings import arms
from bench.foundry.contract.resolved import Parent, lineage, parent_of
from bench.foundry.contract.workbench import RecipeWorkbench, TaskData, open_task
from bench.foundry.generation.conditions import Condition, conditioned, read_condition
from bench.foundry.generation.images import measure_statistics
from bench.foundry.zoos.settings import ZooSettings
from bench.input.splits import Splits
from bench.networks.tapped import TappedNetwork, tapped
from bench.store import FeatureCache, default_cache
from bench.store.files import discard

Report = Callable[[str], None]
MIX_STREAM = 7  # second word of the seed of random conditions


def make_zoo(settings: ZooSettings, *, data: Path, out: Path, device: str, report: Report) -> Path:
    """Train what is missing of a zoo and return the path of its trunk's weights; see `bench.foundry.zoo.run`."""
    parent = parent_of(settings.trunk, weights=settings.weights, entries=settings.entries)
    base = open_task(settings.suite, settings.task, settings.bands, data, settings.labels)
    steps = round(settings.branch * settings.training.steps)
    if not steps:
        raise BadSetting(f"branch={settings.branch:g} of {settings.training.steps} steps is no step; raise either")
    if len(arms(settings.training, base.task)) != 1 or settings.training.tuning != ("full",):
        raise BadSetting("training= stands for one arm with tuning=full: one decoder and one choice of taps")
    builder = _Builder(settings, parent, base, out, device, report)
    shared = settings.training.steps - steps
    network = builder.entry("trunk", builder.seen(), settings.seed, shared, None)
    wanted = [(condition, seed) for condition in builder.conditions() for seed in settings.seeds]
    for number, (condition, seed) in enumerate(wanted, 1):
        # A seed of a branch is no seed of its trunk: the head and the order of the batches are new.
        name = f"c{(number - 1) // len(settings.seeds):02d}_s{seed}"
        builder.entry(name, condition, seed, steps, network)
        report(f"{number}/{len(wanted)} branches: {condition}")
    return out / builder.name("trunk") / WEIGHTS


class _Builder:
    """Trains one entry of a zoo at a time.

    Args:
        settings: of the zoo.
        parent: the entry that the trunk starts from.
        base: suite and task as published.
        out: folder of entries.
        device: torch device.
        report: called with a line per step.
    """

    def __init__(
        self, settings: ZooSettings, parent: Parent, base: TaskData, out: Path, device: str, report: Report
    ) -> None:
        self.settings, self.parent, self.base = settings, parent, base
        self.out, self.device, self.report = out, device, report
        self._data: tuple[Condition, TaskData] | None = None

    def name(self, part: str) -> str:
        """Return the name of an entry of the zoo."""
        prefix = self.settings.name or f"{self.settings.trunk}.zoo_{100 * self.settings.branch:g}"
        return f"{prefix}_{part}"

    def seen(self) -> Condition:
        """Return the trunk's condition: every class that is not held out."""
        held, count = set(self.settings.held_out), len(self.base.task.classes)
        if not held:
            return Condition()
        if beyond := [code for code in held if not 0 <= code < count]:
            raise BadSetting(f"held_out={beyond[0]}: {self.base.task.name} has {count} classes, 0 to {count - 1}")
        return Condition(classes=tuple(code for code in range(count) if code not in held))

    def conditions(self) -> list[Condition]:
        """Return the conditions of the branches, those given or random ones."""
        settings, seen = self.settings, self.seen()
        if settings.conditions:
            given = [read_condition(text) for text in settings.conditions]
            if leaked := [str(part) for part in given if set(part.classes) & set(settings.held_out)]:
                raise BadSetting(f"condition {leaked[0]} has a class of held_out={list(settings.held_out)}")
            if settings.held_out:  # a condition that names no classes has those that are seen
                given = [part if part.classes else dataclasses.replace(part, classes=seen.classes) for part in given]
            return given
        rng = np.random.default_rng((settings.seed, MIX_STREAM))
        pool = np.array(seen.classes or range(len(self.base.task.classes)))
        if self.base.task.kind != "classification":
            raise BadSetting(f"{self.base.task.name} is {self.base.task.kind}: give conditions= without classes")
        if settings.mix_classes > len(pool):
            raise BadSetting(f"mix_classes={settings.mix_classes} of {len(pool)} classes that are not held out")
        most = math.comb(len(pool), settings.mix_classes) * len(settings.degradations)
        if settings.mixes > most:
            raise BadSetting(
                f"mixes={settings.mixes}: there are {most} different conditions; two equal ones are copies"
            )
        mixes = list(itertools.combinations(sorted(int(code) for code in pool), settings.mix_classes))
        orders = [(read_condition(text), rng.permutation(len(mixes))) for text in settings.degradations]
        # Degradations in turn, each with class mixes in an order of its own: no condition comes twice.
        turns = [(order[place], degraded) for place in range(len(mixes)) for degraded, order in orders]
        return [dataclasses.replace(degraded, classes=mixes[mix]) for mix, degraded in turns[: settings.mixes]]

    def data(self, condition: Condition) -> TaskData:
        """Return the suite under a condition; that of the last one is kept, with its decoded samples."""
        if self._data is None or self._data[0] != condition:
            suite, task = conditioned(self.base.suite, self.base.task, condition)
            splits = Splits(suite=suite, root=self.base.splits.root)
            changed = dataclasses.replace(self.base, suite=suite, task=task, splits=splits)
            self._data = condition, changed
        return self._data[1]

    def entry(
        self, part: str, condition: Condition, seed: int, steps: int, start: TappedNetwork | None
    ) -> TappedNetwork:
        """Return the network of an entry, trained now or as stored.

        Args:
            part: of its name.
            condition: of its training.
            seed: of its head and the order of its batches.
            steps: of its training; 0 leaves the weights as they are.
            start: the trunk; None for the trunk itself.
        """
        settings, name = self.settings, self.name(part)
        data = self.data(condition)
        folder = self.out / name
        facts: dict[str, object] = {
            "condition": str(condition),
            "role": "member" if start is not None else "trunk",
            "branch": settings.branch,
            "classes": list(condition.classes),
            "suite": self.base.suite.name,
            "version": self.base.suite.version,
            "task": self.base.task.name,
            "classes_of_task": len(self.base.task.classes),
            "steps": steps,
            "generated": self.base.suite.generated,
        }
        stored = self._stored(folder, facts, seed)
        bench = self.workbench(data, start, folder.with_name(f".{name}.part"))
        if stored:
            network = tapped(bench.network(False))
            from bench.networks.checkpoints import load_state

            load_state(network, folder / WEIGHTS, entry=name)
            return network
        started = time.perf_counter()
        network = self.trained(bench, condition, seed, steps)
        card = Card(
            name=name,
            origin=self.parent.entry.origin if not steps and start is None else "pretrained",
            shape=self.parent.shape,
            bands=tuple(band.name for band in bench.recipe.bands),
            parameters=sum(value.numel() for value in network.parameters()),
            depth=self.parent.entry.depth,
            width=network.layers[-1].channels,
            recipe="zoo",
            version=1,
            settings=settings.model_dump(mode="json"),
            seed=seed,
            data=facts,
            cost={"seconds": round(time.perf_counter() - started, 1), "steps": float(steps)},
            sha256="",
            reference=self.parent.entry.reference,
            **self.lineage(start is not None),
        )
        write_entry(self.out, card, save({key: value.contiguous() for key, value in network.state_dict().items()}))
        discard(bench.checkpoint(0))
        return network

    def lineage(self, branch: bool) -> dict[str, Any]:
        """Return the inherited fields of a card: the trunk is the first parent of a branch."""
        fields = lineage([self.parent])
        if branch:
            fields["parents"] = (self.name("trunk"), self.parent.entry.name)
        dataset = self.base.suite.dataset or self.base.suite.name
        fields["trained_on"] = tuple(dict.fromkeys((*fields["trained_on"], dataset)))
        return fields

    def _stored(self, folder: Path, facts: dict[str, object], seed: int) -> bool:
        """Return whether an entry of the same settings is there."""
        if not (folder / CARD).is_file():
            return False
        card = read_card(folder / CARD)
        same = {"seeds", "conditions", "mixes", "entries", "weights"}  # further branches change none that is there
        ours = {key: value for key, value in self.settings.model_dump(mode="json").items() if key not in same}
        theirs = {key: value for key, value in card.settings.items() if key not in same}
        if card.seed != seed or canonical(card.data) != canonical(facts) or canonical(theirs) != canonical(ours):
            raise BadSetting(f"{folder} is an entry of other settings; give another name= or out=, or remove it")
        return True

    def workbench(self, data: TaskData, start: TappedNetwork | None, folder: Path) -> RecipeWorkbench:
        """Return what an entry is trained with; the network starts as the trunk, or as the parent's."""
        bench = RecipeWorkbench(
            entry=self.parent.entry,
            data=data,
            network=lambda scratch: copy.deepcopy(start) if start is not None else self._parent_network(bench),
            folder=folder,
            cache=FeatureCache(default_cache()),
            device=self.device,
        )
        return bench

    def _parent_network(self, bench: RecipeWorkbench) -> TappedNetwork:
        return tapped(self.parent.network(bench.recipe.bands))

    def trained(self, bench: RecipeWorkbench, condition: Condition, seed: int, steps: int) -> TappedNetwork:
        """Return the network after some steps, its batch norms measured on the images it was trained on."""
        settings = self.settings
        network = tapped(bench.own_backbone())
        if steps:
            own = settings.training.model_copy(
                update={"steps": steps, "loss": condition.loss or settings.training.loss}
            )
            (single,) = arms(own, bench.data.task)
            arm = Arm(bench.data.task, bench, settings=single, seed=seed, device=self.device)
            network = tapped(fit(arm, 0, single.learning_rates[0]).task_model.backbone)
            network.cpu().eval().requires_grad_(False)
            measure_statistics(network, bench, bench.images("train"), settings.images)
        return network
