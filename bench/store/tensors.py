"""Checksums in safetensors files: the SHA-256 of header and tensors, kept in the file's own metadata."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bench.store.stamps import CHUNK

NAME = "geobench_sha256"


def with_checksum(content: bytes) -> bytes:
    """Return a safetensors file with its SHA-256 in its metadata.

    Args:
        content: a whole file, as ``safetensors.torch.save`` gives it.
    """
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    tensors = memoryview(content)[8 + length :]
    metadata = header.pop("__metadata__", {}) | {NAME: _begun(header, tensors).hexdigest()}
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns tensors to 8 bytes
    return b"".join([len(text).to_bytes(8, "little"), text, tensors])


def _begun(header: dict[str, object], tensors: bytes | memoryview = b"") -> hashlib._Hash:
    """Return the hash of the entries of a header, and of tensors where they are at hand."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(tensors)
    return digest


def tensors_fault(path: Path) -> str:
    """Return the fault of a file of `with_checksum`, ``""`` where its tensors are as written."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > 100 << 20:  # the format's own limit
                return f"{path} is no safetensors file"
            header = json.loads(stream.read(length))
            expected = header.pop("__metadata__", {}).get(NAME)
            digest = _begun(header)
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    except (ValueError, AttributeError, RecursionError):
        return f"{path} is no safetensors file"
    if expected is None:
        return f"{path} holds no checksum"
    return "" if digest.hexdigest() == expected else f"{path} differs from its checksum"
