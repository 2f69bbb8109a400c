"""MobileNetV2 of torchvision as a backbone, with the padding of TensorFlow where weights were trained with that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torchvision.models import mobilenet_v2

from bench.core import Band, ModelEntry
from bench.networks.backbones import built
from bench.networks.pyramid import PyramidBackbone


def load_mobilenet_v2(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, same_padding: bool
) -> PyramidBackbone:
    """Return a MobileNetV2 1.0: its stem (``embedding``), the 17 inverted residual blocks and the last convolution.

    Args:
        entry: the entry that the weights belong to.
        weights: file with the key names of torchvision, or None for random init.
        seed: of the random init.
        bands: red, green and blue.
        same_padding: pad as TensorFlow does, which for an even side adds one pixel on the right and bottom alone.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """

    def build() -> nn.Module:
        network: Any = mobilenet_v2()
        del network.classifier
        if same_padding:
            _pad_as_tensorflow(network.features)
        if weights is None:
            _keep_variance(network.features)
        return network  # type: ignore[no-any-return]

    network: Any = built(build, weights, seed=seed, entry=entry.name)
    channels, strides, stride = list[int](), list[int](), 1
    for part in network.features:
        convolutions = [module for module in part.modules() if isinstance(module, nn.Conv2d)]
        stride *= 2 ** sum(module.stride[0] == 2 for module in convolutions)
        channels.append(convolutions[-1].out_channels)
        strides.append(stride)
    steps = [(f"features.{index}",) for index in range(len(network.features))]
    return PyramidBackbone(network, bands, steps=steps, channels=channels, strides=strides)


def _keep_variance(network: nn.Module) -> None:
    """Draw the convolutions such that signals neither vanish nor grow with depth (He et al., 2015), in place.

    The init of torchvision relies on the statistics of batch norms, which a network at random init does not have:
    after 17 blocks its values are of the order of 1e-9, which half precision cannot hold.
    """
    for module in network.modules():
        children = list(module.children())
        for place, child in enumerate(children):
            if isinstance(child, nn.Conv2d):
                activated = any(isinstance(after, nn.ReLU6) for after in children[place:])
                nn.init.kaiming_normal_(child.weight, nonlinearity="relu" if activated else "linear")


def _pad_as_tensorflow(network: nn.Module) -> None:
    """Replace the convolutions of stride 2 by ones with TensorFlow's padding, in place; names stay as they are."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and child.stride[0] == 2:
                padded = Conv2dSame(
                    child.in_channels, child.out_channels, child.kernel_size, 2, groups=child.groups, bias=False
                )
                padded.weight = child.weight
                setattr(module, name, padded)
