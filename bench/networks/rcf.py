"""Random convolutional features as a backbone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core import Band, Images, Layer, ModulesMap, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import tap_along

CHUNK = 2**23  # filter responses held in memory at a time: 32 MB in float32


class RandomFeatures(nn.Module):
    """Responses of random filters, rectified with both signs and averaged over cells; nothing is learned.

    Args:
        bands: the bands given at load.
        features: number of channels, two per filter.
        kernel: side of a filter in pixels; filters are 1 x 1 where an image is a single pixel.
        bias: added to each response before it is rectified.
        cell: side of a grid cell in pixels; an image of a single pixel is one cell.
        seed: of the filters.

    Attributes:
        layers: one layer, ``embedding``.
        modules_map: empty, because there are no blocks.
    """

    def __init__(self, bands: Sequence[Band], *, features: int, kernel: int, bias: float, cell: int, seed: int) -> None:
        super().__init__()
        self.sensors = Counter(band.sensor for band in bands)
        self.features, self.kernel, self.bias, self.cell, self.seed = features, kernel, bias, cell, seed
        self.layers: tuple[Layer, ...] = (Layer(name="embedding", channels=features, stride=cell, depth=0.0),)
        self.modules_map: ModulesMap = {}

    def filters(self, channels: int, kernel: int) -> Tensor:
        """Return standard Gaussian filters (features / 2, channels, kernel, kernel), which depend on the seed alone."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(self.features // 2, channels, kernel, kernel, generator=generator)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return the only `Tap` per requested layer; see `bench.core.Backbone`. Dates enter as further channels."""
        parts = []
        for sensor, count in self.sensors.items():
            if images[sensor].shape[2] != count:
                raise Incompatible(f"{sensor}: {images[sensor].shape[2]} bands; the backbone was loaded for {count}")
            parts.append(images[sensor].flatten(1, 2))
        grid = self._grid(torch.cat(parts, 1))
        return tap_along(iter([grid]), layers, self.layers, lambda _, grid: Tap(grid, grid.mean((-2, -1))))

    def _grid(self, pixels: Tensor) -> Tensor:
        """Return the pooled features (B, D, h, w) of pixels (B, channels, H, W)."""
        height, width = pixels.shape[-2:]
        kernel, cell = (1, 1) if height == width == 1 else (self.kernel, self.cell)
        if height % cell or width % cell:
            raise Incompatible(f"images of {height} x {width} pixels; random features take multiples of {cell}")
        weight = self.filters(pixels.shape[1], kernel).to(pixels).contiguous(memory_format=torch.channels_last)
        bias = torch.full((len(weight),), self.bias).to(pixels)
        grids = []
        # A few images at a time: the responses are many times larger than the images.
        for part in torch.split(pixels, max(1, CHUNK // (len(weight) * height * width))):
            part = part.contiguous(memory_format=torch.channels_last)
            response = functional.conv2d(part, weight, bias, padding="same")
            linear = functional.avg_pool2d(response, cell)
            positive = functional.avg_pool2d(response.relu_(), cell)
            # relu(-x) = relu(x) - x and the mean is linear, so that no second pass over the responses is needed.
            grids.append(torch.cat([positive, positive - linear], 1).contiguous())
        return torch.cat(grids)
