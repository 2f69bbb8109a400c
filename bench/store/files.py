"""Atomic writes, tolerant reads, and what a system's error on writing means in words."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core.errors import Unwritable
from bench.core.owners import owner_tag
from bench.core.wording import os_error_remedy


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of what runs inside into a sentence about `path`.

    Raises:
        Unwritable: the system refuses to write.
    """
    try:
        yield
    except OSError as error:
        raise Unwritable(f"cannot write {path}: {os_error_remedy(error)}") from error


def make_folder(folder: Path) -> Path:
    """Return `folder`, made with its parents where it is not there.

    Raises:
        Unwritable: it cannot be made.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def temporary_name(path: Path) -> Path:
    """Return a name in the folder of `path` for what this process alone writes: ``.NAME.OWNER.part``."""
    return path.with_name(f".{path.name}.{owner_tag()}.part")


def owner_of(name: str) -> str:
    """Return the owner tag in the name of a part, a partial folder or a mark: what stands before its suffix."""
    return name.rpartition(".")[0].rpartition(".")[2]


def write_atomic(path: Path, *content: bytes | memoryview) -> None:
    """Put bytes at `path` so that a reader, or a kill at any moment, sees the old file or the new one whole.

    Args:
        path: the file; its folder is made.
        content: one or more pieces, in order.

    Raises:
        Unwritable: the system refuses.
    """
    make_folder(path.parent)
    part = temporary_name(path)
    try:
        with writing(path), part.open("xb") as stream:
            for piece in content:
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
            part.chmod(0o644)
            part.replace(path)
    except BaseException:
        discard(part)
        raise


def read_json(path: Path) -> Any:
    """Return the JSON at `path`, or None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def discard(path: Path) -> bool:
    """Remove a file, a link or a folder with all it holds; return whether nothing is left of it. Raises nothing."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return not os.path.lexists(path)


def set_aside(path: Path) -> Path | None:
    """Rename a file or folder to a name of this process, ``NAME.OWNER.trash``; None where it is gone or cannot be."""
    aside = path.with_name(f"{path.name}.{owner_tag()}.trash")
    try:
        path.rename(aside)
    except OSError:
        return None
    return aside
