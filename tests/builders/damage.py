"""Ways in which a stored file comes to harm."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

Harm = Callable[[Path, Path], None]


def _flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1
    path.write_bytes(bytes(content))


def _swap(path: Path, other: Path) -> None:
    content, other_content = path.read_bytes(), other.read_bytes()
    path.write_bytes(other_content)
    other.write_bytes(content)


def _instead(make: Callable[[Path], None]) -> Harm:
    def harm(path: Path, other: Path) -> None:
        path.unlink()
        make(path)

    return harm


HARMS: dict[str, Harm] = {
    "cut in half": lambda path, other: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "last byte gone": lambda path, other: path.write_bytes(path.read_bytes()[:-1]),
    "first byte left": lambda path, other: path.write_bytes(path.read_bytes()[:1]),
    "empty": lambda path, other: path.write_bytes(b""),
    "first byte flipped": lambda path, other: _flip(path, 0.0),
    "middle byte flipped": lambda path, other: _flip(path, 0.5),
    "byte flipped near the end": lambda path, other: _flip(path, 0.9),
    "last byte flipped": lambda path, other: _flip(path, 1.0),
    "zeros": lambda path, other: path.write_bytes(bytes(path.stat().st_size)),
    "doubled": lambda path, other: path.write_bytes(path.read_bytes() * 2),
    "more behind it": lambda path, other: path.write_bytes(path.read_bytes() + b"more"),
    "a list": lambda path, other: path.write_bytes(b"[1, 2]"),
    "null": lambda path, other: path.write_bytes(b"null"),
    "a number": lambda path, other: path.write_bytes(b"3"),
    "text": lambda path, other: path.write_bytes(b'"text"'),
    "an empty object": lambda path, other: path.write_bytes(b"{}"),
    "other keys": lambda path, other: path.write_bytes(b'{"a": 1, "content": {}, "checksum": "0", "about": "1"}'),
    "nested without end": lambda path, other: path.write_bytes(b"[" * 50_000),
    "a web page": lambda path, other: path.write_bytes(b"<!doctype html><html>log in</html>"),
    "not text": lambda path, other: path.write_bytes(bytes(range(128, 256))),
    "swapped": _swap,
    "replaced by another": lambda path, other: shutil.copy(other, path),
    "gone": lambda path, other: path.unlink(),
    "a link to nothing": _instead(lambda path: path.symlink_to(path.with_name("nothing"))),
    "a link to itself": _instead(lambda path: path.symlink_to(path)),
    "a folder": _instead(Path.mkdir),
}
"""Name -> (the file, another of its kind) -> harm done."""
