"""A backbone (or its stored features), folds over dates and a decoder as one module; what it says of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core import Backbone, Tap, Task
from bench.features.forward import taps_of, whole_taps
from bench.finetuning.workbench import Workbench
from bench.input.batches import Batch, Examples, windows
from bench.input.recipe import InputRecipe


class TaskModel(nn.Module):
    """Batches in, outputs of a task out.

    Args:
        backbone: the network, or None where batches bring features.
        decoder: see `bench.decoders`.
        folds: one a level, or none for the mean over dates.
        levels: which of the backbone's layers each level is.
        recipe: how its input was prepared.
        tuned: gradients reach the backbone.
        boxes: the decoder finds boxes: it reads whole images, and is trained with their targets.
        centre, spread: of a regression's targets, (q,); outputs are in units of `spread` around `centre`.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        backbone: Backbone | None,
        decoder: nn.Module,
        folds: Sequence[nn.Module],
        *,
        levels: Sequence[int],
        recipe: InputRecipe,
        tuned: bool,
        boxes: bool,
        centre: Tensor,
        spread: Tensor,
    ) -> None:
        super().__init__()
        self.backbone = backbone if isinstance(backbone, nn.Module) else None
        self.decoder = decoder
        self.folds = nn.ModuleList(folds)
        self.levels, self.recipe, self.tuned, self.boxes = tuple(levels), recipe, tuned, boxes
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("spread", spread, persistent=False)

    def train(self, mode: bool = True) -> TaskModel:
        """Set the mode of what is trained; a backbone that is not trained in full stays as it is evaluated."""
        super().train(mode)
        if self.backbone is not None and not (self.tuned and all(p.requires_grad for p in self.backbone.parameters())):
            self.backbone.eval()
        return self

    def taps(self, batch: Batch) -> list[Tap]:
        """Return one `Tap` a level."""
        if batch.taps is not None:
            return batch.taps
        assert batch.given is not None and self.backbone is not None
        single = list(dict.fromkeys(self.levels))
        fold = (lambda i, grids, when: self.folds[i](grids, when)) if len(self.folds) else None
        backbone: Any = self.backbone
        run = whole_taps if self.boxes else taps_of
        with nullcontext() if self.tuned or fold else torch.no_grad():
            found = dict(zip(single, run(self.recipe, backbone, batch.given, single, fold), strict=True))
        return [found[level] for level in self.levels]

    def forward(self, batch: Batch) -> Any:
        """Return the decoder's output: logits, values in units of `spread`; of boxes losses in training, else boxes."""
        size = self.recipe.extent(batch.size) if self.boxes else batch.size
        with torch.autocast(_device(self).type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            taps = self.taps(batch)
            if self.boxes:
                return self.decoder(taps, size, batch.target if self.training else None)
            return self.decoder(taps, size)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def outputs(assembly: TaskModel, batch: Batch, task: Task) -> Any:
    """Return the output for whole images: of large ones window by window, every pixel from the most central one."""
    if task.kind == "detection" or not assembly.recipe.windows:
        return assembly(batch)
    whole: Tensor | None = None
    for window, (y, x), (into_y, into_x) in windows(batch, assembly.recipe):
        part: Tensor = assembly(window)
        if whole is None:
            tall, wide = (max(side, into) for side, into in zip(batch.size, assembly.recipe.size, strict=True))
            whole = part.new_zeros(*part.shape[:2], tall, wide)
        high, broad = min(into_y.stop, whole.shape[2]), min(into_x.stop, whole.shape[3])
        rows, columns = slice(into_y.start, high), slice(into_x.start, broad)
        kept = part[:, :, y.start : y.start + high - into_y.start, x.start : x.start + broad - into_x.start]
        whole[:, :, rows, columns] = kept
    assert whole is not None
    return whole[:, :, : batch.size[0], : batch.size[1]]


def predictions(
    assembly: TaskModel, examples: Examples, task: Task, count: int, rows: Sequence[int] | None = None
) -> Iterator[tuple[Batch, Any]]:
    """Yield batches of at most `count` samples, those of `rows` or all, with the output for whole images.

    Values are in their unit.
    """
    mode = assembly.training
    assembly.eval()
    # Not inference mode: networks keep tensors made in here (positions of a size), and train with them later.
    with torch.no_grad():
        wanted = range(len(examples)) if rows is None else rows
        for start in range(0, len(wanted), count):
            for batch in examples.read(wanted[start : start + count]):
                found = outputs(assembly, batch, task)
                if task.kind == "regression":
                    found = found.float() * assembly.spread + assembly.centre
                elif task.kind == "dense_regression":
                    found = found.float()[:, 0] * assembly.spread + assembly.centre
                yield batch, found
    assembly.train(mode)


def outcomes(assembly: TaskModel, examples: Examples, task: Task, count: int) -> dict[str, np.ndarray]:
    """Return what each sample came to, as `bench.metrics.score` takes it, in the order of the samples.

    ``prediction`` (n,) classes with ``confidence`` and ``chance`` (n, K); (n, K) probabilities; (n, q) values; each
    with its ``target``; ``confusion`` (n, K, K) and ``boundary`` (n, K, 4) of masks; ``errors`` (n, 5) of dense values;
    of boxes ``detected`` and ``truth``, see `bench.metrics.boxes.matched`.
    """
    if task.kind == "detection":
        return _detected(assembly, examples, task, count)
    parts: dict[str, dict[int, np.ndarray]] = {}
    for batch, found in predictions(assembly, examples, task, count):
        said = _outcome(found, batch.target, task, float(assembly.centre[0]))
        if not task.dense:
            said["target"] = batch.target.cpu().numpy()
        for name, values in said.items():
            parts.setdefault(name, {}).update(zip(batch.rows, values, strict=True))
    return {name: np.stack([each[row] for row in range(len(examples))]) for name, each in parts.items()}


def _outcome(found: Tensor, target: Tensor, task: Task, centre: float) -> dict[str, np.ndarray]:
    from bench.metrics.boundaries import boundary_counts
    from bench.metrics.pixel_sums import confusion_counts, error_sums

    if task.kind == "classification":
        chance = found.float().softmax(1)
        top, said = chance.max(1)
        parts = {"prediction": said, "confidence": top, "chance": chance}
    elif task.kind == "multilabel":
        parts = {"prediction": found.float().sigmoid()}
    elif task.kind == "regression":
        parts = {"prediction": found}
    elif task.kind == "dense_regression":
        parts = {"errors": error_sums(found[:, None], target, centre)[:, 0]}
    else:
        said, classes = found.argmax(1), len(task.classes)
        parts = {"confusion": confusion_counts(said[:, None], target, classes, task.ignore)[:, 0]}
        parts["boundary"] = boundary_counts(said, target, classes, task.ignore)
    return {name: values.cpu().numpy() for name, values in parts.items()}


def _detected(assembly: TaskModel, examples: Examples, task: Task, count: int) -> dict[str, np.ndarray]:
    from bench.metrics.boxes import matched

    said: dict[int, Mapping[str, np.ndarray]] = {}
    true: dict[int, Mapping[str, np.ndarray]] = {}
    for batch, found in predictions(assembly, examples, task, count):
        for row, one, target in zip(batch.rows, found, batch.target, strict=True):
            said[row] = {name: value.cpu().numpy() for name, value in one.items()}
            true[row] = {name: value.cpu().numpy() for name, value in target.items()}
    order = range(len(examples))
    detected, truth = matched([said[row] for row in order], [true[row] for row in order], len(task.classes))
    return {"detected": detected, "truth": truth}


def flops(assembly: TaskModel, network: Workbench) -> float:
    """Return the multiply-adds of one image through backbone and decoder, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    mode, trained = assembly.training, [one for one in assembly.parameters() if one.requires_grad]
    assembly.eval().requires_grad_(False)  # the counter trips over parameters that want gradients and get none
    batch = network.one()
    backbone: Any = assembly.backbone or network.shared()
    run = whole_taps if assembly.boxes else taps_of
    if assembly.recipe.windows and not assembly.boxes:
        batch = batch.window(assembly.recipe, 0, 0)
    assert batch.given is not None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        single = list(dict.fromkeys(assembly.levels))
        found = dict(zip(single, run(assembly.recipe, backbone, batch.given, single), strict=True))
        size = assembly.recipe.extent(batch.size) if assembly.boxes else batch.size
        assembly.decoder([found[level] for level in assembly.levels], size)
    for one in trained:
        one.requires_grad_(True)
    assembly.train(mode)
    return float(counter.get_total_flops()) / 2
