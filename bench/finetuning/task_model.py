"""TaskModel: backbone (or its stored features), pooling over dates and decoder in one module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from bench.core import Backbone, Tap
from bench.features.forward import taps_of, whole_taps
from bench.input.batches import Batch
from bench.input.recipe import InputRecipe

if TYPE_CHECKING:
    from bench.decoders.parts.boxes import Detector


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

    Attributes:
        addition: modules that are trained with it and take no part in predictions, or None.
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
        self.addition: nn.Module | None = None
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("spread", spread, persistent=False)

    def train(self, mode: bool = True) -> TaskModel:
        """Set the mode of the trained parts; a backbone that is not tuned in full stays in evaluation mode."""
        super().train(mode)
        if self.backbone is not None and not (self.tuned and all(p.requires_grad for p in self.backbone.parameters())):
            self.backbone.eval()
        return self

    def taps(self, batch: Batch, further: Sequence[int] = ()) -> list[Tap]:
        """Return one `Tap` per layer that the decoder reads, then one per further layer, from one pass."""
        if batch.taps is not None:
            return batch.taps
        assert batch.given is not None and self.backbone is not None
        single = list(dict.fromkeys((*self.levels, *further)))
        folded = list(dict.fromkeys(self.levels))

        def fold(place: int, grids: Tensor, when: Tensor | None) -> Tensor:
            grid: Tensor = self.folds[place](grids, when) if place < len(folded) else grids.mean(1)
            return grid

        backbone: Backbone = cast("Backbone", self.backbone)
        run = whole_taps if self.boxes else taps_of
        with nullcontext() if self.tuned or len(self.folds) else torch.no_grad(), self._precision():
            read = run(self.recipe, backbone, batch.given, single, fold if len(self.folds) else None)
        taps = dict(zip(single, read, strict=True))
        return [taps[level] for level in (*self.levels, *further)]

    def decode(self, batch: Batch, taps: Sequence[Tap], maps: OrderedDict[str, Tensor] | None = None) -> Any:
        """Return the decoder's output from the taps of the layers that it reads; see `forward`.

        Args:
            batch: the samples.
            taps: one per level.
            maps: of a detector's feature pyramid, where they have been computed already.
        """
        size = self.recipe.extent(batch.size) if self.boxes else batch.size
        with self._precision():
            if not self.boxes:
                return self.decoder(taps, size)
            targets = batch.target if self.training else None
            return self.decoder(taps, size, targets) if maps is None else self._detector().on_maps(maps, size, targets)

    def maps(self, taps: Sequence[Tap]) -> OrderedDict[str, Tensor]:
        """Return the maps of a detector's feature pyramid by name, fine to coarse; see `bench.decoders.parts.boxes`."""
        with self._precision():
            maps: OrderedDict[str, Tensor] = self._detector().neck(taps)
        return maps

    def _detector(self) -> Detector:
        from bench.decoders.parts.boxes import Detector

        assert isinstance(self.decoder, Detector)
        return self.decoder

    def forward(self, batch: Batch) -> Any:
        """Return the decoder's output: logits, or values in units of `spread`; for boxes, losses in training mode."""
        return self.decode(batch, self.taps(batch))

    def _precision(self) -> torch.autocast:
        return torch.autocast(device_of(self).type, torch.bfloat16, enabled=self.recipe.precision == "bf16")


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's parameters."""
    return next(module.parameters()).device
