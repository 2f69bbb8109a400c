"""Checksums inside safetensors files: other readers take them as before, changes are found."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load, save

from bench.store.tensors import tensors_fault, with_checksum

TENSORS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float16)}


def test_tensors_are_unchanged_and_every_byte_of_them_is_covered(tmp_path):
    content = with_checksum(save(TENSORS, {"format": "pt"}))
    back = load(content)
    assert {name: values.tolist() for name, values in back.items()} == {n: v.tolist() for n, v in TENSORS.items()}
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert tensors_fault(path) == ""
    length = int.from_bytes(content[:8], "little")
    for place in (*range(8 + length, len(content)), content.index(b'"shape":[2') + 9):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert "x.safetensors" in tensors_fault(path)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    for content in (b"", b"[1, 2]", b"\xff" * 20, save(TENSORS), with_checksum(save(TENSORS))[:-1]):
        path.write_bytes(content)
        assert "x.safetensors" in tensors_fault(path)
    assert "cannot be read" in tensors_fault(tmp_path / "gone.safetensors")
