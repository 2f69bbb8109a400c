"""Which layers a decoder reads, relative to the depth of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.core import Layer
from bench.core.errors import Incompatible

TAPS = ("last", "published", "quarters", "profile")


def choose_taps(
    layers: Sequence[Layer],
    taps: str,
    *,
    count: int,
    published: Sequence[str],
    profile: Callable[[], Mapping[str, float]],
    model: str,
) -> tuple[int, ...]:
    """Return the indices of the layers that a decoder reads, shallow to deep.

    A network whose strides differ (a CNN, a Swin) is read at its last `count` strides, the deepest layer of each,
    whatever `taps`; under ``profile``, the layer of each stride that validation prefers.

    Args:
        layers: all layers of the backbone.
        taps: ``last``, `count` times; ``quarters``, the last layer and the blocks at a quarter, half and three
            quarters of the depth; ``published``, those named; ``profile``, the layer of each quarter of the depth with
            the highest validation score of the linear probe, or of all layers where one is read.
        count: number of layers read; 0 for every layer.
        published: names of the layers its authors read.
        profile: layer name -> validation score, higher is better.
        model: name of the model, for messages.

    Raises:
        Incompatible: the network lacks a published tap, or the decoder reads another number of layers.
    """
    if count == 0:
        return tuple(range(len(layers)))
    strides = list(dict.fromkeys(layer.stride for layer in layers))
    if count > 1 and len(strides) >= count:
        groups = [[i for i, layer in enumerate(layers) if layer.stride == stride] for stride in strides[-count:]]
    elif count > 1:
        bounds = [(part / count, (part + 1) / count) for part in range(count)]
        groups = [[i for i, layer in enumerate(layers) if low < layer.depth <= high] for low, high in bounds]
        groups = [group or [_nearest(layers, high)] for group, (_, high) in zip(groups, bounds, strict=True)]
    else:
        groups = [list(range(len(layers)))]
    if taps == "profile":
        scores = profile()
        return tuple(max(group, key=lambda i: (scores.get(layers[i].name, float("-inf")), -i)) for group in groups)
    if count == 1 or (taps == "last" and len(strides) < count):
        return (len(layers) - 1,) * count
    if taps == "published":
        names = [layer.name for layer in layers]
        if len(published) != count or any(name not in names for name in published):
            raise Incompatible(f"{model}: its published taps {' '.join(published)} are not {count} of its layers")
        return tuple(names.index(name) for name in published)
    return tuple(group[-1] for group in groups)


def usual_layers(layers: Sequence[Layer], published: Sequence[str]) -> list[str]:
    """Return the names of the layers that ``last``, ``quarters`` and ``published`` read, to be kept by one pass."""
    wanted: set[int] = set()
    for count, taps in ((1, "last"), (4, "last"), (4, "quarters")):
        wanted.update(choose_taps(layers, taps, count=count, published=(), profile=dict, model=""))
    return [layer.name for i, layer in enumerate(layers) if i in wanted or layer.name in published]


def _nearest(layers: Sequence[Layer], depth: float) -> int:
    return min(range(len(layers)), key=lambda i: (abs(layers[i].depth - depth), -i))
