"""The files of a suite: their paths, whether they exist, and whether they are inside the data folder.

Data come from other people, so no reader of this package follows a link out of the data folder, opens a name that
stands for something else than a file (``/vsicurl/...``), or trusts an ending: the first bytes of a file decide its
format.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bench.core.errors import BenchError, MissingData

GIGABYTE = 1 << 30
MOST_BYTES = 4 * GIGABYTE
"""Largest array or document in bytes that is read at once; files that claim more are damaged."""

SIGNATURES: dict[str, tuple[bytes, ...]] = {
    "GeoTIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "HDF5": (b"\x89HDF\r\n\x1a\n",),
    "NumPy array": (b"\x93NUMPY",),
    "zip archive": (b"PK\3\4",),
    "parquet table": (b"PAR1",),
    "SQLite database": (b"SQLite format 3\0",),
}
"""Format -> what the first bytes of its files can be."""

# What else is often found in place of data, by the first bytes in lower case.
MISTAKEN = {
    b"<!doctype html": "an HTML page, as servers send for errors and logins",
    b"<html": "an HTML page, as servers send for errors and logins",
    b"version https://git-lfs": "a pointer of Git LFS; run git lfs pull",
    b"<?xml": "an XML document",
    b"<vrtdataset": "a virtual raster (VRT), which refers to other files",
    b"%!ps": "a PostScript program",
    b"cdf": "a netCDF file of the classic format",
    b"gif8": "a GIF picture",
    b"%pdf": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
}

# Data folder as `locate` returned it -> the folder it is once links are resolved.
_located: dict[str, str] = {}


def locate(suite: str, root: Path, folder: str, markers: Sequence[str], how: str) -> Path:
    """Return the folder that holds a suite's files: ``root/folder`` or `root` itself, whichever has a marker.

    The folder itself may be a link. Links inside it must stay inside it: the readers of this package refuse others.

    Args:
        suite: name of the suite, for the message.
        root: what the user gave as ``data=``.
        folder: the suite's own folder below `root`.
        markers: relative paths, any of which shows that a folder is the right one; ``*`` stands for any name.
        how: how to get the data, for the message.

    Raises:
        MissingData: if neither folder has a marker.
    """
    for candidate in (root / folder, root):
        if any(_has(candidate, marker) for marker in markers):
            _located[str(candidate.absolute())] = os.path.realpath(candidate)
            return candidate
    looked = " or ".join(markers)
    raise MissingData(f"{suite} not found under {root / folder}: looked for {looked}; {how} or set data=...")


def _has(folder: Path, marker: str) -> bool:
    return any(folder.glob(marker)) if "*" in marker else is_there(folder / marker)


def is_there(path: Path) -> bool:
    """Return whether a file or folder of that name exists; False for names that no file can have."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def require(path: Path, suite: str, why: str) -> Path:
    """Return `path` if it is there.

    Args:
        path: a file or folder.
        suite: name of the suite, for the message.
        why: what the file is for, for the message.

    Raises:
        MissingData: with the name of the file and `why` it is needed.
    """
    if not is_there(path):
        raise MissingData(
            f"{suite} is incomplete: {_short(path)} is absent ({why}){_other_case(path)}; download it again"
        )
    return path


def require_all(paths: Sequence[Path], suite: str, listed_in: str) -> None:
    """Check that every listed file is there.

    Args:
        paths: the files.
        suite: name of the suite, for the message.
        listed_in: name of the list, for the message.

    Raises:
        MissingData: with the number of absent files and the name of the first.
    """
    absent = [path for path in paths if not is_there(path)]
    if absent:
        raise MissingData(
            f"{suite} is incomplete: {len(absent)} of {len(paths)} files listed in {listed_in} are absent, "
            f"the first is {_short(absent[0])}{_other_case(absent[0])}; download them again"
        )


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 500 else f"{text[:240]} ... {text[-240:]}"


def _other_case(path: Path) -> str:
    """Return a hint if the folder holds the file under a name that differs in upper and lower case only."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, ValueError):
        return ""
    like = next((name for name in names if name.lower() == path.name.lower()), "")
    return f" (the folder holds {like}, which differs in upper and lower case: rename it)" if like else ""


def require_distinct(
    suite: str, ids: Mapping[str, Sequence[str]], listed_in: Mapping[str, str | Path] | str | Path = ""
) -> None:
    """Check that no sample is listed twice, within a split or across splits.

    Args:
        suite: name of the suite, for the message.
        ids: split -> sample ids.
        listed_in: the list that states them, or split -> its list, for the message.

    Raises:
        MissingData: with the first id that occurs twice, and where.
    """
    seen: dict[str, str] = {}
    for split, names in ids.items():
        for name in names:
            if name in seen:
                lists = [
                    listed_in.get(key, "") if isinstance(listed_in, Mapping) else listed_in
                    for key in (seen[name], split)
                ]
                where = " and ".join(dict.fromkeys(str(file) for file in lists if file))
                raise MissingData(
                    f"{suite} lists {name} twice: in {seen[name]} and in {split}; a sample may be in one split only"
                    f"{f': correct {where}' if where else ''}"
                )
            seen[name] = split


def listed_path(folder: Path, name: str, listed_in: Path | str) -> Path:
    """Return ``folder/name`` for a file name that a list of the publisher states.

    Args:
        folder: the data folder, or a folder below it.
        name: relative path with forward slashes, as listed.
        listed_in: the list, for the message.

    Raises:
        MissingData: if the name is empty, absolute, written with backslashes, or leads out of `folder`.
    """
    if "\\" in name:
        raise MissingData(
            f"{listed_in} lists {name[:200]!r}, a name with backslashes; write it with forward slashes: "
            f"{name[:200].replace(chr(92), '/')}"
        )
    relative = PurePosixPath(name)
    if not name or relative.is_absolute() or ".." in relative.parts or not relative.parts:
        where = f"below {folder}" if folder.parts else "in the data folder"
        raise MissingData(f"{listed_in} lists {name[:200]!r}, which does not name a file {where}; replace it")
    return folder / relative


def listed_stem(name: str, listed_in: Path | str) -> str:
    """Return the file name without folder and ending that a line of a list states.

    Raises:
        MissingData: see `listed_path`.
    """
    return listed_path(Path(), name, listed_in).stem


def checked_file(path: Path) -> Path:
    """Return `path` if it is a regular file that may be read: one inside the data folder, by a plain name.

    Raises:
        MissingData: if there is no such file, if it is a folder, pipe or device, if its name is one that GDAL reads
            from elsewhere (``/vsi...``), or if a link leads out of the data folder (of the folder the file lies in,
            where `locate` did not find the data folder).
    """
    absolute = path.absolute()
    if str(absolute).startswith("/vsi"):
        raise MissingData(f"cannot read {path}: names that begin with /vsi stand for no file on disk; name a file")
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise MissingData(f"cannot read {_short(path)}: there is no such file; download it again") from error
    if not stat.S_ISREG(mode):
        raise MissingData(f"cannot read {path}: it is not a regular file; replace it by the published file")
    folder = next((str(parent) for parent in absolute.parents if str(parent) in _located), str(absolute.parent))
    inside = _located.get(folder) or os.path.realpath(folder)
    real = os.path.realpath(absolute)
    if not Path(real).is_relative_to(inside):
        raise MissingData(
            f"cannot read {path}: it leads to {real}, outside of {folder}; links out of the data folder are not "
            "followed: copy the file there"
        )
    return path


def content_of(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a file; see `checked_file`.

    Args:
        path: the file.
        most: largest size in bytes.

    Raises:
        MissingData: if the file may not be read, is empty, or is larger than `most`.
    """
    size = checked_file(path).stat().st_size
    if not 0 < size <= most:
        state = "empty" if not size else f"of {size:,} bytes, and more than {most:,} are not read"
        raise MissingData(f"cannot read {path}: it is {state}; download it again")
    with reading(path):
        return path.read_bytes()


def format_of(path: Path, *known: str) -> str:
    """Return which of the `known` formats a file has, by its first bytes.

    Args:
        path: the file.
        known: keys of `SIGNATURES`.

    Raises:
        MissingData: if the file may not be read (see `checked_file`) or has another format; names what it is instead.
    """
    with reading(path), checked_file(path).open("rb") as file:
        start = file.read(32)
    return format_of_bytes(start, str(path), *known)


def format_of_bytes(start: bytes, label: str, *known: str) -> str:
    """Return which of the `known` formats bytes have; see `format_of`.

    Args:
        start: the first 32 bytes.
        label: what they are, for the message.
        known: keys of `SIGNATURES`.

    Raises:
        MissingData: if they have another format.
    """
    for name in known:
        if start.startswith(SIGNATURES[name]):
            return name
    lower = start.lstrip().lower()
    other = [text for begin, text in MISTAKEN.items() if lower.startswith(begin)]
    other += [f"a {name}" for name, begins in SIGNATURES.items() if start.startswith(begins)]
    what = "empty" if not start else next(iter(other), f"of an unknown format (it begins with {start[:8]!r})")
    raise MissingData(f"cannot read {label}: it is {what}, expected a {' or '.join(known)}; download it again")


@contextmanager
def reading(label: Path | str, expected: str = "") -> Iterator[None]:
    """Report every error of a block that decodes a file with the name of the file.

    Decoders raise errors of many kinds for damaged bytes, so every `Exception` is meant; errors of this project pass
    unchanged. Keep the block small: it must hold nothing but decoding.

    Args:
        label: the file, or a part of one.
        expected: what the file must hold, for the message.

    Raises:
        MissingData: with the name of the file and the reason.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        wanted = f", expected {expected}" if expected else ""
        raise MissingData(
            f"cannot read {label}: {_reason(error)}{wanted}; it is damaged or cut short, download it again"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it claims to be larger than memory"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError) and error.args:
        missing = str(error.args[0])
        text = missing if " " in missing else f"{missing!r} is missing"
    else:
        text = str(error) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
