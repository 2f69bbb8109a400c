"""HDF5 files: nothing outside of the file is read, and no claim is believed before it is checked."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.reading import hdf5 as module
from suites.reading import open_hdf5, read_dataset, read_netcdf, read_variable

ESCAPES = ("external link", "soft link", "external storage", "virtual dataset", "link to a group", "soft to external")


@pytest.fixture
def secret(tmp_path):
    """An HDF5 file and a plain file outside of what is read."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.full(8, 42, np.uint8)
        file["group/x"] = np.full(8, 42, np.uint8)
    (tmp_path / "secret.bin").write_bytes(b"\x2a" * 8)
    return tmp_path


def crafted(folder, kind: str):
    """Write a file whose array ``x`` is stored elsewhere; return its path and the array's name."""
    path, name = folder / "a.h5", "x"
    with h5py.File(path, "w") as file:
        file["ok"] = np.arange(8, dtype=np.uint8)
        if kind == "external link":
            file["x"] = h5py.ExternalLink("secret.h5", "/x")
        elif kind == "soft link":
            file["x"] = h5py.SoftLink("/ok")
        elif kind == "external storage":
            file.create_dataset("x", (8,), np.uint8, external=[(str(folder / "secret.bin"), 0, 8)])
        elif kind == "virtual dataset":
            layout = h5py.VirtualLayout((8,), np.uint8)
            layout[:] = h5py.VirtualSource("secret.h5", "x", (8,))
            file.create_virtual_dataset("x", layout)
        elif kind == "link to a group":
            file["group"] = h5py.ExternalLink("secret.h5", "/group")
            name = "group/x"
        else:
            file["away"] = h5py.ExternalLink("secret.h5", "/x")
            file["x"] = h5py.SoftLink("/away")
    return path, name


@pytest.mark.parametrize("kind", ESCAPES)
def test_nothing_outside_of_the_file_is_read(kind, secret):
    path, name = crafted(secret, kind)
    with h5py.File(path) as file:
        assert (file[name][:] == 42).all() or kind == "soft link", "h5py alone would read the other file"
    for take in (
        lambda file: file[name][:], lambda file: file[f"/{name}"][:], lambda file: np.asarray(file[name]),
        lambda file: file.get(name)[:], lambda file: dict(file.items()), lambda file: list(file.values()),
        lambda file: read_dataset(file, name, label="a.h5"), lambda file: file["/"][name][:],
        lambda file: {key: value for key, value in file.items() if value is not None},
    ):  # fmt: skip
        with pytest.raises(MissingData, match=r"a\.h5"), open_hdf5(path) as file:
            take(file)
    with open_hdf5(path) as file:
        assert read_dataset(file, "ok", (8,), "uint8", label=path).tolist() == list(range(8))
        assert "ok" in file and "nothing" not in file and 3 not in file


def test_bytes_and_files_are_read_and_groups_are_closed_too(tmp_path, secret):
    path = tmp_path / "b.h5"
    with h5py.File(path, "w") as file:
        file["deep/er/x"] = np.arange(4)
        file["deep/away"] = h5py.ExternalLink("secret.h5", "/x")
        file["deep"].attrs["fold"] = 3
    for source, label in ((path, ""), (path.read_bytes(), "part")):
        with open_hdf5(source, label) as file:
            assert file["deep/er"]["x"][:].tolist() == [0, 1, 2, 3] and file["deep"].attrs["fold"] == 3
            assert sorted(file["deep"]) == ["away", "er"] and file["deep/./er/x"].shape == (4,)
        refused = pytest.raises(MissingData, match=rf"{label or 'b.h5'}: 'away' is a link to another name or file")
        with refused, open_hdf5(source, label) as file:
            file["deep"]["away"]
        with pytest.raises(MissingData, match="is a link"), open_hdf5(source, label) as file:
            file["deep/./away"]


def test_references_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(4)
        file.create_dataset("refs", (1,), h5py.ref_dtype)
        file["refs"][0] = file["x"].ref
    with pytest.raises(MissingData, match="refers to an object without a name"), open_hdf5(tmp_path / "a.h5") as file:
        file[file["refs"][0]]


def test_arrays_are_checked_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("huge", (10**7, 10**7), np.float64, chunks=(100, 100))
        file["x"] = np.arange(4, dtype=np.int16)
        file["text"] = "words"
        file.create_group("g")
    for name, shape, stored, reason in (
        ("huge", None, "", "too many to be read"), ("x", (5,), "", r"x has shape \(4,\), expected \(5,\)"),
        ("x", None, "float32", "x holds int16, expected float32"), ("text", None, "", "text holds object, expected"),
        ("g", None, "", "'g' is a group, expected an array"), ("y", None, "", "y"),
    ):  # fmt: skip
        with pytest.raises(MissingData, match=rf"a\.h5: .*{reason}"), open_hdf5(path) as file:
            read_dataset(file, name, shape, stored, label=path)
    monkeypatch.setattr(module, "MOST_BYTES", 7)
    with pytest.raises(MissingData, match="too many to be read"), open_hdf5(path) as file:
        read_dataset(file, "x", label=path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"CDF\x01classic", b"\x89HDF\r\n\x1a\n" + b"\0" * 90])
def test_other_files_are_named(content, tmp_path):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(MissingData, match=r"cannot read .*a\.h5: "), open_hdf5(tmp_path / "a.h5"):
        pass
    with pytest.raises(MissingData, match="cannot read part: "), open_hdf5(content, "part"):
        pass


def test_files_cut_short_are_named(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.random.default_rng(0).integers(0, 9, 50_000), compression="gzip")
    whole = path.read_bytes()
    for keep in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(MissingData, match=r"cannot read .*a\.h5: "), open_hdf5(path) as file:
            read_dataset(file, "x", label=path)


def test_netcdf_variables(tmp_path, secret):
    path = tmp_path / "a.nc"
    with h5py.File(path, "w") as file:
        file["B02"] = np.zeros((2, 4, 4), np.uint16)
        file["B02"].attrs.update(epsg=np.bytes_(b"32631"), bounds=np.array([1, 2, 3, 4]), name="b")
        file["timestamp"] = np.array([0, 5])
        file["timestamp"].attrs["units"] = "days since 2020-01-01"
        file["away"] = h5py.ExternalLink("secret.h5", "/x")
    values, attributes, (unit, stamps) = read_netcdf(path, "B02")
    assert values.shape == (2, 4, 4) and (unit, stamps.tolist()) == ("days since 2020-01-01", [0, 5])
    assert attributes == {"epsg": "32631", "bounds": "1 2 3 4", "name": "b"}
    for name in ("away", "B03"):
        with pytest.raises(MissingData, match=r"a\.nc"):
            read_netcdf(path, name)


def test_declared_no_data_of_a_variable_is_nan(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.array([1, -9999, -1, -2], np.int16)
        file["x"].attrs["_FillValue"] = np.array([-9999], np.int16)
        file["x"].attrs["missing_value"] = np.array([-1, 5], np.int16)
        file["y"] = np.array([1, -3.4e38], np.float32)
        file["y"].attrs["missing_value"] = -3.4e38
        file["z"] = np.array([1, -9999], np.int16)
    with open_hdf5(tmp_path / "a.h5") as file:
        x, y, z = (read_variable(file, name, label="a.h5") for name in "xyz")
        assert read_dataset(file, "x", label="a.h5").tolist() == [1, -9999, -1, -2], "as stored"
    assert np.isnan(x).tolist() == [False, True, True, False] and np.isnan(y).tolist() == [False, True]
    assert z.tolist() == [1, -9999], "nothing is declared"
