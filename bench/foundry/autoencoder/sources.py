"""Where windows of tokens come from: the files of a collection, read window by window from mapped memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from bench.foundry.autoencoder.settings import FREQUENCIES, Size
from bench.foundry.tokens.codec import scaled_range
from bench.foundry.tokens.dense import dense_layers, dense_tokens
from bench.foundry.tokens.layout import Layout, layout_of, position_features, positions
from bench.foundry.tokens.roles import roles_of

Open = Callable[[], Mapping[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """A batch of windows.

    Attributes:
        values: float32 (B, T, inputs).
        mask: bool (B, T, inputs), real values.
        positions: (B, T, features).
    """

    values: Tensor
    mask: Tensor
    positions: Tensor

    def to(self, device: str) -> Windows:
        """Return the batch on a device."""
        return Windows(values=self.values.to(device), mask=self.mask.to(device), positions=self.positions.to(device))


@dataclass(frozen=True)
class TokenSource:
    """The tokens of one model, read from its file in ranges.

    Attributes:
        name: of the model.
        lineage: of the model.
        open: returns its tensors.
        size: of the autoencoder.
    """

    name: str
    lineage: str
    open: Open
    size: Size

    @cached_property
    def layout(self) -> Layout:
        """Layout of the tokens; of the published ones too, whose layers are numbered as its slots are."""
        state = self.open()
        if self.size.published:  # a weight and its bias are one slot
            lengths = {name: state[name].numel() + bias * len(state[name]) for name, bias in dense_layers(state)}
            merged = {name: torch.empty(length, device="meta") for name, length in lengths.items()}
            layout = layout_of(merged, self.size.token)
            roles = roles_of({name: tuple(tensor.shape) for name, tensor in state.items()})
            return replace(layout, slots=tuple(replace(slot, role=roles[slot.name]) for slot in layout.slots))
        return layout_of(state, self.size.token)

    @cached_property
    def _positions(self) -> Tensor:
        return positions(self.layout)

    def read(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return values, mask and positions of tokens ``first`` to ``last``, each (tokens, ...)."""
        layout, state = self.layout, self.open()
        if not self.size.published:
            values, sides = scaled_range(state, layout, first, last)
            mask = torch.cat([layout.mask(first, last), torch.ones(last - first, 2, dtype=torch.bool)], 1)
            return torch.cat([values, sides], 1), mask, position_features(self._positions[first:last], FREQUENCIES)
        parts, places = [], []
        for number, slot in enumerate(layout.slots):
            count = -(-slot.values // layout.size)
            start, end = max(first, slot.start), min(last, slot.start + count)
            if start < end:
                bias = slot.name.replace("weight", "bias")
                dense = dense_tokens({name: state[name] for name in (slot.name, bias) if name in state}, layout.size)
                parts.append(dense.values[start - slot.start : end - slot.start])
                inner = torch.arange(start, end)
                places.append(torch.stack([inner, torch.full_like(inner, number), inner - slot.start], 1))
        return torch.cat(parts), layout.mask(first, last), torch.cat(places)


def batch_of(ranges: Sequence[tuple[TokenSource, int, int]], length: int) -> Windows:
    """Return windows as a batch; shorter ones are padded with tokens of which nothing is real."""
    rows = [source.read(first, last) for source, first, last in ranges]
    values, mask, places = rows[0]
    batch = Windows(
        values=torch.zeros(len(rows), length, values.shape[1]),
        mask=torch.zeros(len(rows), length, mask.shape[1], dtype=torch.bool),
        positions=torch.zeros(len(rows), length, places.shape[1], dtype=places.dtype),
    )
    for row, (values, mask, places) in enumerate(rows):
        batch.values[row, : len(values)], batch.mask[row, : len(values)] = values, mask
        batch.positions[row, : len(values)] = places
    return batch


def draw(sources: Sequence[TokenSource], count: int, length: int, generator: torch.Generator) -> Windows:
    """Return a batch of windows: every model with equal chance, then every place in it, whatever the models' sizes."""
    ranges = []
    for model in torch.randint(len(sources), (count,), generator=generator).tolist():
        source = sources[model]
        room = max(0, source.layout.tokens - length)
        first = int(torch.randint(room + 1, (1,), generator=generator))
        ranges.append((source, first, min(source.layout.tokens, first + length)))
    return batch_of(ranges, length)
