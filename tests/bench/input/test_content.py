"""Fingerprints follow content, whatever the bands opened along with it, and are kept while no file changes."""

from __future__ import annotations

import numpy as np

from bench.core import sha256_of
from bench.input.content import Contents, band_values, folder_stamp, hash_of
from bench.input.splits import Splits
from bench.store import FeatureCache
from tests.builders.suite_and_model import BANDS, ToySplit, toy_suite

KIND, _, MASK = toy_suite().tasks


class Counted(ToySplit):
    reads = 0
    shift = 0.0

    def __getitem__(self, index):
        type(self).reads += 1
        sample = super().__getitem__(index)
        return sample._replace(images={"s2": sample.images["s2"] + self.shift})


def contents_of(root, kind, **facts):
    suite = toy_suite(open=lambda place, task, split, bands: kind(task, split, 40, bands), **facts)
    return Contents(data=Splits(suite=suite, root=root), cache=FeatureCache(root / "cache"))


def a_kind(**changes):
    return type("Changed", (Counted,), {"reads": 0, **changes})


def test_equal_content_is_equal_and_any_other_is_not(tmp_path):
    first, again, other = (contents_of(tmp_path, a_kind(shift=shift)) for shift in (0.0, 0.0, 1.0))
    assert first.fingerprint(KIND, "train", BANDS) == again.fingerprint(KIND, "train", BANDS)
    assert first.images(KIND, "train", BANDS) != other.images(KIND, "train", BANDS)
    assert first.fingerprint(KIND, "train", BANDS) != first.fingerprint(KIND, "val", BANDS)
    assert first.fingerprint(KIND, "train", BANDS) != first.fingerprint(MASK, "train", BANDS)


def test_a_band_counts_for_itself_whatever_it_was_read_with(tmp_path):
    alone, together = contents_of(tmp_path, a_kind()), contents_of(tmp_path, a_kind())
    together.images(KIND, "train", BANDS)
    assert alone.images(KIND, "train", BANDS[:1]) == together.images(KIND, "train", BANDS[:1])
    assert together.images(KIND, "train", BANDS) == together.images(KIND, "train", BANDS[::-1])
    assert together.images(KIND, "train", BANDS[:1]) != together.images(KIND, "train", BANDS[1:])


def test_only_a_few_samples_are_read_and_none_twice(tmp_path):
    kind = a_kind()
    contents = contents_of(tmp_path, kind)
    for _ in range(3):
        contents.fingerprint(KIND, "train", BANDS)
    assert kind.reads == 16


def test_fingerprints_are_kept_while_no_file_changes(tmp_path):
    (tmp_path / "files" / "deep").mkdir(parents=True)
    path = tmp_path / "files" / "deep" / "image"
    path.write_text("one")
    kind = a_kind()
    first = contents_of(tmp_path, kind, folder="files").fingerprint(KIND, "train", BANDS)
    assert contents_of(tmp_path, kind, folder="files").fingerprint(KIND, "train", BANDS) == first and kind.reads == 16
    path.write_text("another")
    changed = a_kind(shift=2.0)
    assert contents_of(tmp_path, changed, folder="files").fingerprint(KIND, "train", BANDS) != first
    assert changed.reads == 16


def test_the_stamp_of_a_folder_sees_names_sizes_and_times_and_follows_no_circle(tmp_path):
    assert folder_stamp(tmp_path / "absent") == "" and folder_stamp(tmp_path) == ""
    (tmp_path / "a").write_text("1")
    stamps = [folder_stamp(tmp_path)]
    (tmp_path / "a").write_text("12")
    stamps.append(folder_stamp(tmp_path))
    (tmp_path / "b").write_text("1")
    stamps.append(folder_stamp(tmp_path))
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nothing").symlink_to(tmp_path / "absent")
    stamps.append(folder_stamp(tmp_path))
    assert len(set(stamps)) == 4 and stamps[-1] == folder_stamp(tmp_path)


def test_hashes_cover_type_shape_and_every_part():
    values = np.arange(6, dtype=np.float32)
    assert hash_of(values) == hash_of(values.copy()) == hash_of(np.arange(12, dtype=np.float32)[::1][:6])
    others = [
        values.astype(np.float64),
        values.reshape(2, 3),
        values + 1,
        values[:0],
        {"a": values},
        {"b": values},
        None,
    ]
    assert len({hash_of(values), *map(hash_of, others)}) == len(others) + 1
    assert sha256_of(hash_of(np.array([1, "x"], object)))


def test_values_are_told_by_band():
    sample = ToySplit("kind", "train", 1, BANDS)[0]
    parts = band_values(sample, BANDS)
    np.testing.assert_array_equal(parts["s2.b08"], sample.images["s2"][:, 1])
    assert list(parts) == ["s2.b04", "s2.b08"]
