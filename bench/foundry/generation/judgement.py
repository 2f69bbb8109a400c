"""The judgement: every arm's weights scored on a request, frozen and fine-tuned, for every seed; a record each."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.core import Record, RunKey, sha256_of
from bench.core.errors import BadSetting
from bench.foundry.contract.resolved import parent_of
from bench.foundry.generation.arms import ARMS, GENERATORS, SEEDLESS, Request, candidates, learned
from bench.foundry.generation.carry_out import SPREAD_SAMPLES, spectrum_text, workbench
from bench.foundry.generation.codes import codebook, dispersion, spectrum
from bench.foundry.generation.conditions import Condition, conditioned, read_condition
from bench.foundry.generation.images import (
    PreparedExamples,
    PreparedWorkbench,
    Probe,
    features,
    fit_probe,
    measure_statistics,
    pass_images,
)
from bench.foundry.generation.lineages import Lineage, load_lineage
from bench.foundry.generation.settings import JudgeSettings
from bench.input.batches import Batch
from bench.input.splits import Splits
from bench.input.subsets import draw, first_by_hash
from bench.networks.tapped import TappedNetwork, tapped
from bench.store import Store

Report = Callable[[str], None]
TUNINGS = ("frozen", "finetuned")
WHERE_ONLY = {"weights", "entries", "zoo", "seeds"}  # settings that are no part of a run's identity


def judge(
    settings: JudgeSettings,
    *,
    data: Path,
    out: Path,
    device: str,
    report: Report,
    environment: Mapping[str, object],
) -> Path:
    """Score every arm for every seed and return the folder of the records; see `bench.foundry.judge.run`."""
    lineage = load_lineage(settings.zoo, weights=settings.weights, entries=settings.entries)
    for note in lineage.notes:
        report(note)
    condition = read_condition(settings.request)
    bench = _bench(settings, lineage, condition, data, device)
    if bench.data.task.kind != "classification":
        raise BadSetting(f"{bench.data.task.name} is {bench.data.task.kind}; this study judges classifications")
    judgement = Judgement(settings, lineage, condition, bench, Store(out / "generation"), environment)
    report(spectrum_text(judgement.figures, len(lineage.members)))
    for text in judgement.leaks():
        report(text)
    for number, seed in enumerate(settings.seeds, 1):
        started = time.perf_counter()
        done = judgement.seed(seed)
        report(f"seed {number}/{len(settings.seeds)}: {done} arms scored in {time.perf_counter() - started:.0f} s")
    return out / "generation" / bench.data.suite.name


def _bench(
    settings: JudgeSettings, lineage: Lineage, condition: Condition, data: Path, device: str
) -> PreparedWorkbench:
    """Return the workbench of the request, its splits as `JudgeSettings.reserve` makes them."""
    bench = workbench(settings.suite, settings.task, settings.bands, lineage, Condition(), data, data, device)
    suite, task = conditioned(bench.data.suite, bench.data.task, condition, reserve=settings.reserve)
    task_data = dataclasses.replace(bench.data, suite=suite, task=task, splits=Splits(suite=suite, root=data))
    return dataclasses.replace(bench, data=task_data, precision=settings.precision, pool={}, _rows={})


class Judgement:
    """The arms of one zoo on one request.

    Args:
        settings: of the study.
        lineage: the zoo.
        condition: the request.
        bench: images of the request.
        store: of the records.
        environment: software and machine.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        lineage: Lineage,
        condition: Condition,
        bench: PreparedWorkbench,
        store: Store,
        environment: Mapping[str, object],
    ) -> None:
        self.settings, self.lineage, self.condition, self.bench = settings, lineage, condition, bench
        self.store, self.environment = store, environment
        self._networks = dict[tuple[str, int], TappedNetwork]()
        book = codebook(lineage.deltas)
        self.figures = spectrum(lineage.deltas, book)
        entry = lineage.trunk.entry
        prompt = parent_of(entry.parent, weights=settings.weights, entries=settings.entries)
        bands = bench.recipe.bands
        samplers = learned(lineage, book)
        conditions, _, _ = lineage.conditions()
        each = max(2, SPREAD_SAMPLES // len(conditions))
        for name in GENERATORS:
            noise = torch.Generator().manual_seed(0)
            spread = torch.cat([samplers[name](own, each, noise) for own in conditions])
            self.figures[f"dispersion_{name}"] = dispersion(spread, book.codes)
        self.request = Request(
            lineage=lineage,
            book=book,
            samplers=samplers,
            condition=condition,
            prompt=lineage.layout.flat(tapped(prompt.network(bands)).state_dict()),
            scratch=lambda seed: lineage.layout.flat(tapped(entry.load(entry, None, seed, bands)).state_dict()),
            count=settings.n,
            refine_steps=settings.refine_steps,
            refine_rate=settings.refine_rate,
        )
        self.members = self._nearest_distance()
        self.weights = sha256_of([entry.weights.sha256 if entry.weights else "", *(m.name for m in lineage.members)])
        self.split_hash = bench.data.splits.split_hash(bench.data.task, bench.recipe.reads)

    def leaks(self) -> list[str]:
        """Return in words how many members have seen classes of the request, by `trained_on` and their conditions."""
        suite = self.bench.data.suite
        wanted = set(self.condition.classes) or set(range(self.lineage.classes))
        exposed = [
            member.name
            for member in self.lineage.members
            if suite.dataset in member.trained_on
            and wanted & (set(member.condition.classes) or set(range(self.lineage.classes)))
        ]
        count = len(self.lineage.members)
        return [f"{len(exposed)} of {count} members were trained on classes of the request"] if exposed else []

    def _nearest_distance(self) -> float:
        distances = torch.cdist(self.lineage.deltas, self.lineage.deltas)
        distances.fill_diagonal_(float("inf"))
        return float(distances.min(1).values.median())

    def key(self, arm: str, tuning: str, seed: int) -> RunKey:
        """Return the identity of a run; the weights of an arm follow from the zoo, the arm and the seed."""
        settings, data = self.settings, self.bench.data
        own = {key: value for key, value in settings.model_dump(mode="json").items() if key not in WHERE_ONLY}
        return RunKey(
            suite=data.suite.name,
            suite_version=data.suite.version,
            split_hash=self.split_hash,
            task=data.task.name,
            model=f"{self.lineage.trunk.entry.name.removesuffix('_trunk')}.{arm}",
            model_version=1,
            weights=sha256_of({"zoo": self.weights, "arm": arm, "seed": seed}),
            recipe={"summary": self.bench.recipe.summary(), "precision": settings.precision},
            protocol="generation",
            protocol_version=1,
            settings=own | {"tuning": tuning},
            fraction=-float(settings.shots),
            subset=seed,
            seed=seed,
        )

    def seed(self, seed: int) -> int:
        """Score the arms that are not stored for a seed and return how many were scored."""
        todo = [arm for arm in ARMS if not all(self.store.has(self.key(arm, tuning, seed)) for tuning in TUNINGS)]
        if not todo:
            return 0
        subsets = {split: self._subset(split, seed) for split in ("train", "val")}
        for arm in todo:
            self._arm(arm, seed, subsets["train"], subsets["val"])
        return len(todo)

    def _subset(self, split: str, seed: int) -> PreparedExamples:
        """Return the labelled samples of a split for a seed."""
        whole = self._whole(split)
        targets = np.asarray(whole.whole.target)
        return whole.some(draw(self.bench.data.task, whole.ids, targets, -self.settings.shots, seed).rows.tolist())

    def _whole(self, split: str) -> PreparedExamples:
        """Return all samples of a split; of the test split at most those of the settings."""
        if f"{split}.used" not in self.bench.pool:
            examples = self.bench.images(split)
            if not isinstance(examples, PreparedExamples):
                raise BadSetting("this study needs images of one size and one number of dates")
            rows = np.arange(len(examples))
            if split == "test":
                rows = first_by_hash(examples.ids, rows, self.settings.test_images)
            self.bench.pool[f"{split}.used"] = examples.some(rows.tolist())
        used = self.bench.pool[f"{split}.used"]
        assert isinstance(used, PreparedExamples)
        return used

    def _arm(self, arm: str, seed: int, train: PreparedExamples, val: PreparedExamples) -> None:
        """Score one arm for a seed, frozen and fine-tuned, and store both records."""
        started, bench = time.perf_counter(), self.bench
        best: tuple[Probe, TappedNetwork, Tensor] | None = None
        for place, vector in enumerate(candidates(arm, self.request, seed, bench, train)):
            network = self._measured(arm, place, vector)
            probe = fit_probe(features(network, train, bench), features(network, val, bench), bench.data.task)
            if best is None or probe.score > best[0].score:
                best = probe, network, vector
        assert best is not None
        probe, network, vector = best
        delta = vector - self.lineage.base
        novelty = float((self.lineage.deltas - delta).norm(dim=1).min()) / self.members
        facts = self.figures | {"novelty": novelty, "candidates_best_val": probe.score}
        # The choice among candidates and rates is made; only now is the test split read.
        test = self._whole("test")
        vectors, target = features(network, test, bench)
        self._store(arm, "frozen", seed, probe.logits(vectors).argmax(1), target, probe.score, facts, started)
        started = time.perf_counter()
        tuned, score = self._tuned(network, probe, seed, train, val)
        predicted = torch.cat([tuned(part).argmax(1) for part in _parts(test)])
        self._store(arm, "finetuned", seed, predicted, target, score, facts, started)

    def _measured(self, arm: str, place: int, vector: Tensor) -> TappedNetwork:
        """Return the network of weights, its batch norms measured on training images; kept where no seed changes it."""
        if (arm, place) in self._networks:
            return self._networks[arm, place]
        network = self.lineage.with_weights(vector)
        measure_statistics(network, self.bench, self._whole("train"), self.settings.images)
        if arm in SEEDLESS:
            self._networks[arm, place] = network
        return network

    def _tuned(
        self, network: TappedNetwork, probe: Probe, seed: int, train: PreparedExamples, val: PreparedExamples
    ) -> tuple[Callable[[Batch], Tensor], float]:
        """Return the fine-tuned network as batch -> logits, at the rate that validation chooses, and its score there.

        The head starts as the probe (Kumar et al. 2022, arXiv 2202.10054); batch-norm statistics stay as measured.
        """
        best: tuple[float, Callable[[Batch], Tensor]] | None = None
        target = torch.as_tensor(val.whole.target)
        for rate in self.settings.learning_rates:
            model = copy.deepcopy(network).requires_grad_(True).eval()
            head = nn.Linear(probe.weight.shape[1], probe.weight.shape[0])
            with torch.no_grad():
                head.weight.copy_(probe.weight)
                head.bias.copy_(probe.bias)

            def logits(batch: Batch, model: TappedNetwork = model, head: nn.Linear = head) -> Tensor:
                out: Tensor = head((pass_images(model, batch, self.bench) - probe.mean) / probe.scale)
                return out

            optimiser = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=rate, weight_decay=0.05)
            rng = np.random.default_rng((seed, 1))
            for step in range(self.settings.steps):
                rows = rng.permutation(len(train))[: self.settings.batch].tolist()
                (batch,) = train.read(rows)
                for group in optimiser.param_groups:
                    group["lr"] = rate * (1 - step / self.settings.steps)
                optimiser.zero_grad()
                nn.functional.cross_entropy(logits(batch), batch.target).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            with torch.no_grad():
                hits = torch.cat([logits(part).argmax(1) for part in _parts(val)]) == target
            score = float(hits.float().mean())
            if best is None or score > best[0]:
                best = score, torch.no_grad()(logits)
        assert best is not None
        return best[1], best[0]

    def _store(
        self,
        arm: str,
        tuning: str,
        seed: int,
        predicted: Tensor,
        target: Tensor,
        val: float,
        facts: Mapping[str, float],
        started: float,
    ) -> None:
        """Store the record of one run."""
        accuracy = float((predicted == target).float().mean())
        data = self.bench.data
        record = Record(
            key=self.key(arm, tuning, seed),
            status="ok",
            facts={
                "title": data.suite.title,
                "arm": {"arm": arm, "tuning": tuning},
                "request": str(self.condition),
                "branch": self._branch(),
                "members": len(self.lineage.members),
                "generated": data.suite.generated,
                "kind": data.task.kind,
                "metric": "accuracy",
                "classes": list(data.task.classes),
                "board": False,
                "figures": dict(facts),
            },
            scores={"test": {"last": {"accuracy": accuracy}}},
            choices={"last": {"val": val}},
            arrays=("prediction", "target"),
            cost={"seconds": round(time.perf_counter() - started, 2), "parameters": float(self.lineage.layout.size)},
            environment=dict(self.environment),
        )
        small = {"prediction": predicted.numpy().astype(np.int16), "target": target.numpy().astype(np.int16)}
        self.store.put(record, small)

    def _branch(self) -> float:
        from bench.catalogue.cards import CARD, read_card

        path = self.lineage.trunk.path
        card = read_card(path.with_name(CARD)) if path and path.with_name(CARD).is_file() else None
        return float(card.data.get("branch", float("nan"))) if card else float("nan")


def _parts(examples: PreparedExamples) -> list[Batch]:
    """Return samples as batches of 64."""
    return [examples.read(list(range(at, min(at + 64, len(examples)))))[0] for at in range(0, len(examples), 64)]
