"""The residual networks of He et al. 2016 for CIFAR: three stages of 16, 32 and 64 channels, shortcuts of option A."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, ModelEntry
from bench.networks.backbones import built
from bench.networks.from_timm import without
from bench.networks.pyramid import PyramidBackbone

WIDTHS = (16, 32, 64)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut without parameters (option A, section 4.2 of arXiv 1512.03385).

    Where the width grows, the shortcut takes every second pixel and pads the new channels with zeros, half of them
    before and half of them after the old ones.

    Args:
        channels: of the input.
        width: channels of the output.
        stride: of the first convolution.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.padding = stride, (width - channels) // 2

    def forward(self, values: Tensor) -> Tensor:
        """Return the block's output (B, width, H / stride, W / stride)."""
        out = functional.relu(self.bn1(self.conv1(values)))
        out = self.bn2(self.conv2(out))
        shortcut = values[:, :, :: self.stride, :: self.stride]
        if self.padding:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(out + shortcut)


class CIFARResNet(nn.Module):
    """A CIFAR ResNet of ``6 n + 2`` layers without its classifier.

    Args:
        channels: number of input bands.
        blocks: n, blocks per stage.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.act1 = nn.ReLU()
        before = WIDTHS[0]
        for number, width in enumerate(WIDTHS, 1):
            first = BasicBlock(before, width, 1 if number == 1 else 2)
            stage = [first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1))]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            before = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)


def load_cifar_resnet(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, blocks: int
) -> PyramidBackbone:
    """Return a CIFAR ResNet: its stem (``embedding``) and every residual block; the classifier is dropped.

    Args:
        entry: the entry that the weights belong to.
        weights: file with the key names of akamaster/pytorch_resnet_cifar10, or None for random init.
        seed: of the random init.
        bands: the bands that the first convolution takes, in order.
        blocks: per stage.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    network = built(
        lambda: CIFARResNet(len(bands), blocks), weights, seed=seed, entry=entry.name, rename=without("linear.")
    )
    paths = [(f"layer{stage}.{block}",) for stage in (1, 2, 3) for block in range(blocks)]
    return PyramidBackbone(
        network,
        bands,
        steps=[("conv1", "bn1", "act1"), *paths],
        channels=[WIDTHS[0], *(width for width in WIDTHS for _ in range(blocks))],
        strides=[1, *(stride for stride in (1, 2, 4) for _ in range(blocks))],
    )
