"""TaskModel: backbone (or its stored features), pooling over dates and decoder in one module."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from bench.core import Backbone, Tap
from bench.features.forward import taps_of, whole_taps
from bench.input.batches import Batch
from bench.input.recipe import InputRecipe


class TaskModel(nn.Module):
    """A network for one task: batches in, outputs of the task out.

    Args:
        backbone: the network, or None where batches hold stored features.
        decoder: see `bench.decoders`.
        folds: one per layer read, or none for the mean over dates.
        levels: indices of the backbone's layers that the decoder reads, one may stand several times.
        recipe: how the input was prepared.
        tuned: gradients reach the backbone.
        boxes: the decoder predicts boxes: it reads whole images, and computes its loss from their targets.
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
        """Set the mode of the trained parts; a backbone that is not tuned in full stays in evaluation mode."""
        super().train(mode)
        if self.backbone is not None and not (self.tuned and all(p.requires_grad for p in self.backbone.parameters())):
            self.backbone.eval()
        return self

    def taps(self, batch: Batch) -> list[Tap]:
        """Return one `Tap` per layer that the decoder reads."""
        if batch.taps is not None:
            return batch.taps
        assert batch.given is not None and self.backbone is not None
        single = list(dict.fromkeys(self.levels))
        fold = (lambda i, grids, when: self.folds[i](grids, when)) if len(self.folds) else None
        backbone: object = self.backbone
        run = whole_taps if self.boxes else taps_of
        with nullcontext() if self.tuned or fold else torch.no_grad():
            taps = dict(zip(single, run(self.recipe, backbone, batch.given, single, fold), strict=True))
        return [taps[level] for level in self.levels]

    def forward(self, batch: Batch) -> Any:
        """Return the decoder's output: logits, or values in units of `spread`; for boxes, losses in training mode."""
        size = self.recipe.extent(batch.size) if self.boxes else batch.size
        with torch.autocast(device_of(self).type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            taps = self.taps(batch)
            if self.boxes:
                return self.decoder(taps, size, batch.target if self.training else None)
            return self.decoder(taps, size)


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's parameters."""
    return next(module.parameters()).device
