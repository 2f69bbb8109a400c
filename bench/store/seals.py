"""The envelope of stored things: a checksum over the whole content, and the key that the content belongs to.

Small facts are JSON objects ``{"about", "checksum", "content"}``. Large binary content follows one line of JSON with
the same facts. What is read is what was written, and of what was asked for; anything else is
`bench.core.errors.Damaged`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bench.core import sha256_of
from bench.core.errors import Damaged
from bench.store.files import write_atomic

LONGEST_LINE = 1 << 16


def checksum_of(content: object) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys and the spaces between them.

    Unlike `bench.core.sha256_of` it takes NaN and infinite numbers, which scores may be.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(content: object) -> Any:
    """Return a value as it comes back from JSON: tuples and arrays as lists, keys as text, other objects as text."""
    return json.loads(
        json.dumps(content, default=lambda value: value.tolist() if hasattr(value, "tolist") else str(value))
    )


def parse_json(path: Path) -> object:
    """Return the JSON in a file.

    Raises:
        Damaged: it is none.
        OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is no JSON ({error})") from error


def write_sealed(path: Path, about: object, content: object) -> None:
    """Write a JSON value with its checksum and its key.

    Raises:
        Unwritable: the system refuses.
    """
    about, content = sha256_of(about), plain(content)
    envelope = {"about": about, "checksum": checksum_of([about, content]), "content": content}
    write_atomic(path, json.dumps(envelope, indent=1, sort_keys=True).encode() + b"\n")


def read_sealed(path: Path, about: object = None) -> Any:
    """Return the content of a sealed file, or None where there is no such file.

    Args:
        path: written by `write_sealed`.
        about: as given there; None takes the file whatever it is about.

    Raises:
        Damaged: it is not what was written, or about something else.
    """
    try:
        envelope = parse_json(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    if not isinstance(envelope, dict) or set(envelope) != {"about", "checksum", "content"}:
        raise Damaged(f"{path} is no sealed file of this version")
    if envelope["checksum"] != checksum_of([envelope["about"], envelope["content"]]):
        raise Damaged(f"{path} differs from its checksum")
    if about is not None and envelope["about"] != sha256_of(about):
        raise Damaged(f"{path} is about something else")
    return envelope["content"]


def write_sealed_bytes(path: Path, about: str, content: bytes | memoryview) -> None:
    """Write binary content below a line with its checksum and its key.

    Raises:
        Unwritable: the system refuses.
    """
    facts = {"about": about, "bytes": len(content), "checksum": hashlib.sha256(content).hexdigest()}
    write_atomic(path, json.dumps(facts, sort_keys=True).encode() + b"\n", content)


def read_sealed_bytes(path: Path, about: str) -> bytes | None:
    """Return binary content written by `write_sealed_bytes`, or None where there is no such file.

    Raises:
        Damaged: it is not what was written, or about something else.
    """
    try:
        with path.open("rb") as stream:
            line = stream.readline(LONGEST_LINE)
            content = stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    try:
        facts = json.loads(line)
        stated = (facts["about"], facts["bytes"], facts["checksum"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{path} is no sealed file of this version") from error
    if stated[1:] != (len(content), hashlib.sha256(content).hexdigest()):
        raise Damaged(f"{path} differs from its checksum")
    if stated[0] != about:
        raise Damaged(f"{path} is about {stated[0]}, not {about}")
    return content
