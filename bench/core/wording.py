"""Texts that several rooms print: long lists shortened, system errors in a sentence, control characters spelled out."""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Sequence


def shortened(items: Sequence[object], most: int = 5, *, hint: str = "") -> str:
    """Return the first items in one line, and how many more there are.

    Args:
        items: anything with a text.
        most: items that are written out.
        hint: where the others can be seen, put in parentheses.

    Example:
        >>> shortened(["a", "b", "c", "d"], 2, hint="--dry names them")
        'a, b and 2 more (--dry names them)'
        >>> shortened(["a", "b"])
        'a, b'
    """
    text = ", ".join(str(item) for item in items[:most])
    if len(items) <= most:
        return text
    return f"{text} and {len(items) - most} more" + (f" ({hint})" if hint else "")


def clipped(text: str, most: int = 200) -> str:
    """Return text of at most `most` characters; the middle of a longer one is replaced by its length.

    Example:
        >>> clipped("x" * 1000, 20)
        'xxxxxxxxxx...(1000 characters)'
    """
    return text if len(text) <= most else f"{text[: most // 2]}...({len(text)} characters)"


def printable(text: str) -> str:
    r"""Return text that cannot control a terminal: control characters are spelled out, line ends are kept.

    Example:
        >>> printable("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    steering = {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char != "\n"}
    for char in steering:
        text = text.replace(char, char.encode("unicode_escape", "surrogatepass").decode("ascii"))
    return text


_REMEDIES: dict[tuple[int, ...], str] = {
    (errno.EACCES, errno.EPERM): "permission is denied; change its permissions, or name another place",
    (errno.EROFS,): "the disk is read-only; name another place",
    (errno.ENOSPC, errno.EDQUOT): "no space is left on the disk; free some, or name a place on another disk",
    (errno.EEXIST, errno.ENOTDIR): "a file lies where a folder is needed; move it, or name another place",
    (errno.EISDIR,): "it is a folder where a file is needed; name a file",
    (errno.EFBIG,): "the file grows beyond what is allowed (ulimit -f) or can be stored there; name another place",
    (errno.ENOENT,): "there is no such file or folder; check the path",
    (errno.ENAMETOOLONG,): "the name is too long; name a shorter place",
    (errno.ELOOP,): "its links lead in a circle; name the place itself",
    (errno.EMFILE, errno.ENFILE): "too many files are open; raise the limit (ulimit -n)",
    (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP): "the disk supports no file locks; name a place on a local disk",
    (errno.EIO,): "the disk failed to read or write; check it, or name another place",
    (errno.ESTALE,): "the network disk lost the file; run again",
}
_PLACES = "places are set by results=, cache=, data=, weights="


def os_error_sentence(error: OSError) -> str:
    """Return an error of the operating system as a sentence: the path, what is wrong with it, and what to do.

    Example:
        >>> os_error_sentence(OSError(errno.ENOSPC, "No space left on device", "results/demo"))
        'results/demo: no space is left on the disk; free some, or name a place on another disk (places are set by ...)'
    """
    paths = [str(name) for name in (error.filename, error.filename2) if name is not None]
    where = printable(" -> ".join(clipped(path) for path in paths)) or "a file that this command reads or writes"
    return f"{where}: {os_error_remedy(error)} ({_PLACES})"


def os_error_remedy(error: OSError) -> str:
    """Return fault and remedy in words, without the path.

    Example:
        >>> os_error_remedy(OSError(errno.EROFS, "Read-only file system"))
        'the disk is read-only; name another place'
    """
    remedy = next((text for codes, text in _REMEDIES.items() if error.errno in codes), "")
    return remedy or printable(str(error.strerror or error)) or type(error).__name__
