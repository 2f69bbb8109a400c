"""Networks whose shape a recipe changed: shortened to some of their blocks, or with narrower modules.

A change of shape is described by data, `bench.core.Structure`. An entry made by a recipe is rebuilt from the loader of
its base entry, its card and its file, and needs no code of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.core import Images, Layer, Structure, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import frozen
from bench.networks.tapped import TappedNetwork


class Skip(nn.Module):
    """Stands where a block was removed: returns its first argument."""

    def forward(self, tokens: Tensor, *_: Any, **__: Any) -> Tensor:
        """Return `tokens` unchanged."""
        return tokens


class ShortenedBackbone(TappedNetwork):
    """A backbone that keeps some of its blocks, in their order; the final norm, if there is one, stays.

    Args:
        inner: the whole backbone, or one that is shortened already; blocks that are not kept are replaced in place.
        kept: numbers of the blocks kept, from 1, ascending.

    Attributes:
        kept: numbers of the blocks kept, in the whole backbone.
        layers: embedding, the kept blocks with new numbers, and the norm.
        modules_map: sub-modules of the kept blocks.

    Raises:
        Incompatible: the backbone does not name its blocks' modules, a number is out of range, or a removed block
            changes the number of channels or the stride.
    """

    inner: TappedNetwork
    kept: tuple[int, ...]

    def __init__(self, inner: TappedNetwork, kept: Sequence[int]) -> None:
        super().__init__()
        if isinstance(inner, ShortenedBackbone):
            before = inner.kept
            if not set(kept) <= set(range(1, len(before) + 1)):
                raise Incompatible(f"blocks {list(kept)} cannot be kept: there are 1 to {len(before)}")
            inner, kept = inner.inner, [before[number - 1] for number in kept]
        blocks = [index for index, layer in enumerate(inner.layers) if layer.name.startswith("block_")]
        if not kept or list(kept) != sorted(set(kept)) or kept[0] < 1 or kept[-1] > len(blocks):
            raise Incompatible(f"blocks {list(kept)} cannot be kept: give ascending numbers from 1 to {len(blocks)}")
        for number in range(1, len(blocks) + 1):
            if number not in kept:
                _remove(inner, blocks, number)
        wanted = [index for index in range(len(inner.layers)) if index not in blocks or blocks.index(index) + 1 in kept]
        self.inner = inner
        self.kept = tuple(kept)
        self.places = tuple(wanted)
        self.layers = _renumbered([inner.layers[index] for index in wanted])
        self.modules_map = {
            f"block_{place}": {part: f"inner.{path}" for part, path in inner.modules_map[f"block_{number}"].items()}
            for place, number in enumerate(kept, 1)
        }
        frozen(self)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per layer asked for; see `bench.core.Backbone`."""
        taps: list[Tap] = self.inner(images, [self.places[index] for index in layers], when=when, where=where)
        return taps


def _remove(inner: TappedNetwork, blocks: Sequence[int], number: int) -> None:
    """Replace the block of a number, counted from 1, by `Skip`."""
    path = inner.modules_map.get(f"block_{number}", {}).get("out", "")
    if not path:
        raise Incompatible(f"the network names no module that computes its block {number}; it cannot be shortened")
    before, layer = inner.layers[blocks[number - 1] - 1], inner.layers[blocks[number - 1]]
    if (before.channels, before.stride) != (layer.channels, layer.stride):
        raise Incompatible(
            f"block {number} takes {before.channels} channels at stride {before.stride} and gives {layer.channels} at "
            f"stride {layer.stride}; a block that changes either cannot be removed"
        )
    parent, _, name = path.rpartition(".")
    holder = inner.get_submodule(parent)
    if isinstance(holder, nn.ModuleList | nn.Sequential):
        holder[int(name)] = Skip()
    else:
        setattr(holder, name, Skip())


def _renumbered(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return layers with blocks numbered from 1 and depths relative to the number of blocks."""
    count = sum(layer.name.startswith("block_") for layer in layers)
    named, number = [], 0
    for layer in layers:
        number += layer.name.startswith("block_")
        name = f"block_{number}" if layer.name.startswith("block_") else layer.name
        named.append(replace(layer, name=name, depth=number / count))
    return tuple(named)


def reshape(backbone: TappedNetwork, structure: Structure) -> TappedNetwork:
    """Return a backbone brought to a structure, its changed parameters not initialised, frozen.

    Args:
        backbone: as the parent's loader builds it; changed in place.
        structure: what to change.

    Raises:
        Incompatible: a module or parameter named is not there, or cannot take the shape.
    """
    if structure.blocks:
        backbone = ShortenedBackbone(backbone, structure.blocks)
    for name, shape in structure.shapes.items():
        resize(backbone, name, shape)
    for path, attributes in structure.attributes.items():
        module = _module(backbone, path)
        for name, value in attributes.items():
            setattr(module, name, value)
    if structure.channels:
        backbone.layers = tuple(
            replace(layer, channels=channels)
            for layer, channels in zip(backbone.layers, structure.channels, strict=True)
        )
    return frozen(backbone)


def resize(backbone: nn.Module, name: str, shape: Sequence[int]) -> None:
    """Give a parameter or buffer another shape, and its module the sizes that go with it.

    Args:
        backbone: that holds it.
        name: path of the parameter or buffer, as in ``state_dict``.
        shape: its new shape.
    """
    path, _, leaf = name.rpartition(".")
    module = _module(backbone, path)
    if (parameter := module._parameters.get(leaf)) is not None:
        resized = nn.Parameter(parameter.new_empty(tuple(shape)), requires_grad=parameter.requires_grad)
        setattr(module, leaf, resized)
    elif (buffer := module._buffers.get(leaf)) is not None:
        module._buffers[leaf] = buffer.new_empty(tuple(shape))
    else:
        raise Incompatible(f"the network has no parameter {name} to resize")
    if leaf == "weight":
        set_sizes(module, shape)


def set_sizes(module: nn.Module, shape: Sequence[int]) -> None:
    """Write the sizes of a module that follow from the shape of its weight."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape
    elif isinstance(module, nn.Conv2d):
        depthwise = module.groups == module.in_channels and module.groups > 1
        module.out_channels = shape[0]
        module.groups = shape[0] if depthwise else module.groups
        module.in_channels = shape[1] * module.groups
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        module.num_features = shape[0]
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(shape)
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = shape[0]


def _module(backbone: nn.Module, path: str) -> nn.Module:
    try:
        return backbone.get_submodule(path)
    except AttributeError as error:
        raise Incompatible(f"the network has no module {path}: {error}") from None


def structure_of(backbone: TappedNetwork, parent: TappedNetwork, *, blocks: Sequence[int] = ()) -> Structure:
    """Return the structure that turns a parent backbone, shortened to `blocks`, into `backbone`.

    Args:
        backbone: the changed network.
        parent: as the parent's loader builds it, already shortened.
        blocks: numbers of the blocks kept, or none where all are.
    """
    old = {name: tuple(value.shape) for name, value in parent.state_dict().items()}
    new = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    if old.keys() != new.keys():
        raise Incompatible(f"the networks differ in more than shapes: {sorted(old.keys() ^ new.keys())[:5]}")
    attributes: dict[str, dict[str, int | float]] = {}
    before = dict(parent.named_modules())
    for path, module in backbone.named_modules():
        for name in ("num_heads", "head_dim", "attn_dim", "scale"):
            value, was = getattr(module, name, None), getattr(before[path], name, None)
            if isinstance(value, int | float) and value != was:
                attributes.setdefault(path, {})[name] = value
    channels = tuple(layer.channels for layer in backbone.layers)
    return Structure(
        blocks=tuple(blocks),
        shapes={name: shape for name, shape in new.items() if shape != old[name]},
        attributes=attributes,
        channels=channels if channels != tuple(layer.channels for layer in parent.layers) else (),
    )


def measured_channels(backbone: TappedNetwork, images: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the channels of every layer, from the taps of a forward pass."""
    with torch.inference_mode():
        taps = backbone(images, list(range(len(backbone.layers))))
    return tuple(int(tap.grid.shape[1]) for tap in taps)


def initialise(backbone: TappedNetwork, structure: Structure, seed: int) -> None:
    """Initialise in place the parameters that `reshape` left without values: by each module's rule, else N(0, 0.02).

    Args:
        backbone: as `reshape` returns it.
        structure: what was changed.
        seed: of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for path in dict.fromkeys(name.rpartition(".")[0] for name in structure.shapes):
            module: Any = _module(backbone, path)
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
                continue
            for name in (
                parameter.rpartition(".")[2] for parameter in structure.shapes if parameter.rpartition(".")[0] == path
            ):
                getattr(module, name).normal_(0, 0.02, generator=generator)
