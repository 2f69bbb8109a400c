"""Data folders, listed names and formats: nothing outside the data folder is read, and every error names the file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bench.core.errors import Incompatible, MissingData
from suites.reading import (
    is_there,
    listed_path,
    listed_stem,
    locate,
    read_lines,
    reading,
    require,
    require_all,
    require_distinct,
)
from suites.reading.files import checked_file, content_of, format_of


@pytest.fixture
def folder(tmp_path):
    """A located data folder with one list, and a file outside of it."""
    (tmp_path / "data" / "toy").mkdir(parents=True)
    (tmp_path / "data" / "toy" / "list.txt").write_text("a.tif\n")
    (tmp_path / "secret.txt").write_text("secret\n")
    return locate("toy", tmp_path / "data", "toy", ["list.txt"], "ask for it")


def test_folders_are_located_by_their_markers(tmp_path, folder):
    assert folder == tmp_path / "data" / "toy"
    assert locate("toy", folder, "toy", ["list.txt"], "") == folder, "data= may name the folder itself"
    assert locate("toy", tmp_path / "data", "toy", ["*.txt"], "") == folder
    with pytest.raises(MissingData, match=r"toy not found under .*toy: looked for x\.txt or y; ask for it or set"):
        locate("toy", tmp_path / "data", "toy", ["x.txt", "y"], "ask for it")


def test_links_out_of_the_data_folder_are_refused(tmp_path, folder):
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up.txt").symlink_to("../../secret.txt")
    (folder / "elsewhere").symlink_to(tmp_path)
    for path in (folder / "out.txt", folder / "up.txt", folder / "elsewhere" / "secret.txt"):
        with pytest.raises(MissingData, match=rf"cannot read .*{path.name}: it leads to .*secret\.txt, outside of"):
            read_lines(path)
    with pytest.raises(MissingData, match="it leads to"):
        read_lines(folder / ".." / ".." / "secret.txt")


def test_links_within_the_folder_and_a_folder_that_is_a_link_are_followed(tmp_path, folder):
    (folder / "a.txt").symlink_to("list.txt")
    assert read_lines(folder / "a.txt") == ["a.tif"]
    (tmp_path / "other").symlink_to(tmp_path / "data")
    linked = locate("toy", tmp_path / "other", "toy", ["list.txt"], "")
    assert read_lines(linked / "list.txt") == ["a.tif"]


def test_outside_of_a_located_folder_a_file_stays_in_its_own(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "secret.txt").write_text("secret\n")
    (tmp_path / "a" / "link.txt").symlink_to("../secret.txt")
    assert read_lines(tmp_path / "secret.txt") == ["secret"]
    with pytest.raises(MissingData, match="it leads to"):
        read_lines(tmp_path / "a" / "link.txt")


@pytest.mark.parametrize("name", ["/vsicurl/http://localhost/x.tif", "/vsizip/a.zip/b.tif", "/vsimem/a"])
def test_names_that_gdal_reads_from_elsewhere_are_refused(name):
    with pytest.raises(MissingData, match="names that begin with /vsi stand for no file on disk"):
        checked_file(Path(name))


def test_a_pipe_is_refused_and_does_not_block(folder):
    os.mkfifo(folder / "pipe.txt")
    errors = []

    def read():
        try:
            content_of(folder / "pipe.txt")
        except MissingData as error:
            errors.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert errors and "it is not a regular file" in errors[0]
    with pytest.raises(MissingData, match="not a regular file"):
        checked_file(folder)


@pytest.mark.parametrize(("name", "reason"), [
    ("/etc/passwd", "does not name a file"),
    ("../x.tif", "does not name a file"),
    ("a/../../x.tif", "does not name a file"),
    ("", "does not name a file"),
    ("images\\a.tif", r"a name with backslashes; write it with forward slashes: images/a\.tif"),
    ("C:\\data\\a.tif", "a name with backslashes"),
])  # fmt: skip
def test_listed_names_stay_below_the_folder(name, reason, folder):
    with pytest.raises(MissingData, match=rf"list\.csv lists .*{reason}"):
        listed_path(folder, name, "list.csv")


def test_listed_names(folder):
    assert listed_path(folder, "images/a.tif", "list.csv") == folder / "images" / "a.tif"
    assert listed_stem("images/a.b.tif", "list.csv") == "a.b"


def test_absent_files_are_named_with_their_number(folder):
    paths = [folder / name for name in ("list.txt", "x.tif", "y.tif")]
    with pytest.raises(MissingData, match=r"toy is incomplete: 2 of 3 files listed in l\.csv are absent, .*x\.tif; "):
        require_all(paths, "toy", "l.csv")
    require_all(paths[:1], "toy", "l.csv")
    assert require(paths[0], "toy", "the list") == paths[0]
    with pytest.raises(MissingData, match=r"x\.tif is absent \(an image\)"):
        require(paths[1], "toy", "an image")


def test_another_case_and_impossible_names_are_sentences(folder):
    (folder / "A.TIF").touch()
    if not (folder / "a.tif").exists():  # on file systems that tell them apart
        with pytest.raises(MissingData, match=r"a\.tif .*holds A\.TIF, which differs in upper and lower case"):
            require_all([folder / "a.tif"], "toy", "list.txt")
    for name in ("x" * 5000, "a\0b"):
        assert not is_there(folder / name)
        with pytest.raises(MissingData) as caught:
            require(folder / name, "toy", "an image")
        assert len(str(caught.value)) < 1000


def test_a_sample_in_two_splits_is_named():
    with pytest.raises(MissingData, match="toy lists b twice: in train and in test"):
        require_distinct("toy", {"train": ["a", "b"], "test": ["c", "b"]})


@pytest.mark.parametrize(("content", "what"), [
    (b"", "empty"),
    (b"\n<!DOCTYPE html><html>", "an HTML page"),
    (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    (b"<VRTDataset>", r"a virtual raster \(VRT\)"),
    (b"%!PS-Adobe", "a PostScript program"),
    (b"\xff\xd8\xff\xe0", "a JPEG"),
    (b"\0\1\2\3", r"of an unknown format \(it begins with b'\\x00\\x01\\x02\\x03'\)"),
])  # fmt: skip
def test_formats_are_known_by_the_first_bytes(content, what, folder):
    (folder / "a.tif").write_bytes(content)
    with pytest.raises(MissingData, match=rf"cannot read .*a\.tif: it is {what}.*, expected a GeoTIFF or PNG"):
        format_of(folder / "a.tif", "GeoTIFF", "PNG")
    (folder / "a.tif").write_bytes(b"MM\0*")
    assert format_of(folder / "a.tif", "GeoTIFF", "PNG") == "GeoTIFF"


def test_every_error_of_a_decoder_names_the_file():
    for error, reason in (
        (KeyError("label"), "'label' is missing"), (MemoryError(), "larger than memory"), (RecursionError(), "deeply"),
        (AssertionError(), "AssertionError"), (ValueError("x" * 5000), "xxx"), (OSError("broken"), "broken"),
    ):  # fmt: skip
        with pytest.raises(MissingData, match=rf"cannot read a\.tif: .*{reason}") as caught, reading("a.tif"):
            raise error
        assert len(str(caught.value)) < 500
    with pytest.raises(Incompatible), reading("a.tif"):
        raise Incompatible("an error of this project stays what it is")
    with pytest.raises(KeyboardInterrupt), reading("a.tif"):
        raise KeyboardInterrupt


def test_documents_beyond_the_limit_are_refused(folder):
    with pytest.raises(MissingData, match=r"list\.txt: it is of 6 bytes, and more than 5 are not read"):
        content_of(folder / "list.txt", 5)
    (folder / "none.txt").touch()
    with pytest.raises(MissingData, match=r"none\.txt: it is empty"):
        content_of(folder / "none.txt")
