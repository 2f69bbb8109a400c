"""Weights to tokens and back: every floating-point value of every tensor, bit for bit.

Three ways to treat scale, and what each guarantees:

* ``none``: tokens hold the values themselves. Bit-exact for float32, float16 and bfloat16, infinities and signed zeros
  included; float64 is carried by the tokens and a remainder.
* ``power``: each row is divided by the power of two next to its root mean square, which is sent apart. A power of two
  changes the exponent only, so this is bit-exact too, and tokens have the magnitude 1.
* ``moments``: each row is standardised, its mean and the logarithm of its spread are sent apart. The values come back
  up to rounding: 4 units in the last place of float32 of the row's largest value. Of float16 and bfloat16 weights the
  same bits come back unless a value is tiny against its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from bench.core.errors import BadSetting, Incompatible
from bench.foundry.tokens.layout import EXACT, Layout, Slot, layout_of

Scale = Literal["none", "power", "moments"]
AT_ONCE = 1 << 16  # values that are scaled together
ROUNDING = 1e-6  # spread over mean up to which a row is constant
SMALLEST_EXPONENT = -126  # of normal float32 numbers


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A network as tokens.

    Attributes:
        values: float32 (tokens, size); zeros where `Layout.mask` is false.
        layout: where each tensor lies.
        scale: how rows were scaled.
        sides: float32 (rows, 2): mean and natural logarithm of the spread for ``moments``; zero and the power of two
            for ``power``; empty for ``none``.
        aside: tensors that have no tokens: integers and empty ones.
        remainders: of float64 tensors, what float32 leaves over.
    """

    values: Tensor
    layout: Layout
    scale: Scale = "none"
    sides: Tensor = field(default_factory=lambda: torch.empty(0, 2))
    aside: Mapping[str, Tensor] = field(default_factory=dict)
    remainders: Mapping[str, Tensor] = field(default_factory=dict)


def tokenise(state: Mapping[str, Tensor], *, size: int = 256, scale: Scale = "none") -> Tokens:
    """Return a network's tensors as tokens.

    Args:
        state: name -> tensor, e.g. a ``state_dict``.
        size: values per token.
        scale: see the module.

    Raises:
        BadSetting: see `bench.foundry.tokens.layout.layout_of`; or an unknown scale.
    """
    if scale not in ("none", "power", "moments"):
        raise BadSetting(f"scale={scale}: known are none, power and moments")
    layout = layout_of(state, size)
    values = torch.empty((layout.tokens, size), dtype=torch.float32)
    sides = torch.zeros((layout.rows if scale != "none" else 0, 2))
    remainders = {}
    flat = values.view(-1)
    for slot in layout.slots:
        tensor = state[slot.name].detach()
        place = slot.start * size
        end = place + slot.values
        flat[end : place + -(-slot.values // size) * size] = 0
        target = flat[place:end]
        target.copy_(tensor.reshape(-1))
        if slot.dtype not in EXACT and slot.dtype.itemsize > 4:
            left = tensor.reshape(-1) - target.to(slot.dtype)
            remainders[slot.name] = torch.where(torch.isfinite(left), left, 0)
        if scale != "none":
            own = sides[slot.row : slot.row + slot.rows]
            step = max(1, AT_ONCE // slot.columns)  # rows that stay in the processor's cache
            for part, side in zip(torch.split(target.view(slot.rows, -1), step), torch.split(own, step), strict=True):
                _scale(part, side, scale)
    named = {slot.name for slot in layout.slots}
    aside = {name: tensor.detach().clone() for name, tensor in state.items() if name not in named}
    return Tokens(values=values, layout=layout, scale=scale, sides=sides, aside=aside, remainders=remainders)


def _scale(rows: Tensor, sides: Tensor, scale: Scale) -> None:
    """Bring the rows of one tensor to magnitude 1, in place, and note what was taken out."""
    if scale == "moments":
        mean = rows.mean(1)
        spread = (rows - mean[:, None]).square().mean(1).sqrt()
        usable = torch.isfinite(mean) & torch.isfinite(spread)
        sides[:, 0] = torch.where(usable, mean, 0)
        # of a constant row only rounding is left, which is no shape to be scaled up
        sides[:, 1] = torch.where(usable & (spread > ROUNDING * mean.abs()), spread, 1).log()
        rows.sub_(sides[:, :1]).mul_(sides[:, 1:].neg().exp())
        return
    # rows of infinities or of squares beyond float32 stay as they are
    spread = torch.linalg.vector_norm(rows, dim=1) / rows.shape[1] ** 0.5
    power = torch.frexp(torch.where(torch.isfinite(spread), spread, 0)).exponent.float()
    if bool((power > 0).any()):  # no normal value may become a subnormal one
        smallest = torch.where(rows != 0, rows.abs(), torch.inf).amin(1)
        room = torch.frexp(smallest).exponent.float() - 1 - SMALLEST_EXPONENT
        power = torch.minimum(power, torch.where(torch.isfinite(smallest), room, 0).clamp_min(0))
    sides[:, 1] = power
    rows.mul_(torch.exp2(-power)[:, None])


def scaled_range(state: Mapping[str, Tensor], layout: Layout, first: int, last: int) -> tuple[Tensor, Tensor]:
    """Return tokens ``first`` to ``last`` of a network with ``scale=moments``, and two side values of each.

    Only the rows that the tokens touch are read, so a window of a mapped file costs a window. The side values are the
    logarithm of the spread of the row that a token begins in, and that row's mean over its spread.

    Args:
        state: of the network.
        layout: of it.
        first: token of the range.
        last: end of the range.
    """
    values = torch.zeros((last - first, layout.size))
    sides = torch.zeros((last - first, 2))
    for slot in layout.slots:
        count = -(-slot.values // layout.size)
        start, end = max(first, slot.start), min(last, slot.start + count)
        if start >= end:
            continue
        low = (start - slot.start) * layout.size
        high = min(slot.values, (end - slot.start) * layout.size)
        top, bottom = low // slot.columns, -(-high // slot.columns)
        own = torch.zeros(bottom - top, 2)
        tensor = state[slot.name].detach()
        part = tensor.reshape(slot.rows, slot.columns)[top:bottom].float().clone()
        _scale(part, own, "moments")
        flat = part.view(-1)[low - top * slot.columns : high - top * slot.columns]
        values[start - first : end - first].view(-1)[: len(flat)] = flat
        begins = torch.arange(low, high, layout.size) // slot.columns - top
        sides[start - first : end - first, 0] = own[begins, 1]
        sides[start - first : end - first, 1] = own[begins, 0] * own[begins, 1].neg().exp()
    return values, sides.clamp(-50, 50)


def detokenise(tokens: Tokens, values: Tensor | None = None) -> dict[str, Tensor]:
    """Return the tensors of tokens by name, in the order of the network, in their own types and shapes.

    Args:
        tokens: from `tokenise`.
        values: other values of the same layout, e.g. reconstructed ones, (tokens, size); padding in them is ignored.

    Raises:
        Incompatible: `values` are of another shape than the tokens.
    """
    layout = tokens.layout
    values = tokens.values if values is None else values
    if tuple(values.shape) != (layout.tokens, layout.size):
        raise Incompatible(
            f"values are of shape {tuple(values.shape)}, the layout has {layout.tokens} tokens of {layout.size}"
        )
    own = values is tokens.values
    state = {slot.name: _restored(slot, values, tokens, own) for slot in layout.slots}
    return state | {name: tensor.clone() for name, tensor in tokens.aside.items()}


def _restored(slot: Slot, values: Tensor, tokens: Tokens, own: bool) -> Tensor:
    start = slot.start * tokens.layout.size
    flat = values.detach().reshape(-1)[start : start + slot.values].to("cpu", torch.float32)
    rows = flat.view(slot.rows, slot.columns)
    sides = tokens.sides[slot.row : slot.row + slot.rows]
    if tokens.scale == "power":
        rows = rows * torch.exp2(sides[:, 1:])
    elif tokens.scale == "moments":
        rows = rows * sides[:, 1:].exp() + sides[:, :1]
    result = rows.reshape(slot.shape).to(slot.dtype)
    if own and slot.name in tokens.remainders and tokens.scale != "moments":
        result = result + tokens.remainders[slot.name].reshape(slot.shape)
    return result.clone() if result.data_ptr() == flat.data_ptr() else result
