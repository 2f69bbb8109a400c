"""Archives: unpacked below one folder, each part whole or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import MissingData
from suites.reading.archives import unpack_tar


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def noise(size: int) -> bytes:
    return np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_tar_in_pieces_is_one(tmp_path):
    files = {"one/a.bin": noise(3_000_000), "two/b.txt": b"b"}
    whole = packed(tmp_path / "whole.tgz", files).read_bytes()
    pieces = [tmp_path / f"part{i}" for i in range(3)]
    for piece, cut in zip(pieces, (whole[:10], whole[10:1_500_000], whole[1_500_000:]), strict=True):
        piece.write_bytes(cut)
    (tmp_path / "at" / "two").mkdir(parents=True)  # what is there stays
    unpack_tar(pieces, tmp_path / "at")
    assert contents(tmp_path / "at") == {"one/a.bin": files["one/a.bin"]}
    unpack_tar(tmp_path / "whole.tgz", tmp_path / "new")
    assert contents(tmp_path / "new") == files


@pytest.mark.parametrize("above", ["", "deep/er/"])
def test_one_folder_of_a_tar(tmp_path, above):
    archive = packed(tmp_path / "a.tgz", {f"{above}chips/a.txt": b"a", "other.txt": b"o"})
    unpack_tar(archive, tmp_path / "at", folder="chips")
    assert contents(tmp_path / "at") == {"chips/a.txt": b"a"}


def test_a_tar_without_the_folder_is_the_folder(tmp_path):
    unpack_tar(packed(tmp_path / "a.tgz", {"a.txt": b"a"}), tmp_path / "at", folder="chips")
    assert contents(tmp_path / "at") == {"chips/a.txt": b"a"}


def test_damaged_tars_and_those_that_reach_outside_leave_nothing(tmp_path):
    whole = packed(tmp_path / "a.tgz", {"one/a.bin": noise(100_000)}).read_bytes()
    for damaged in (whole[:-20], whole[:5000], whole[:300] + b"\0" * 400 + whole[700:], b"no archive"):
        (tmp_path / "a.tgz").write_bytes(damaged)
        with pytest.raises(MissingData, match=r"cannot unpack .*a\.tgz"):
            unpack_tar(tmp_path / "a.tgz", tmp_path / "at")
        assert not list((tmp_path / "at").glob("*"))
    with pytest.raises(MissingData, match="evil"):
        unpack_tar(packed(tmp_path / "b.tgz", {"../../evil.txt": b"x"}), tmp_path / "at")
    assert not list(tmp_path.rglob("evil.txt"))
