"""How long lists are written in messages and reports."""

from __future__ import annotations

from collections.abc import Iterable


def shortened(names: Iterable[object], most: int = 6, *, separator: str = ", ") -> str:
    """Return the first `most` names, and how many more there are.

    Args:
        names: written with `str`.
        most: number of names written.
        separator: between two names.

    >>> shortened("abcd", 2)
    'a, b and 2 more'
    >>> shortened(["a", "b"])
    'a, b'
    """
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more
