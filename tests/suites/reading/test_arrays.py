"""NumPy and Zarr files: nothing is unpickled, and no claim is believed before it is checked."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.reading import arrays as module
from suites.reading import read_array, read_arrays, read_zarr
from tests.fixtures.neuco_bench._shared import write_cube


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_arrays_are_read(tmp_path):
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(read_array(tmp_path / "a.npy", (3, -1), "int16"), values)
    assert read_array(tmp_path / "a.npy").flags.writeable
    np.save(tmp_path / "names.npy", np.array(["a", "bc"]))
    assert read_array(tmp_path / "names.npy", (2,)).tolist() == ["a", "bc"]
    np.savez_compressed(tmp_path / "a.npz", img=values, names=np.array(["x"]))
    read = read_arrays(tmp_path / "a.npz", {"img": (3, 4), "names": None})
    assert np.array_equal(read["img"], values) and read["names"].tolist() == ["x"]


def test_nothing_is_unpickled(tmp_path):
    objects = np.array([Payload(tmp_path / "run")], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", img=objects)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(objects))
    with pytest.raises(MissingData, match=r"cannot read .*a\.npy: "):
        read_array(tmp_path / "a.npy")
    with pytest.raises(MissingData, match=r"cannot read .*a\.npz: "):
        read_arrays(tmp_path / "a.npz", {"img": (1,)})
    with pytest.raises(MissingData, match=r"cannot read .*b\.npy: it is of an unknown format"):
        read_array(tmp_path / "b.npy")
    assert not (tmp_path / "run").exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert (tmp_path / "run").exists(), "NumPy would have run it where pickles are allowed"


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    content = (tmp_path / "a.npy").read_bytes()
    for claim in (b"(400000000000, 4), }", b"(4, 40), }"):
        old = b"(4, 4), }" + b" " * (len(claim) - len(b"(4, 4), }"))
        assert old in content
        (tmp_path / "a.npy").write_bytes(content.replace(old, claim))
        with pytest.raises(MissingData, match=r"cannot read .*a\.npy: "):
            read_array(tmp_path / "a.npy")


def test_strange_arrays_are_named(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.uint8))
    for shape, stored, reason in (
        ((4, 5), "", r"has shape \(4, 4\), expected \(4, 5\)"), (None, "int16", "holds uint8, expected int16"),
    ):  # fmt: skip
        with pytest.raises(MissingData, match=rf"a\.npy {reason}"):
            read_array(tmp_path / "a.npy", shape, stored)
    np.savez(tmp_path / "a.npz", img=np.zeros((4, 4)))
    with pytest.raises(MissingData, match=r"a\.npz: .*msk\.npy.*, expected the arrays img and msk"):
        read_arrays(tmp_path / "a.npz", {"img": (4, 4), "msk": (4, 4)})
    with pytest.raises(MissingData, match=r"a\.npz: img has shape \(4, 4\), expected \(4, 4, 3\)"):
        read_arrays(tmp_path / "a.npz", {"img": (4, 4, 3)})
    with pytest.raises(MissingData, match=r"a\.npz: it is a zip archive, expected a NumPy array"):
        read_array(tmp_path / "a.npz")
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(MissingData, match=r"a\.npz: its arrays claim 256 bytes, too many to be read"):
        read_arrays(tmp_path / "a.npz", {"img": (4, 4)})


def test_zarr_groups_are_read_and_checked(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    write_cube(tmp_path / "a.zarr.zip", values)
    assert np.array_equal(read_zarr(tmp_path / "a.zarr.zip", "bands", [(2, 3, 4), (1, 2, 3, 4)]), values)
    with pytest.raises(MissingData, match=r"a\.zarr\.zip has shape \(1, 2, 3, 4\), expected \(2, 3, 5\)"):
        read_zarr(tmp_path / "a.zarr.zip", "bands", [(2, 3, 5)])
    with pytest.raises(MissingData, match=r"a\.zarr\.zip: .*expected a Zarr group with the array 'pixels'"):
        read_zarr(tmp_path / "a.zarr.zip", "pixels", [(2, 3, 4)])


@pytest.mark.parametrize(("attributes", "missing"), [({"_FillValue": -9999}, [1]), ({}, [])])
def test_declared_no_data_of_zarr_is_nan_and_its_fill_value_declares_nothing(attributes, missing, tmp_path):
    array = {
        "zarr_format": 2, "shape": [3], "chunks": [3], "dtype": "<i2", "fill_value": 0, "order": "C",
        "compressor": None, "filters": None,
    }  # fmt: skip
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        archive.writestr("bands/.zarray", json.dumps(array))
        archive.writestr("bands/.zattrs", json.dumps(attributes))
        archive.writestr("bands/0", np.array([0, -9999, 7], "<i2").tobytes())
    values = read_zarr(tmp_path / "a.zarr.zip", "bands", [(3,)])
    assert np.flatnonzero(np.isnan(values)).tolist() == missing and values[[0, 2]].tolist() == [0, 7]


@pytest.mark.parametrize("dtype", ["|O", "<i2"])
@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_zarr_codecs_that_unpickle_are_refused(dtype, place, tmp_path):
    codec = {"id": "pickle", "protocol": 5}
    array = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": dtype, "fill_value": 0, "order": "C",
        "compressor": codec if place == "compressor" else None, "filters": [codec] if place == "filters" else None,
    }  # fmt: skip
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        archive.writestr("bands/.zarray", json.dumps(array))
        archive.writestr("bands/0", pickle.dumps([Payload(tmp_path / "run"), [1], "|O"]))
    with pytest.raises(MissingData, match=r"a\.zarr\.zip: its codec 'pickle' is not one that is read"):
        read_zarr(tmp_path / "a.zarr.zip", "bands", [(1,)])
    assert not (tmp_path / "run").exists()


def test_zarr_of_the_third_format_names_its_codecs_too(tmp_path):
    array = {"zarr_format": 3, "node_type": "array", "codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]}
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as archive:
        archive.writestr("bands/zarr.json", json.dumps(array))
    with pytest.raises(MissingData, match=r"its codec 'numcodecs\.pickle' is not one that is read"):
        read_zarr(tmp_path / "a.zarr.zip", "bands", [(1,)])
