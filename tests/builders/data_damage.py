"""Ways in which files of a dataset are damaged or made hostile, each as a change of one file."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import rasterio

HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not found</body></html>\n"
LAUGHS = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;">]><a>&d;</a>'
# Damages that no reader can miss, and those after which the content may still be a valid one.
CERTAIN = ("absent", "empty", "html", "noise", "folder", "link")
POSSIBLE = ("half", "tail", "zeros", *(f"flipped at {share} %" for share in range(2, 100, 12)))


def as_raster(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[bytes], bytes]:
    """Return a change of a GeoTIFF or PNG that rewrites its pixels, keeping the rest."""

    def apply(content: bytes) -> bytes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with rasterio.MemoryFile(content) as memory, memory.open() as file:
                values, profile = change(file.read()), file.profile
            count, height, width = values.shape
            profile |= {"count": count, "height": height, "width": width, "dtype": values.dtype, "nodata": None}
            profile.pop("photometric", None)
            with rasterio.MemoryFile() as memory:
                with memory.open(**profile) as file:
                    file.write(values)
                return memory.read()

    return apply


def as_array(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[bytes], bytes]:
    """Return a change of a ``.npy`` file."""

    def apply(content: bytes) -> bytes:
        sink = io.BytesIO()
        np.save(sink, change(np.load(io.BytesIO(content))), allow_pickle=True)
        return sink.getvalue()

    return apply


def as_hdf5(change: Callable[[h5py.File], None]) -> Callable[[bytes], bytes]:
    """Return a change of an HDF5 file."""

    def apply(content: bytes) -> bytes:
        sink = io.BytesIO(content)
        with h5py.File(sink, "r+") as file:
            change(file)
        return sink.getvalue()

    return apply


def arrays_of(file: h5py.File) -> list[str]:
    """Return the names of all arrays of two axes or more in a file."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) and item.ndim > 1 else None)
    return names


def cut_arrays(file: h5py.File) -> None:
    for name in arrays_of(file):
        values = file[name][:]
        del file[name]
        file[name] = values[..., :-1]


def drop_arrays(file: h5py.File) -> None:
    for name in arrays_of(file):
        del file[name]


def link_arrays(file: h5py.File) -> None:
    for name in arrays_of(file):
        del file[name]
        file[name] = h5py.ExternalLink("/etc/hostname", "/x")


def deep_json(content: bytes) -> bytes:
    return b'{"a":' * 100_000


def other_json(content: bytes) -> bytes:
    return json.dumps(7).encode()


RASTER = {
    "band less": as_raster(lambda values: values[:-1] if len(values) > 1 else np.repeat(values, 2, axis=0)),
    "row less": as_raster(lambda values: values[:, :-1]),
    "complex": as_raster(lambda values: values.astype(np.complex64)),
}
# Ending -> damage -> change of the content after which every reader must refuse the file.
BY_KIND: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    ".tif": RASTER,
    ".npy": {
        "row less": as_array(lambda values: values[:-1]),
        "objects": as_array(lambda values: np.array([{"a": 1}] * len(values), dtype=object)),
    },
    ".h5": {"row less": as_hdf5(cut_arrays), "no array": as_hdf5(drop_arrays), "link": as_hdf5(link_arrays)},
    ".json": {"deep": deep_json, "other": other_json},
    ".geojson": {"deep": deep_json, "other": other_json},
    ".xml": {"entities": lambda content: LAUGHS},
    ".csv": {"long": lambda content: content + b"\n" + b"x" * 1_000_000 + b"\n"},
    ".txt": {"long": lambda content: content + b"x" * 1_000_000 + b"\n"},
}
BY_KIND |= {".hdf5": BY_KIND[".h5"], ".nc": BY_KIND[".h5"]}
# Of lists: changes that must be sentences where they are refused, which depends on the list.
LISTS: dict[str, Callable[[bytes], bytes]] = {
    "twice": lambda content: content + content.splitlines(keepends=True)[-1],
    "windows": lambda content: content.replace(b"/", b"\\").replace(b"\n", b"\r\n"),
    "absolute": lambda content: content.splitlines(keepends=True)[0] + b"/" + b"/".join(content.splitlines(True)[1:]),
    "upper": lambda content: content.upper(),
    "header only": lambda content: content.splitlines(keepends=True)[0],
    "nothing": lambda content: b"\n\n",
    "ragged": lambda content: content + b"a,b,c,d,e,f,g,h,i,j\n",
    "control characters": lambda content: content + b"a\0b\x0b\x1c\n",
}


@contextmanager
def damaged(path: Path, how: str, outside: Path, change: Callable[[bytes], bytes] | None = None) -> Iterator[None]:
    """Damage a file for the length of a block, then put it back.

    Args:
        path: the file.
        how: one of `CERTAIN` or `POSSIBLE`, or a word for `change`.
        outside: a folder outside of the data.
        change: content -> damaged content, for damages that depend on the kind of file.
    """
    content = path.read_bytes()
    size = len(content)
    path.unlink()
    try:
        if change is not None:
            path.write_bytes(change(content))
        elif how == "folder":
            path.mkdir()
        elif how == "link":
            (outside / "elsewhere").write_bytes(content)
            path.symlink_to(outside / "elsewhere")
        elif how != "absent":
            noise = np.random.default_rng(0).integers(128, 256, min(size, 256), np.uint8).tobytes()
            flipped = bytearray(content)
            if how.startswith("flipped"):
                flipped[size * int(how.split()[2]) // 100] ^= 0xFF
            path.write_bytes({
                "empty": b"", "html": HTML, "noise": noise + content[256:], "half": content[: size // 2],
                "tail": content[:-3], "zeros": content[: size // 3] + bytes(size // 3) + content[size // 3 * 2 :],
            }.get(how, bytes(flipped)))  # fmt: skip
        yield
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(content)
