"""NumPy and Zarr files; pickled objects are never read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import MissingData
from suites.reading.declared import attribute_values, without_declared
from suites.reading.files import MOST_BYTES, format_of, reading
from suites.reading.shapes import check_shape, check_type

if TYPE_CHECKING:
    import numpy as np

# Codecs of Zarr that compress or rearrange numbers. Others, pickle among them, are refused.
CODECS = {
    *("blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma", "shuffle", "delta", "fixedscaleoffset", "quantize"),
    *("bitround", "packbits", "crc32", "crc32c", "adler32", "fletcher32", "astype", "bytes", "transpose"),
    "sharding_indexed",
}


def read_array(path: Path, shape: tuple[int, ...] | None = None, stored: str = "") -> np.ndarray:
    """Return the array of a ``.npy`` file, without unpickling anything.

    Args:
        path: the file.
        shape: the shape it must have; None accepts any, -1 in it any length of that axis.
        stored: NumPy type of the published array; see `suites.reading.shapes.check_type`. Empty accepts any, text too.

    Raises:
        MissingData: with the name of the file if it is absent, no array, pickled, damaged, cut short, of another shape
            or type, or if a link leads out of the data folder.
    """
    import numpy as np

    format_of(path, "NumPy array")
    with reading(path):
        # Mapped first: a header that claims more than the file holds is then an error before any memory is taken.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        check_shape(path, mapped.shape, shape)
        if stored:
            check_type(path, mapped.dtype, stored)
        return np.array(mapped)


def read_arrays(path: Path, shapes: Mapping[str, tuple[int, ...] | None]) -> dict[str, np.ndarray]:
    """Return arrays of a ``.npz`` file by name, without unpickling anything.

    Args:
        path: the file.
        shapes: name of each wanted array -> the shape it must have; see `read_array`. Types are not checked.

    Raises:
        MissingData: see `read_array`; also if an array is absent.
    """
    import numpy as np

    format_of(path, "zip archive")
    expected = f"the arrays {' and '.join(shapes)}"
    with reading(path, expected), zipfile.ZipFile(path) as archive:
        sizes = [archive.getinfo(f"{name}.npy").file_size for name in shapes]
    if sum(sizes) > MOST_BYTES:
        raise MissingData(f"cannot read {path}: its arrays claim {sum(sizes):,} bytes, too many to be read; replace it")
    with reading(path, expected), np.load(path, allow_pickle=False) as file:
        arrays = {name: np.asarray(file[name]) for name in shapes}
    for name, shape in shapes.items():
        check_shape(f"{path}: {name}", arrays[name].shape, shape)
    return arrays


def read_zarr(path: Path, name: str, shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Return an array of a zipped Zarr group, whose codecs are known to run no code.

    The array is float32 with NaN for no data if its attributes declare a no-data value, as those of xarray do with
    ``_FillValue``; otherwise it is as stored. Zarr's own fill value stands for chunks that were never written, and
    declares nothing.

    Args:
        path: the ``.zarr.zip`` file.
        name: the array's name in the group.
        shapes: the shapes that it may have.

    Raises:
        MissingData: with the name of the file if it is absent, damaged or cut short, lacks the array, or has another
            shape, objects in place of numbers, or an unknown codec; or if a link leads out of the data folder.
    """
    import numpy as np
    import zarr  # type: ignore[import-not-found,unused-ignore]

    format_of(path, "zip archive")
    expected = f"a Zarr group with the array {name!r}"
    with reading(path, expected), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.rpartition("/")[2] in (".zarray", "zarr.json", ".zmetadata"):
                _check_codecs(path, json.loads(archive.read(member)))
    with reading(path, expected), zarr.storage.ZipStore(path, mode="r") as store:
        group: Any = zarr.open_group(store, mode="r")
        array = group[name]
        if array.shape not in shapes:
            check_shape(path, array.shape, shapes[0])
        check_type(path, array.dtype, "")
        values, attributes = np.asarray(array[...]), dict(array.attrs)
        return without_declared(values, attributes) if attribute_values(attributes) else values


def _check_codecs(path: Path, content: object) -> None:
    """Check every codec that the metadata of a Zarr array name, at any depth."""
    if isinstance(content, list):
        for part in content:
            _check_codecs(path, part)
    if not isinstance(content, dict):
        return
    for key in ("compressor", "filters", "codecs", "index_codecs"):
        codecs = content.get(key) or []
        for codec in codecs if isinstance(codecs, list) else [codecs]:
            name = str(codec.get("id", codec.get("name"))) if isinstance(codec, dict) else str(codec)
            if name.removeprefix("numcodecs.") not in CODECS:
                raise MissingData(f"cannot read {path}: its codec {name!r} is not one that is read; replace the file")
    for part in content.values():
        _check_codecs(path, part)
