"""Decoders of segmentation-models-pytorch for a pyramid of four maps, with group norm instead of batch norm.

They expect the list of maps of an encoder, which starts with the image itself and a map of stride 2. Of these two the
decoders read only the size, so they are given empty tensors of the right height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from bench.decoders.parts.norms import with_group_norm


class SMPDecoder(nn.Module):
    """A decoder of segmentation-models-pytorch as the body of a dense decoder.

    Args:
        network: takes the maps of an encoder.
        above: for each map that the network expects before the given ones, its size relative to the finest given map.
    """

    def __init__(self, network: nn.Module, above: Sequence[int]) -> None:
        super().__init__()
        self.network = with_group_norm(network)
        self.above = tuple(above)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the decoded map (B, width, h, w) of four maps, fine to coarse."""
        decoded: Tensor = self.network([*(without_values(maps[0], factor) for factor in self.above), *maps])
        return decoded


def without_values(grid: Tensor, factor: int) -> Tensor:
    """Return an empty tensor whose height and width are `factor` times those of a map."""
    return grid.new_empty((0, 0, factor * grid.shape[-2], factor * grid.shape[-1]))


def upernet(channels: Sequence[int], width: int) -> SMPDecoder:
    """Return UPerNet's pyramid pooling, feature pyramid and fusion (arXiv 1807.10221), at the size of the finest map.

    Args:
        channels: number of channels of the four maps, fine to coarse.
        width: number of channels of every convolution and of the result.
    """
    return SMPDecoder(UPerNetDecoder([0, 0, *channels], encoder_depth=5, decoder_channels=width), above=(4, 2))


def segformer(channels: Sequence[int], width: int) -> SMPDecoder:
    """Return SegFormer's head of linear layers (arXiv 2105.15203), at the size of the finest map.

    Args:
        channels: number of channels of the four maps, fine to coarse.
        width: number of channels of every linear layer and of the result.
    """
    return SMPDecoder(SegformerDecoder([0, 0, *channels], encoder_depth=5, segmentation_channels=width), above=(4, 2))


def unet(channels: Sequence[int], width: int) -> SMPDecoder:
    """Return the expanding path of U-Net (arXiv 1505.04597), twice as fine as the finest map.

    Args:
        channels: number of channels of the four maps, fine to coarse.
        width: number of channels after the first step; halved at each that follows, to ``width // 8`` in the result.
    """
    widths = [width // 2**step for step in range(4)]
    return SMPDecoder(UnetDecoder([0, *channels], widths, n_blocks=4), above=(2,))
