"""Names that may become parts of file names: of suites, tasks, splits and models."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 160  # characters; file systems take 255 bytes, and suffixes follow
_FORBIDDEN = frozenset('/\\:*?"<>|')


def file_name_fault(name: object) -> str:
    """Return why a name cannot be part of a file name, or ``""`` where it can.

    Such a name is one part of a path on every system: no separators, no control characters, no leading dot.
    """
    if not isinstance(name, str) or not name:
        return "is no text" if not isinstance(name, str) else "is empty"
    if len(name.encode(errors="replace")) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if name.startswith("."):
        return "begins with a dot"
    if name != name.strip():
        return "begins or ends with a space"
    for character in name:
        if character in _FORBIDDEN or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            return f"holds {character!r}"
    return ""


def as_file_name(text: str) -> str:
    """Return a text with everything but letters, digits, ``.``, ``_``, ``+`` and ``-`` replaced by ``_``."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._-")[:80] or "unnamed"
