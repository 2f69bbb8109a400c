"""Structure: how the shape of a derived network differs from that of its base entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Changes of a recipe to the shape of a base entry's network; none where all fields are empty.

    Attributes:
        blocks: numbers of the blocks kept, from 1, ascending; empty where all are kept.
        shapes: name in ``state_dict`` -> shape, of every parameter and buffer whose shape differs.
        attributes: path of a module -> attribute -> value, e.g. ``num_heads`` of a pruned attention.
        channels: channels of every layer where they differ from the base's, else empty.
    """

    blocks: tuple[int, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, int | float]] = field(default_factory=dict)
    channels: tuple[int, ...] = ()
