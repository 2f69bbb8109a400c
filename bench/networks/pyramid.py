"""Networks whose grid shrinks with depth (convolutional networks and Swin transformers) as backbones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from bench.core import Band, Images, Layer, ModulesMap, Tap
from bench.networks.backbones import frozen, stack_sensors, tap_along
from bench.networks.blocks import TIMM_BLOCK, TORCHVISION_SWIN_BLOCK, map_modules

SWIN_PATCH = 4  # pixels along each side of a patch, in every published Swin


class PyramidBackbone(nn.Module):
    """A network whose grid shrinks with depth, with taps at its embedding and each block.

    Args:
        network: the modules of its steps are reached by path.
        bands: the bands given at load.
        steps: paths of the modules that lead from one layer to the next, in order: first to the ``embedding``, then to
            ``block_1`` and so on.
        channels: number of channels of each layer.
        strides: input pixels per cell of each layer.
        norm: path of a norm after the last block, which becomes the layer ``norm``.
        channels_last: whether the network's maps are (B, h, w, D); taps are (B, D, h, w) in either case.
        modules_map: see `bench.core.ModulesMap`; empty for a convolutional network, whose blocks have no such
            sub-modules.

    Attributes:
        layers: see `bench.core.Layer`.
    """

    def __init__(
        self,
        network: nn.Module,
        bands: Sequence[Band],
        *,
        steps: Sequence[Sequence[str]],
        channels: Sequence[int],
        strides: Sequence[int],
        norm: str = "",
        channels_last: bool = False,
        modules_map: ModulesMap | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.channels_last = channels_last
        self.steps = [*(tuple(step) for step in steps), *([(norm,)] if norm else [])]
        blocks = len(steps) - 1
        names = ["embedding", *(f"block_{index}" for index in range(1, blocks + 1))]
        layers = [
            Layer(name=name, channels=width, stride=stride, depth=index / blocks)
            for index, (name, width, stride) in enumerate(zip(names, channels, strides, strict=True))
        ]
        if norm:
            layers.append(Layer(name="norm", channels=channels[-1], stride=strides[-1], depth=1.0))
        self.layers = tuple(layers)
        self.modules_map: ModulesMap = modules_map or {}
        frozen(self)

    def states(self, values: Tensor) -> Iterator[Tensor]:
        """Yield the feature maps at each layer in turn, in the network's own layout."""
        for names in self.steps:
            for name in names:
                values = self.network.get_submodule(name)(values)
            yield values

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer, its vector the mean over the grid. Dates and coordinates are not used.

        See `bench.core.Backbone`.
        """

        def tap(index: int, values: Tensor) -> Tap:
            grid = values.permute(0, 3, 1, 2) if self.channels_last else values
            return Tap(grid, grid.mean((-2, -1)))

        return tap_along(self.states(stack_sensors(images, self.bands)), layers, self.layers, tap)


def timm_swin(network: Any, bands: Sequence[Band]) -> PyramidBackbone:
    """Return timm's ``SwinTransformer`` as a backbone: its patches, every block and the final norm.

    Args:
        network: timm merges patches at the start of a stage.
        bands: the bands given at load.
    """
    stages = [
        (f"layers.{stage}.downsample", [f"layers.{stage}.blocks.{block}" for block in range(len(part.blocks))])
        for stage, part in enumerate(network.layers)
    ]
    return _swin(network, bands, "patch_embed", stages, width=int(network.embed_dim), submodules=TIMM_BLOCK)


def torchvision_swin(network: Any, bands: Sequence[Band]) -> PyramidBackbone:
    """Return torchvision's ``SwinTransformer`` as a backbone: its patches, every block and the final norm.

    Args:
        network: its ``features`` alternate between patch merging and stages.
        bands: the bands given at load.
    """
    stages = [
        (f"features.{index - 1}", [f"features.{index}.{block}" for block in range(len(network.features[index]))])
        for index in range(1, len(network.features), 2)
    ]
    width = int(network.features[0][0].out_channels)
    return _swin(network, bands, "features.0", stages, width=width, submodules=TORCHVISION_SWIN_BLOCK)


def _swin(
    network: nn.Module,
    bands: Sequence[Band],
    embedding: str,
    stages: Sequence[tuple[str, Sequence[str]]],
    *,
    width: int,
    submodules: Mapping[str, str],
) -> PyramidBackbone:
    """Return a Swin transformer as a backbone.

    Args:
        network: its maps are (B, h, w, D).
        bands: the bands given at load.
        embedding: path of the patch embedding.
        stages: of each stage, the path of the patch merging before it (not used for the first) and of its blocks.
        width: channels of the first stage; each next stage has twice as many, at twice the stride.
        submodules: see `bench.networks.blocks.map_modules`.
    """
    steps: list[tuple[str, ...]] = [(embedding,)]
    stage_of_layer = [0]
    for stage, (merging, blocks) in enumerate(stages):
        for place, block in enumerate(blocks):
            steps.append((merging, block) if stage and place == 0 else (block,))
            stage_of_layer.append(stage)
    return PyramidBackbone(
        network,
        bands,
        steps=steps,
        channels=[width * 2**stage for stage in stage_of_layer],
        strides=[SWIN_PATCH * 2**stage for stage in stage_of_layer],
        norm="norm",
        channels_last=True,
        modules_map=map_modules([f"network.{step[-1]}" for step in steps[1:]], submodules),
    )
