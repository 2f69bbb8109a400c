"""HDF5 files, and the netCDF-4 files made of it; nothing outside of the file is read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import MissingData
from suites.reading.declared import without_declared
from suites.reading.files import MOST_BYTES, checked_file, format_of_bytes, reading
from suites.reading.shapes import check_shape, check_type

if TYPE_CHECKING:
    import h5py
    import numpy as np


class ClosedGroup(Mapping[str, Any]):
    """A read-only view of an HDF5 group that opens nothing but what is stored in the group's own file.

    It maps names, also paths of names, to ``h5py.Dataset`` or to further closed groups, as an ``h5py.Group`` does.

    Args:
        group: the ``h5py.Group``.
        label: name of the file, for messages.
    """

    def __init__(self, group: h5py.Group, label: str) -> None:
        self._group, self._label = group, label

    @property
    def attrs(self) -> Any:
        """Attributes of the group, by name."""
        return self._group.attrs

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __len__(self) -> int:
        return len(self._group)

    def __contains__(self, name: object) -> bool:
        """Return whether the group itself has a link of that name; what it leads to is not opened."""
        return isinstance(name, str) and bool(self._group.id.links.exists(name.encode()))

    def __getitem__(self, name: str) -> Any:
        """Return a dataset or group by its name or path.

        Raises:
            KeyError: if there is none of that name.
            MissingData: if the path passes through a soft or external link, if the dataset is virtual or its values are
                stored in other files, or if `name` is a reference and not a name.
        """
        import h5py  # type: ignore[import-untyped,unused-ignore]

        if not isinstance(name, str):
            raise MissingData(f"cannot read {self._label}: it refers to an object without a name; replace the file")
        member = h5py.Group(h5py.h5g.open(self._group.id, b"/")) if name.startswith("/") else self._group
        for part in name.split("/"):
            if part in ("", "."):
                continue
            if not isinstance(member, h5py.Group) or not member.id.links.exists(part.encode()):
                raise KeyError(f"there is no {name!r} in {', '.join(self._group)}")
            kind = member.id.links.get_info(part.encode()).type
            if kind != h5py.h5l.TYPE_HARD:
                raise MissingData(
                    f"cannot read {self._label}: {name!r} is a link to another name or file, and links are not "
                    "followed; replace it by the published file"
                )
            member = member[part]
        if isinstance(member, h5py.Dataset) and (member.is_virtual or member.external):
            raise MissingData(
                f"cannot read {self._label}: {name!r} takes its values from other files; replace it by the published "
                "file"
            )
        return ClosedGroup(member, self._label) if isinstance(member, h5py.Group) else member


@contextmanager
def open_hdf5(source: Path | bytes, label: str = "") -> Iterator[ClosedGroup]:
    """Open an HDF5 file; errors inside the block are reported with its name.

    Args:
        source: the file (see `suites.reading.files.checked_file`), or the bytes of one.
        label: name for messages; the path if empty.

    Yields:
        Its root as a `ClosedGroup`, which refuses soft and external links, external storage and virtual datasets: their
        values may lie in other files.

    Raises:
        MissingData: if the file may not be read, is damaged or cut short, lacks an array that is asked for, or refers
            to another file.
    """
    import h5py  # type: ignore[import-untyped,unused-ignore]

    named = label or str(source)
    with reading(named):
        if isinstance(source, Path):
            with checked_file(source).open("rb") as file:
                start = file.read(32)
            if not h5py.is_hdf5(source):
                format_of_bytes(start, named, "HDF5")
        else:
            format_of_bytes(source[:32], named, "HDF5")
        _register_filters()
        with h5py.File(source if isinstance(source, Path) else io.BytesIO(source), "r") as opened:
            yield ClosedGroup(opened, named)


def _register_filters() -> None:
    """Register the compression filters of the package hdf5plugin, BZip2 among them, where it is installed."""
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("hdf5plugin"):
        import_module("hdf5plugin")


def read_dataset(
    group: ClosedGroup, name: str, shape: tuple[int, ...] | None = None, stored: str = "", *, label: Path | str
) -> np.ndarray:
    """Return an array of an open HDF5 file, once its shape and type are known to be those of the publisher.

    Args:
        group: of `open_hdf5`.
        name: the array's name in it.
        shape: the shape it must have; None accepts any, -1 in it any length of that axis.
        stored: NumPy type of the published array; see `suites.reading.shapes.check_type`.
        label: name of the file, for messages.

    Raises:
        MissingData: if the array is absent, damaged, of another shape or type, or refers to another file.
    """
    import numpy as np

    with reading(label):
        dataset = group[name]
        if not hasattr(dataset, "shape"):
            raise MissingData(f"{label}: {name!r} is a group, expected an array; replace the file")
        check_shape(f"{label}: {name}", dataset.shape, shape)
        check_type(f"{label}: {name}", dataset.dtype, stored)
        if dataset.size * dataset.dtype.itemsize > MOST_BYTES:
            raise MissingData(f"{label}: {name!r} claims {dataset.shape} values, too many to be read; replace the file")
        return np.asarray(dataset[()])


def read_variable(
    group: ClosedGroup, name: str, shape: tuple[int, ...] | None = None, stored: str = "", *, label: Path | str
) -> np.ndarray:
    """Return an array of an open HDF5 file as float32, NaN where its attributes declare no data.

    The attributes are ``_FillValue`` and ``missing_value``, as in netCDF; see `read_dataset` for the arguments.

    Raises:
        MissingData: see `read_dataset`.
    """
    values = read_dataset(group, name, shape, stored, label=label)
    with reading(label):
        return without_declared(values, dict(group[name].attrs))


def read_netcdf(path: Path, variable: str) -> tuple[np.ndarray, dict[str, str], tuple[str, np.ndarray]]:
    """Return a variable of a netCDF-4 file: its values as stored, its attributes, and its time axis.

    The no-data value that the attributes ``_FillValue`` and ``missing_value`` declare stays as it is; `read_variable`
    returns NaN for it.

    Args:
        path: the file.
        variable: its name.

    Returns:
        The values (T, H, W) or (H, W), the text attributes by name, and the unit (``"days since 2020-01-01"``) and
        values of the variable ``timestamp``; an empty unit and array where there is none.

    Raises:
        MissingData: see `open_hdf5`; also if the variable is absent.
    """
    import numpy as np

    with open_hdf5(path) as file:
        values = read_dataset(file, variable, label=path)
        attributes = {str(key): _text(value) for key, value in file[variable].attrs.items()}
        if "timestamp" not in file:
            return values, attributes, ("", np.empty(0))
        stamps = read_dataset(file, "timestamp", (-1,), label=path)
        return values, attributes, (_text(file["timestamp"].attrs.get("units", "")), stamps)


def _text(value: Any) -> str:
    """Return an attribute as text: arrays as their values with blanks between them."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    parts = value.ravel().tolist() if hasattr(value, "ravel") else [value]
    return " ".join(part.decode("utf-8") if isinstance(part, bytes) else str(part) for part in parts)
