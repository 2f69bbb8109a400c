"""Execution of pruning: estimate importance, remove, recover, in one or several rounds, and write the entry."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from bench.catalogue.cards import Card, write_entry
from bench.core import Band
from bench.core.errors import BadSetting
from bench.finetuning.arm import Arm
from bench.finetuning.fit import batches_of, fit, loss_function
from bench.finetuning.loop import restore
from bench.finetuning.rate_search import search_rates
from bench.finetuning.settings import arms
from bench.foundry.contract.resolved import Parent, lineage, parent_of, shape_of
from bench.foundry.contract.workbench import RecipeWorkbench, TaskData, data_facts, fed_bands, open_task
from bench.foundry.pruning import masks as unstructured
from bench.foundry.pruning import structured
from bench.foundry.pruning.budgets import Budget, example_images, multiply_adds, parameters, ratio_for, read_budget
from bench.foundry.pruning.removal import remove
from bench.foundry.pruning.settings import DATA_METHODS, PruneSettings
from bench.metrics import METRICS
from bench.networks.tapped import TappedNetwork, tapped
from bench.store import FeatureCache, default_cache

Report = Callable[[str], None]


class Mask(nn.Module):
    """A parametrization that keeps pruned weights at zero while the others are trained."""

    keep: Tensor

    def __init__(self, keep: Tensor) -> None:
        super().__init__()
        self.register_buffer("keep", keep)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned values at zero."""
        return weight * self.keep


def prune_entry(settings: PruneSettings, *, data: Path, out: Path, device: str, report: Report) -> Path:
    """Prune an entry and return the path of the weights of the new one; see `bench.foundry.prune.run`."""
    started = time.perf_counter()
    budget = _checked(settings)
    parent = parent_of(settings.model, weights=settings.weights, entries=settings.entries)
    task_data = (
        open_task(settings.suite, settings.task, settings.bands, data, settings.labels) if settings.suite else None
    )
    bands = fed_bands(parent.entry, task_data)
    network = tapped(parent.network(bands))
    images = example_images(parent.entry, bands, dates=_dates(task_data))
    before = {"flops": multiply_adds(network, images), "parameters": float(parameters(network))}
    report(f"{settings.model}: {before['parameters']:,.0f} parameters, {before['flops']:,.3g} multiply-adds per image")
    pruner = Pruner(settings, parent, task_data, bands, images, device, report)
    pruned, scores = pruner.carry_out(network, budget)
    counts = {"flops": multiply_adds(pruned, images), "parameters": float(parameters(pruned))}
    removed = unstructured.sparsity(pruned)
    report(f"left: {counts['parameters']:,.0f} parameters, {counts['flops']:,.3g} multiply-adds, {removed:.1%} zeros")
    card = Card(
        name=settings.name or f"{settings.model}.{settings.method}_{_per_cent(settings)}",
        origin="pruned",
        bands=tuple(band.name for band in bands),
        shape=shape_of(parent, bands, pruned),
        parameters=int(counts["parameters"]),
        depth=sum(layer.name.startswith("block_") for layer in pruned.layers),
        width=pruned.layers[-1].channels,
        recipe="prune",
        version=1,
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
        data=data_facts(task_data),
        cost={f"{name}_before": value for name, value in before.items()}
        | counts
        | {"zeros": removed, "seconds": round(time.perf_counter() - started, 1)},
        scores=scores,
        sha256="",
        reference=parent.entry.reference,
        **lineage([parent]),
    )
    state = {name: value.detach().cpu().contiguous() for name, value in pruned.state_dict().items()}
    return write_entry(out, card, save(state))


def _checked(settings: PruneSettings) -> Budget | None:
    """Return the budget, once the settings agree with each other."""
    budget = read_budget(settings.budget) if settings.budget else None
    if budget and settings.method in ("magnitude", "dropout"):
        raise BadSetting(
            f"budget={settings.budget} with method={settings.method}: zeros leave the shape as it is, and with it "
            "parameters and multiply-adds; use method=structured, taylor, depth or width"
        )
    if budget and settings.rounds > 1:
        raise BadSetting("a budget is met in one round; give ratio= with rounds=")
    if settings.method in DATA_METHODS and not settings.suite:
        raise BadSetting(f"method={settings.method} judges weights by a loss on images: give suite= (and task=)")
    if settings.recovery.tuning[0] not in ("full", "head-then-full"):
        raise BadSetting(f"recovery.tuning={settings.recovery.tuning[0]}: recovery trains the network; use full")
    return budget


def _per_cent(settings: PruneSettings) -> str:
    return settings.budget.replace(":", "_").replace(".", "") if settings.budget else f"{100 * settings.ratio:g}"


def _dates(data: TaskData | None) -> int:
    return max(1, data.suite.dates) if data else 1


class Pruner:
    """Pruning of one entry by one method, with the data for importance and recovery.

    Args:
        settings: of the recipe.
        parent: the entry.
        data: images and labels, or None.
        bands: that the network is fed.
        images: prepared input for counting.
        device: torch device of training.
        report: called with a line per step.
    """

    def __init__(
        self,
        settings: PruneSettings,
        parent: Parent,
        data: TaskData | None,
        bands: tuple[Band, ...],
        images: dict[str, Tensor],
        device: str,
        report: Report,
    ) -> None:
        self.settings, self.parent, self.data, self.bands = settings, parent, data, bands
        self.images, self.device, self.report = images, device, report

    def carry_out(self, network: TappedNetwork, budget: Budget | None) -> tuple[TappedNetwork, dict[str, float]]:
        """Return the pruned network, and the task's metric on validation before and after."""
        settings, scores = self.settings, dict[str, float]()
        if settings.method in DATA_METHODS or (settings.recover and self.data):
            network, scores["before"] = self._trained(network, {}, "before pruning")
        for number in range(settings.rounds):
            values = self._importance(network) if settings.method == "taylor" else None
            ratio = self._ratio(network, budget, values, number)
            network, masks = self._removed(network, ratio, values)
            if settings.recover and self.data:
                network, scores["after"] = self._trained(network, masks, f"round {number + 1}")
        return network, scores

    def _ratio(
        self, network: TappedNetwork, budget: Budget | None, values: Mapping[str, Tensor] | None, number: int
    ) -> float:
        """Return the share to remove in a round; after all rounds the share of the settings is gone."""
        if budget is None:
            kept = float((1 - self.settings.ratio) ** (1 / self.settings.rounds))
            if self.settings.method in ("magnitude", "dropout"):  # zeros of earlier rounds rank last again
                return float(1 - kept ** (number + 1))
            return 1 - kept
        ratio = ratio_for(
            budget, lambda ratio: self._removed(copy.deepcopy(network), ratio, values)[0], network, self.images
        )
        self.report(f"ratio {ratio:.3f} meets the budget")
        return ratio

    def _removed(
        self, network: TappedNetwork, ratio: float, values: Mapping[str, Tensor] | None
    ) -> tuple[TappedNetwork, dict[str, Tensor]]:
        """Return a network with a share removed, and the masks of single weights."""
        settings = self.settings
        importance = self._noise_ratios(network) if settings.method == "dropout" else values
        left = remove(network, settings.method, ratio, self.images, scope=settings.scope, values=importance)
        for note in left.notes:
            self.report(note)
        return left.network, left.masks

    def _arm(self, network: TappedNetwork, folder: Path) -> Arm:
        assert self.data is not None
        settings = self.settings
        (training, *others) = arms(settings.recovery, self.data.task)
        if others:
            raise BadSetting("recovery= stands for several arms; give one decoder, one tuning and one choice of taps")
        workbench = RecipeWorkbench(
            entry=self.parent.entry,
            data=self.data,
            network=lambda scratch: copy.deepcopy(network),
            folder=folder,
            cache=FeatureCache(default_cache()),
            device=self.device,
        )
        return Arm(self.data.task, workbench, settings=training, seed=settings.seed, device=self.device)

    def _trained(self, network: TappedNetwork, masks: dict[str, Tensor], when: str) -> tuple[TappedNetwork, float]:
        """Return the network trained on the task, pruned weights held at zero, and its metric on validation."""
        for name, keep in masks.items():
            path, _, leaf = name.rpartition(".")
            torch.nn.utils.parametrize.register_parametrization(network.get_submodule(path), leaf, Mask(keep))
        with tempfile.TemporaryDirectory() as folder:
            arm = self._arm(network, Path(folder))
            chosen = search_rates(arm)
        for note in chosen.notes:
            self.report(note)
        task_model = arm.build()
        restore(task_model, chosen.trained.state)
        backbone = tapped(task_model.backbone)
        for name in masks:
            path, _, leaf = name.rpartition(".")
            torch.nn.utils.parametrize.remove_parametrizations(backbone.get_submodule(path), leaf)
        score = METRICS[arm.task.metric].sign * chosen.trained.score
        self.report(f"{when}: validation {arm.task.metric} {score:.4f}")
        backbone.cpu().eval().requires_grad_(False)
        return backbone, score

    def _importance(self, network: TappedNetwork) -> dict[str, Tensor]:
        """Return the Taylor importance of every value of the network, on training batches."""
        with tempfile.TemporaryDirectory() as folder:
            arm = self._arm(network, Path(folder))
            best = fit(arm, 0, arm.settings.learning_rates[0])
        restore(best.task_model, best.trained.state)
        model, loss, batches = best.task_model.eval(), loss_function(arm), batches_of(arm, arm.train)

        def losses() -> Iterator[Tensor]:
            for step in range(self.settings.batches):
                for batch in batches(step):
                    yield loss(model, batch)

        backbone = tapped(model.backbone)
        importance = structured.taylor_values(backbone, losses())
        network.load_state_dict(backbone.cpu().state_dict())
        return {name: value.cpu() for name, value in importance.items()}

    def _noise_ratios(self, network: TappedNetwork) -> dict[str, Tensor]:
        """Return the signal-to-noise importance of every weight, learned by variational dropout."""
        from bench.foundry.pruning.variational import learned_importance

        with tempfile.TemporaryDirectory() as folder:
            arm = self._arm(network, Path(folder))
            return learned_importance(arm, network)
