"""Decoders of segmentation-models-pytorch, fed with a pyramid of four maps, with group norm for batch norm.

They expect an encoder's list of maps that starts with the image itself and a map of stride 2. The decoders read no more
of these than their sizes, so they are given empty tensors of the right height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from bench.decoders.parts.norms import with_group_norm


def blank(grid: Tensor, factor: int) -> Tensor:
    """Return a tensor without values whose height and width are `factor` times those of a map."""
    return grid.new_empty((0, 0, factor * grid.shape[-2], factor * grid.shape[-1]))


class UPerNet(nn.Module):
    """UPerNet's pyramid pooling, feature pyramid and fusion (arXiv 1807.10221).

    Args:
        channels: of the four maps, fine to coarse.
        width: of every convolution.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.network = with_group_norm(UPerNetDecoder([0, 0, *channels], encoder_depth=5, decoder_channels=width))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, width, h, w) at the size of the finest map."""
        found: Tensor = self.network([blank(maps[0], 4), blank(maps[0], 2), *maps])
        return found


class Segformer(nn.Module):
    """SegFormer's head of linear layers (arXiv 2105.15203).

    Args:
        channels: of the four maps, fine to coarse.
        width: of every linear layer.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        network = SegformerDecoder([0, 0, *channels], encoder_depth=5, segmentation_channels=width)
        self.network = with_group_norm(network)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, width, h, w) at the size of the finest map."""
        found: Tensor = self.network([blank(maps[0], 4), blank(maps[0], 2), *maps])
        return found


class UNet(nn.Module):
    """U-Net's expanding path (arXiv 1505.04597).

    Args:
        channels: of the four maps, fine to coarse.
        width: after the first step; halved at each that follows.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        widths = [width // 2**step for step in range(4)]
        self.network = with_group_norm(UnetDecoder([0, *channels], widths, n_blocks=4))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, width // 8, 2 h, 2 w), twice as fine as the finest map."""
        found: Tensor = self.network([blank(maps[0], 2), *maps])
        return found
