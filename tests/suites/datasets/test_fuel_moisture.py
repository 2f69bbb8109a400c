"""Fuel moisture: what it must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.fuel_moisture import SUITE
from tests.builders.suites import bands_of, check_sample
from tests.fixtures.datasets.fuel_moisture import write


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_array_is_named(keep, tmp_path):
    path = write(tmp_path) / "npy" / "s1_s2_era5_srtm.npy"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(MissingData, match=path.name):
        SUITE.open(tmp_path, "lfmc", "train", SUITE.bands)


def test_arrays_of_another_length_are_named(tmp_path):
    path = write(tmp_path) / "npy" / "latlon.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(MissingData, match=r"latlon\.npy has shape \(59, 2\), expected \(60, 2\)"):
        SUITE.open(tmp_path, "lfmc", "train", SUITE.bands)


def test_pickled_array_is_refused(tmp_path):
    path = write(tmp_path) / "npy" / "site.npy"
    np.save(path, np.array([{"a": 1}] * 60, dtype=object), allow_pickle=True)
    with pytest.raises(MissingData, match=r"site\.npy"):
        SUITE.open(tmp_path, "lfmc", "train", SUITE.bands)


def test_columns_dates_and_sites(tmp_path):
    write(tmp_path)
    raw = np.load(tmp_path / "fuel_moisture" / "npy" / "s1_s2_era5_srtm.npy")
    # The stored order: presto's bands less B1 and B10.
    stored = [*"VV VH B2 B3 B4 B5 B6 B7 B8 B8A B9 B11 B12 t2m tp elevation slope".split()]  # noqa: SIM905
    splits = {name: SUITE.open(tmp_path, "lfmc", name, SUITE.bands) for name in SUITE.splits}
    for name, split in splits.items():
        for index in range(len(split)):
            sample = split[index]
            row = int(split.ids[index].partition("_")[0])
            flat = np.concatenate([values[:, :, 0, 0] for values in sample.images.values()], axis=1)
            named = [band.name.partition(".")[2].lower() for band in SUITE.bands]
            for column, label in enumerate(stored):
                short = label.lower() if not label.startswith("B") else f"b{label[1:].lower().zfill(2)}"
                assert np.allclose(flat[:, named.index(short)], raw[row, :, column], rtol=1e-6), label
            assert sample.when[:, 1].tolist() == [(row + date) % 12 + 1 for date in range(3)]
            assert (sample.when[:, [0, 2]] == -1).all()
            assert np.allclose(sample.where, [np.linspace(-120, -100, 60)[row], np.linspace(30, 45, 60)[row]])
            assert split.blocks[index] == f"Site {row // 3}"
            assert (name == "test") == (row >= 42)
    assert not set(splits["train"].blocks) & set(splits["val"].blocks)
    assert sum(len(split) for split in splits.values()) == 60
    cover = SUITE.open(tmp_path, "lfmc", "train", bands_of(SUITE, "dw.class"))
    covers = {
        int(identifier.partition("_")[0]): cover[i].images["dw"][:, 0, 0, 0] for i, identifier in enumerate(cover.ids)
    }
    assert np.isnan(covers[7][1]) and covers[7][0] == 7, "code 9 is no observation"


@pytest.mark.shared
def test_real_fuel_moisture(shared):
    splits = {name: SUITE.open(shared / "data", "lfmc", name, SUITE.bands) for name in SUITE.splits}
    assert {name: len(split) for name, split in splits.items()} == dict(SUITE.splits)
    assert len(splits["test"]) == 735
    sites = [set(split.blocks) for split in splits.values()]
    assert sum(len(site) for site in sites) == len(set().union(*sites)) == 150
    targets = np.concatenate([split.targets() for split in splits.values()])
    assert targets.min() == pytest.approx(31.7, abs=0.05) and targets.max() == pytest.approx(319.2, abs=0.05)
    split = splits["val"]
    samples = [split[i] for i in range(len(split))]
    for sample in samples[::10]:
        check_sample(SUITE, SUITE.tasks[0], sample, SUITE.bands)
        assert -125 < sample.where[0] < -90 and 25 < sample.where[1] < 50
    celsius = np.array([sample.images["era5"][:, 0, 0, 0] for sample in samples]) - 273.15
    month = np.array([sample.when[:, 1] for sample in samples])
    assert celsius[(month == 7) | (month == 8)].mean() > celsius[(month == 12) | (month == 1)].mean() + 8
