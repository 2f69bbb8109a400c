"""EuroSAT: what it must get right and refuse; what all folders of classes must refuse is in test_layouts.py."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.eurosat import SUITE
from tests.builders.rasters import write_tif
from tests.fixtures.datasets.eurosat import IMAGES, STORED, write


def test_a_split_may_lack_a_class(tmp_path):
    folder = write(tmp_path)
    path = folder / "eurosat-val.txt"
    path.write_text("".join(f"{line}\n" for line in path.read_text().split() if not line.startswith("River")))
    assert sorted(set(SUITE.open(tmp_path, "landuse", "val", SUITE.bands).targets())) == [0, 1, 2, 3, 4, 5, 6, 7, 9]


def test_each_band_is_read_from_its_place(tmp_path):
    write(tmp_path)
    split = SUITE.open(tmp_path, "landuse", "train", SUITE.bands)
    index = list(split.ids).index("Forest_2")
    values = split[index].images["s2"][0, :, 0, 0]
    for band, value in zip(SUITE.bands, values, strict=True):
        number = band.name.removeprefix("s2.b").replace("8a", "20")
        assert value == 100 * int(number) + 1, band.name
    assert split[index].target == 1
    assert [band.name for band in SUITE.bands].index("s2.b8a") != STORED.index("b8a")


def test_an_image_of_another_shape_is_named(tmp_path):
    folder = write(tmp_path)
    write_tif(folder / IMAGES / "River" / "River_1.tif", np.ones((12, 64, 64), np.uint16))
    split = SUITE.open(tmp_path, "landuse", "train", SUITE.bands)
    with pytest.raises(MissingData, match=r"River_1\.tif has shape \(12, 64, 64\)"):
        split[list(split.ids).index("River_1")]
