"""No-data values that a file declares: which pixels they make missing, and which codes of a mask they make ignored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import MissingData

if TYPE_CHECKING:
    import numpy as np

ATTRIBUTES = ("_FillValue", "missing_value")
"""Attributes of netCDF and HDF5 variables that declare a no-data value; ``missing_value`` may hold several."""


def equals_declared(values: np.ndarray, declared: float) -> np.ndarray:
    """Return where an array holds a declared no-data value, bool of the same shape.

    Floating-point arrays are compared in their own precision, as GDAL does: ``-3.4e38`` is no float32, but a float32
    file that declares it holds the nearest one. NaN matches NaN.

    Example:
        >>> import numpy as np
        >>> equals_declared(np.array([1.0, -3.4e38], np.float32), -3.4e38).tolist()
        [False, True]
        >>> equals_declared(np.array([0, 65535], np.uint16), -9999.0).tolist()
        [False, False]
    """
    import numpy as np

    if np.isnan(declared):
        return np.asarray(np.isnan(values))
    with np.errstate(over="ignore"):
        wanted = values.dtype.type(declared) if values.dtype.kind == "f" else np.float64(declared)
    return np.asarray(values == wanted)


def missing_pixels(values: np.ndarray, declared: Sequence[float | None], jointly: Collection[float] = ()) -> np.ndarray:
    """Return where an image has no data by the no-data values that its file declares, bool (bands, H, W).

    A band is missing where it holds the value declared for it, and where it is NaN if that is declared. Rasters of
    eight bits with several bands are pictures, whose every value is a tone: 0 is black and 255 white, and one band of a
    coloured pixel often holds it. There a pixel is missing only where every band holds the value declared for it.

    Args:
        values: (bands, H, W) as stored.
        declared: one value per band, None for a band without.
        jointly: values that are measurements too, as 0 is in one band of a dark pixel of Sentinel-2. A pixel is missing
            only where every band holds them as its declared value.

    Example:
        >>> import numpy as np
        >>> values = np.array([[[0, 0, 7]], [[0, 5, -9]]], np.int16)
        >>> missing_pixels(values, [0, -9]).astype(int).tolist()
        [[[1, 1, 0]], [[0, 0, 1]]]
        >>> missing_pixels(values, [0, 0], jointly=(0,)).astype(int).tolist()
        [[[1, 0, 0]], [[1, 0, 0]]]
    """
    import numpy as np

    missing = np.zeros(values.shape, bool)
    for band, value in enumerate(declared):
        if value is not None:
            missing[band] = equals_declared(values[band], value)
    picture = values.dtype == np.uint8 and len(values) > 1
    joint = [band for band, value in enumerate(declared) if picture or value in jointly]
    missing[joint] = missing[joint] & missing.all(axis=0)
    return missing


def attribute_values(attributes: Mapping[str, object]) -> list[float]:
    """Return the numbers that the attributes of a netCDF or HDF5 variable declare as no data; empty if none.

    Example:
        >>> attribute_values({"_FillValue": -9999.0, "missing_value": [-1, -2], "units": "m"})
        [-9999.0, -1.0, -2.0]
    """
    import numpy as np

    stated = [np.ravel(np.asarray(attributes[name])) for name in ATTRIBUTES if name in attributes]
    return [float(value) for values in stated if values.dtype.kind in "iuf" for value in values]


def declared_pixels(values: np.ndarray, attributes: Mapping[str, object]) -> np.ndarray:
    """Return where an array holds a value that its attributes declare as no data, bool of the same shape.

    Args:
        values: as stored.
        attributes: of the netCDF or HDF5 variable; see `ATTRIBUTES`.

    Raises:
        TypeError: if the values are not numbers.
    """
    import numpy as np

    missing = np.zeros(values.shape, bool)
    for value in attribute_values(attributes):
        missing |= equals_declared(values, value)
    return missing


def without_declared(values: np.ndarray, attributes: Mapping[str, object]) -> np.ndarray:
    """Return an array as float32, NaN where it holds a value that its attributes declare as no data.

    Args:
        values: as stored.
        attributes: of the variable; see `ATTRIBUTES`.

    Example:
        >>> import numpy as np
        >>> without_declared(np.array([3, -9999], np.int16), {"_FillValue": np.int16(-9999)}).tolist()
        [3.0, nan]
    """
    import numpy as np

    numbers: np.ndarray = values.astype(np.float32)
    numbers[declared_pixels(values, attributes)] = np.nan
    return numbers


def mask_codes(
    mask: np.ndarray,
    codes: Collection[int],
    declared: float | None,
    label: Path | str,
    ignore: int | None = -1,
) -> np.ndarray:
    """Return a mask as int64 of its known codes, `ignore` where it holds the no-data value that its file declares.

    A declared value that is itself one of the codes stays this code: tools that write masks often declare 0, which is
    the background, and the dataset's own list of codes decides.

    Args:
        mask: (H, W) as stored.
        codes: that the dataset documents.
        declared: no-data value of the file; None if it declares none.
        label: name of the file, for messages.
        ignore: code of pixels without label; None refuses a declared value that is not one of the codes.

    Raises:
        MissingData: if the mask holds another code; names the codes it holds, and the declared no-data value.

    Example:
        >>> import numpy as np
        >>> mask_codes(np.array([[0, 1, 255]], np.uint8), (0, 1), 255.0, "mask.tif").tolist()
        [[0, 1, -1]]
        >>> mask_codes(np.array([[0, 1, 1]], np.uint8), (0, 1), 0.0, "mask.tif").tolist()
        [[0, 1, 1]]
    """
    import numpy as np

    blank = np.zeros(mask.shape, bool)
    if declared is not None and declared not in codes and ignore is not None:
        blank = equals_declared(mask, declared)
    present = np.unique(mask[~blank])
    if not np.isin(present, list(codes)).all():
        remark = "" if declared is None else f" (declared as no data: {declared:g})"
        raise MissingData(
            f"{label} holds the codes {present[:20].tolist()}{remark}; a label is one of {sorted(codes)}: replace it"
        )
    classes: np.ndarray = np.where(blank, 0, mask).astype(np.int64)  # before -1 is written: masks are often unsigned
    classes[blank] = -1 if ignore is None else ignore
    return classes
