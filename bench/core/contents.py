"""Kind of a file's content, from its first bytes; names and suffixes are not trusted."""

from __future__ import annotations

from pathlib import Path

HEAD = 512  # bytes that `kind_of` wants to see

_STARTS = (
    (b"version https://git-lfs", "lfs"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x93NUMPY", "npy"),
    (b"PAR1", "parquet"),
    (b"GGUF", "gguf"),
)

REFUSALS = {
    "empty": "is empty",
    "lfs": "is a Git LFS pointer, not the file it points to (git lfs pull brings that)",
    "html": "is a web page (a login or error page saved in the file's place)",
    "json": "is JSON text (an error message or an index, not the file itself)",
    "gzip": "is a gzip archive; unpack it first",
    "bzip2": "is a bzip2 archive; unpack it first",
    "xz": "is an xz archive; unpack it first",
    "zstd": "is a Zstandard archive; unpack it first",
    "tar": "is a tar archive; unpack it first",
    "hdf5": "is an HDF5 file",
    "npy": "is a NumPy array",
    "parquet": "is a Parquet table",
    "gguf": "is a GGUF file",
}
"""Kind -> its description in messages; kinds that can hold weights of a network have none."""


def kind_of(head: bytes) -> str:
    """Return a file's kind from its first `HEAD` bytes: a key of `REFUSALS`, or ``safetensors``, ``zip``, ``pickle``.

    Returns ``""`` for anything else.
    """
    if not head:
        return "empty"
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    # A safetensors file: the length of its header as 8 bytes, then that header, a JSON object.
    if len(head) > 9 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") < 1 << 32:
        return "safetensors"
    if head[:1] == b"\x80" and 2 <= head[1] <= 5:
        return "pickle"
    if head[257:262] == b"ustar":
        return "tar"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<script", b"<!--")):
        return "html"
    if text.startswith((b"{", b"[")) and _is_text(head):
        return "json"
    return ""


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def head_of(path: Path) -> bytes:
    """Return the first `HEAD` bytes of a file."""
    with path.open("rb") as stream:
        return stream.read(HEAD)
