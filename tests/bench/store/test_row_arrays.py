"""Arrays by row come back as they were written, across processes, and damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from bench.store.row_arrays import RowArrays, row_array_faults


def arrays(folder, about="x"):
    return RowArrays(folder, {"about": about}, rows=5, block=2)


def values(block):
    return {"output": np.full((1 if block == 2 else 2, 3), block, np.float32)}


def test_blocks_come_back(tmp_path):
    first = arrays(tmp_path / "a")
    assert not first.has(0, 0)
    for block in (2, 0):
        first.put(0, block, values(block))
    assert first.has(0, 2) and not first.has(0, 1) and not first.has(1, 2)
    assert not arrays(tmp_path / "a").has(0, 2)  # the index is written by flush
    first.flush()
    again = arrays(tmp_path / "a")
    assert again.has(0, 2) and again.has(0, 0) and not again.has(0, 1)
    assert again.read(0, [4, 0, 1])["output"][:, 0].tolist() == [2, 0, 0]
    again.put(0, 1, values(1))
    assert again.read(0, [3])["output"][0, 0] == 1
    with pytest.raises(ValueError, match="shape"):
        again.put(0, 1, {"output": np.zeros((2, 4), np.float32)})
    assert [fault for _, fault in row_array_faults(tmp_path)] == [""]


@pytest.mark.parametrize("damage", ["array", "index", "about", "gone"])
def test_damage_is_a_block_that_is_not_filled(tmp_path, damage):
    first = arrays(tmp_path / "a")
    first.put(0, 0, values(0))
    first.flush()
    file = tmp_path / "a" / "0.output.npy"
    if damage == "array":
        content = bytearray(file.read_bytes())
        content[-60] ^= 1
        file.write_bytes(content)
    if damage == "index":
        (tmp_path / "a" / "0.json").write_text("{}")
    if damage == "gone":
        file.unlink()
        assert "lacks output" in next(fault for _, fault in row_array_faults(tmp_path))
    again = arrays(tmp_path / "a", "y" if damage == "about" else "x")
    assert not again.has(0, 0)
    again.put(0, 0, values(0))
    assert again.has(0, 0)
