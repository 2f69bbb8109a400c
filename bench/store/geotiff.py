"""Predicted masks and values as GeoTIFFs that lie where their source image lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.core.errors import MissingData


def geotiff(values: np.ndarray, source: Path, *, nodata: float | None = None) -> bytes:
    """Return a GeoTIFF of (H, W) values with the CRS and transform of a source raster of that size.

    Args:
        values: classes, or values in the task's unit.
        source: the raster the image was read from.
        nodata: what stands for no value.

    Raises:
        MissingData: the source cannot be read, has another size, or lies nowhere.
    """
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile

    try:
        with rasterio.open(source) as file:
            crs, transform, size = file.crs, file.transform, (file.height, file.width)
    except (RasterioError, OSError) as error:
        raise MissingData(f"cannot read {source}: {error}; predictions cannot be placed") from error
    if size != values.shape:
        raise MissingData(f"{source} has {size[0]} x {size[1]} pixels, the prediction {values.shape}; it has no place")
    if crs is None:
        raise MissingData(f"{source} states no CRS; predictions on it cannot be placed")
    kind = np.float32 if values.dtype.kind == "f" else np.int16 if values.min() < 0 or values.max() > 255 else np.uint8
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=size[0], width=size[1], count=1, dtype=kind, crs=crs, transform=transform,
            nodata=nodata, compress="deflate",
        ) as file:  # fmt: skip
            file.write(values.astype(kind), 1)
        content: bytes = memory.read()
    return content
