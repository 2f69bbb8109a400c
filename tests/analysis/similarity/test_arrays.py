"""Rows matched by id."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.similarity.arrays import match_rows, require_same_ids


def test_rows_are_matched_by_id():
    ids = np.array(["c", "a", "d", "b"])
    index = match_rows(["a", "b", "c", "d"], ids)
    assert ids[index].tolist() == ["a", "b", "c", "d"]
    require_same_ids(ids, ids.tolist())
    with pytest.raises(ValueError, match="another order: 4 of 4"):
        require_same_ids(["a", "b", "c", "d"], ids)
    with pytest.raises(ValueError, match=r"1 ids only in x, 1 only in y \(such as d, e\)"):
        match_rows(["a", "b", "c", "d"], ["a", "b", "c", "e"])
    with pytest.raises(ValueError, match="1 ids only in x, 0 only in y"):
        match_rows([1, 2, 3], [1, 2])
