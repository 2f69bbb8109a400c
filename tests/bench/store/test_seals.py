"""The envelope: any change of a sealed file is noticed, and so is a file in the place of another."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import Damaged
from bench.store.seals import checksum_of, read_sealed, read_sealed_bytes, write_sealed, write_sealed_bytes

ABOUT = {"suite": "toy", "bands": ["a", "b"]}
CONTENT = {"a": [1.5, float("nan")], "b": {"c": None}}


def test_what_is_written_comes_back(tmp_path):
    path = tmp_path / "x.json"
    write_sealed(path, ABOUT, {"a": (1, 2), "b": np.float32(0.5), "c": np.arange(2)})
    assert read_sealed(path, ABOUT) == read_sealed(path) == {"a": [1, 2], "b": 0.5, "c": [0, 1]}
    assert read_sealed(tmp_path / "gone.json", ABOUT) is None
    write_sealed_bytes(tmp_path / "x.pt", "x.pt", b"\n\x00content")
    assert read_sealed_bytes(tmp_path / "x.pt", "x.pt") == b"\n\x00content"
    assert read_sealed_bytes(tmp_path / "gone.pt", "gone.pt") is None


def test_every_byte_counts(tmp_path):
    """Each byte is changed once; white space of the JSON may change, nothing else."""
    path = tmp_path / "x.json"
    write_sealed(path, ABOUT, CONTENT)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            content = read_sealed(path, ABOUT)
        except Damaged:
            continue
        assert whole[place : place + 1].isspace() and checksum_of(content) == checksum_of(CONTENT)
    file = tmp_path / "x.pt"
    write_sealed_bytes(file, "x.pt", bytes(range(64)))
    whole = file.read_bytes()
    for place in range(len(whole)):
        for changed in (whole[:place], whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]):
            file.write_bytes(changed)
            try:
                content = read_sealed_bytes(file, "x.pt")
            except Damaged as error:
                assert "x.pt" in str(error)
                continue
            assert content == bytes(range(64)) and whole[place : place + 1].isspace()


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "1", '{"content": 1}', "[" * 100_000, "\xff"])
def test_other_files_are_named(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(Damaged, match=r"x\.json"):
        read_sealed(path)
    with pytest.raises(Damaged, match=r"x\.json"):
        read_sealed_bytes(path, "x")


def test_a_file_about_something_else_is_refused(tmp_path):
    write_sealed(tmp_path / "x.json", ABOUT, CONTENT)
    with pytest.raises(Damaged, match="about something else"):
        read_sealed(tmp_path / "x.json", {**ABOUT, "bands": ["a"]})
    write_sealed_bytes(tmp_path / "x.pt", "y.pt", b"content")
    with pytest.raises(Damaged, match=r"is about y\.pt"):
        read_sealed_bytes(tmp_path / "x.pt", "x.pt")


def test_a_folder_in_its_place_is_named(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(Damaged, match="cannot be read"):
        read_sealed(tmp_path / "x.json")
