"""Cloud masks: what they must get right and refuse."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.datasets.cloud_masks import BANDS, SHA256, SUITE
from tests.fixtures.datasets.cloud_masks import write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def opened(root, split="train", task="cloud_shadow", bands=BANDS):
    return SUITE.open(root, task, split, bands)


def test_every_pixel_is_in_one_tile(root):
    ids = [tile for name in ("train", "val", "test") for tile in opened(root, name).ids]
    assert ids == [f"sentinel2_{row}_{column}" for row in range(8) for column in range(8)]
    assert list(opened(root, "landsat5").ids) == [tile.replace("sentinel2", "landsat5") for tile in ids]
    blocks = [set(opened(root, name).blocks) for name in ("train", "val", "test")]
    assert [len(block) for block in blocks] == [8, 4, 4] and not blocks[0] & (blocks[1] | blocks[2])
    for name, first in (("train", 0), ("val", 4), ("test", 6)):
        split = opened(root, name, bands=(BANDS[5],))
        for index in (0, 9, len(split) - 1):
            row, column = first + index // 8, index % 8
            assert split[index].images["s2"][0, 0, 0, 0] == pytest.approx((row + column / 10) / 10)


def test_bands_and_sensors(root):
    picked = (BANDS[3], BANDS[0])
    assert opened(root, bands=picked)[5].images["s2"][0, :, 9, 9] == pytest.approx([0.4, 0.1])
    assert opened(root, "landsat5", bands=picked)[5].images["s2"][0, :, 9, 9] == pytest.approx([0.45, 0.15])


def test_codes(root):
    target = opened(root, "val")[0].target
    assert target[7, :20:4].tolist() == [2, 0, 0, 0, 1], "0 is shadow, 4 is cloud"
    assert opened(root, "val", "valid")[0].target[7, :20:4].tolist() == [1, 0, 0, 0, 1]
    assert opened(root).targets()[:2].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert opened(root, task="valid").targets()[:2].tolist() == [[1, 0], [1, 1]]


def test_one_scene_may_be_absent_unless_asked_for(tmp_path):
    folder = write(tmp_path)
    (folder / "landsat5.npz").unlink()
    assert len(opened(tmp_path, "test")) == 16
    with pytest.raises(MissingData, match=r"landsat5\.npz is absent"):
        opened(tmp_path, "landsat5")


@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_a_truncated_file_is_named(keep, tmp_path):
    path = write(tmp_path) / "sentinel2.npz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    split = opened(tmp_path)
    for read in (lambda: split[0], split.targets):
        with pytest.raises(MissingData, match=r"sentinel2\.npz"):
            read()


@pytest.mark.parametrize(("change", "message"), [
    ({"msk": np.full((512, 512, 1), 5, np.uint8)}, r"holds the codes \[5\]"),
    ({"img": np.zeros((512, 512, 4), np.float32)}, r"img has shape \(512, 512, 4\)"),
    ({"msk": np.zeros((64, 64, 1), np.uint8)}, r"msk has shape \(64, 64, 1\)"),
    ({"msk": None}, "expected the arrays img and msk"),
])  # fmt: skip
def test_strange_arrays_are_named(change, message, tmp_path):
    path = write(tmp_path) / "sentinel2.npz"
    arrays = {**np.load(path), **change}
    np.savez_compressed(path, **{name: values for name, values in arrays.items() if values is not None})
    with pytest.raises(MissingData, match=message):
        opened(tmp_path)[0]


def test_download_asks_for_both_files_and_states_their_hash(tmp_path):
    asked = {}
    SUITE.download(tmp_path, lambda url, path, *, sha256="", md5="": asked.update({url: (path, sha256)}) or path)
    assert asked == {f"{SUITE.url}{n}.npz": (tmp_path / "ukis_csmask" / f"{n}.npz", h) for n, h in SHA256.items()}


@pytest.mark.shared
def test_real_scenes(shared):
    """Clouds are bright and shadows dark, in every split; no split lacks a class."""
    for name in SUITE.splits:
        split = opened(shared / "data", name)
        assert len(split) == SUITE.splits[name] and split.targets().any(0).all()
        samples = [split[index] for index in range(len(split))]
        images, mask = (
            np.stack([sample.images["s2"][0] for sample in samples]),
            np.stack([sample.target for sample in samples]),
        )
        near = images[:, 3]
        clear, cloud, shadow = (near[mask == code].mean() for code in range(3))
        assert cloud > clear > shadow
        assert 0 < images[:, 0].mean() < 0.4
