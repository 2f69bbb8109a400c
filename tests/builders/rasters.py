"""Small GeoTIFFs for the tiny copies of published layouts."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin


def write_tif(path: Path, values: np.ndarray, *, crs: str | None = None, centre: tuple[float, float] = (0, 0)) -> None:
    """Write (bands, H, W) as a small GeoTIFF, its middle at `centre`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    step = 1e-4
    transform = from_origin(centre[0] - width / 2 * step, centre[1] + height / 2 * step, step, step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, compress="deflate",
            crs=crs, transform=transform if crs else None,
        ) as file:  # fmt: skip
            file.write(values)
