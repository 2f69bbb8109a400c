"""Archives: unpacked below one folder, each part whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import MissingData, Unwritable
from bench.core.owners import owner_tag
from suites.reading.archives import ArchiveLimits, unpack_tar, unpack_zip
from tests.builders.stored import unwritable


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


def zipped(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpack(path: Path, into: Path, **more) -> None:
    (unpack_zip if path.suffix == ".zip" else unpack_tar)(path, into, **more)


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    return (zipped if path.suffix == ".zip" else packed)(path, files)


KINDS = ["a.zip", "a.tgz"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (ArchiveLimits(most=1000), "unpacks to more than 1,000 bytes"),
        (ArchiveLimits(members=2), "holds more than 2 files"),
        (ArchiveLimits(free=1000, ratio=50), "more than 50 times its size"),
    ],
)
def test_archives_beyond_the_limits_are_not_unpacked(tmp_path, name, limits, message):
    archive = archive_of(tmp_path / name, {f"one/{i}.bin": bytes(100_000) for i in range(3)})
    with pytest.raises(MissingData, match=message):
        unpack(archive, tmp_path / "at", limits=limits)
    assert list((tmp_path / "at").iterdir()) == []
    unpack(archive, tmp_path / "at")
    assert len(contents(tmp_path / "at")) == 3


def test_zeros_after_the_end_of_a_tar_are_held_to_the_limits(tmp_path):
    import gzip

    whole = gzip.decompress(packed(tmp_path / "a.tgz", {"a.txt": b"a"}).read_bytes())
    (tmp_path / "a.tgz").write_bytes(gzip.compress(whole + bytes(50_000_000)))
    with pytest.raises(MissingData, match="more than 50 times its size"):
        unpack_tar(tmp_path / "a.tgz", tmp_path / "at", limits=ArchiveLimits(free=1 << 20, ratio=50))


def test_a_member_that_states_a_huge_size_is_refused_before_it_is_written(tmp_path):
    entry = tarfile.TarInfo("huge.bin")
    entry.size = 10**13
    with tarfile.open(tmp_path / "plain.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    import gzip

    (tmp_path / "a.tgz").write_bytes(gzip.compress(entry.tobuf() + bytes(10_000)))
    with pytest.raises(MissingData, match="unpacks to more than 2,000,000,000,000 bytes"):
        unpack_tar(tmp_path / "a.tgz", tmp_path / "at")


def test_encrypted_archives_are_a_sentence(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", {"a.txt": b"a"}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag, in the entry and in the directory
        content[content.index(signature) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(MissingData, match="is encrypted, and no password is known"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "at")


def test_links_and_absolute_paths_are_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(MissingData, match="holds the link link"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "at")
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.addfile(link)
    with pytest.raises(MissingData, match="link"):
        unpack_tar(tmp_path / "a.tgz", tmp_path / "at")
    for name in KINDS:
        with pytest.raises(MissingData, match="evil"):
            unpack(archive_of(tmp_path / name, {f"{tmp_path}/evil.txt": b"x"}), tmp_path / "at")
    assert not list(tmp_path.rglob("evil.txt")) and list((tmp_path / "at").iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"<html>", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_named(tmp_path, damage):
    (tmp_path / "a.zip").write_bytes(damage)
    if damage.startswith(b"PK\x05"):  # an archive of nothing
        unpack_zip(tmp_path / "a.zip", tmp_path / "at")
        return
    with pytest.raises(MissingData, match=r"cannot unpack .*a\.zip"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "at")


def test_unknown_compressions_and_wrong_checksums_are_named(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", {"a.txt": b"a" * 100}, zipfile.ZIP_STORED).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(signature) + offset] = 77
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(MissingData, match=r"cannot unpack .*a\.zip"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "at")
    content = bytearray(zipped(tmp_path / "a.zip", {"a.txt": b"a" * 100}, zipfile.ZIP_STORED).read_bytes())
    content[content.index(b"aaaa")] = 98
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(MissingData, match=r"cannot unpack .*a\.zip"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "at")


@pytest.mark.parametrize("name", KINDS)
def test_a_disk_that_is_full_or_read_only_is_no_fault_of_the_archive(tmp_path, name, monkeypatch):
    archive = archive_of(tmp_path / name, {"one/a.bin": noise(1000)})
    with unwritable(tmp_path / "at") as folder, pytest.raises(Unwritable, match="permission is denied"):
        archive_read_by_all(archive, folder)

    def copyfileobj(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", copyfileobj)
    monkeypatch.setattr(tarfile, "copyfileobj", copyfileobj)
    with pytest.raises(Unwritable, match="no space is left on the disk"):
        unpack(archive, tmp_path / "at")


def archive_read_by_all(archive: Path, folder: Path) -> None:
    """Unpack an archive below a folder of another user's, who cannot look into that of the archive."""
    root = os.geteuid()
    os.seteuid(os.getuid())
    copy = folder.parent / archive.name
    folder.parent.chmod(0o755)
    shutil.copy(archive, copy)
    os.seteuid(root)
    unpack(copy, folder)


@pytest.mark.parametrize("name", KINDS)
def test_what_a_killed_process_left_is_removed_and_that_of_a_living_one_stays(tmp_path, name):
    archive = archive_of(tmp_path / name, {"one/a.txt": b"a"})
    dead = tmp_path / "at" / f".{name}.{owner_tag().rsplit('-', 3)[0]}-999999999-0-00.unpacked"
    alive = tmp_path / "at" / f".{name}.{owner_tag()}.unpacked"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    unpack(archive, tmp_path / "at")
    assert sorted(path.name for path in (tmp_path / "at").iterdir()) == [alive.name, "one"]
