"""EuroSAT RGB: what it must get right and refuse; what all folders of classes must refuse is in test_layouts.py."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.eurosat_rgb import SUITE
from tests.builders.suites import bands_of
from tests.fixtures.datasets.eurosat_rgb import write


@pytest.mark.parametrize("own_split", [False, True])
def test_eurosat_rgb_reads_either_kind_of_split(own_split, tmp_path):
    write(tmp_path, own_split=own_split)
    sizes = {name: len(SUITE.open(tmp_path, "landuse", name, SUITE.bands)) for name in SUITE.splits}
    assert sizes == ({"train": 10, "val": 10, "test": 20} if own_split else {"train": 20, "val": 10, "test": 10})
    split = SUITE.open(tmp_path, "landuse", "train", bands_of(SUITE, "s2.b02", "s2.b04"))
    index = list(split.ids).index("Industrial_1")
    assert np.allclose(split[index].images["s2"][0, :, 5, 5], [24, 200], atol=2)  # JPEG rounds
    assert split[index].target == 4


def test_own_split_with_an_unknown_split_name_is_an_error(tmp_path):
    folder = write(tmp_path, own_split=True)
    with (folder / "split.csv").open("a") as file:
        file.write("River,River_9.jpg,holdout\n")
    with pytest.raises(MissingData, match="holdout"):
        SUITE.open(tmp_path, "landuse", "train", SUITE.bands)


@pytest.mark.shared
def test_real_eurosat_rgb(shared):
    sizes = {"train": 2000, "val": 500, "test": 500}
    for name, size in sizes.items():
        split = SUITE.open(shared / "data", "landuse", name, SUITE.bands)
        assert np.bincount(split.targets()).tolist() == [size // 10] * 10
    means = np.mean([split[i].images["s2"].mean(axis=(0, 2, 3)) for i in range(0, 500, 10)], axis=0)
    assert np.all((means > 60) & (means < 140)), means
