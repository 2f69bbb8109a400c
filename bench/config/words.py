"""Reading ``key=value`` words, on top of a YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.config.files import literal, read_config_file, resolved
from bench.core.errors import BadSetting, UnknownName
from bench.core.wording import clipped

KEY = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")
QUOTES = "'\""


def read_words(words: Iterable[str], known: Sequence[str], nested: Sequence[str] = ()) -> dict[str, Any]:
    """Return the mapping that ``key=value`` words spell, on top of the file that ``config=`` names.

    Args:
        words: e.g. ``["suite=demo", "models=[tiny_*]", "probe.pools=mean"]``.
        known: keys that exist at the top.
        nested: names that may stand before a dot (protocols).

    Raises:
        BadSetting: a word without ``=`` or without a value, a key given twice, or a file that cannot be read.
        UnknownName: a key that is not known.

    Example:
        >>> read_words(["models=[a,b]", "probe.c=1"], ["models"], ["probe"])
        {'models': ['a', 'b'], 'probe': {'c': '1'}}
    """
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip()
        if not equals:
            raise BadSetting(f"{clipped(word)!r} is no key=value word; e.g. suite=demo models=[tiny_*]")
        if key in given:
            raise BadSetting(f"{key} is given twice: {given[key]!r} and {clipped(text)!r}; give it once")
        _check_key(key, known, nested)
        given[key] = _value(key, text)
    merged = _from_file(Path(str(given.pop("config"))), known, nested) if "config" in given else {}
    for key, value in given.items():
        top, dot, inner = key.partition(".")
        if dot:
            own = merged.setdefault(top, {})
            if not isinstance(own, dict):
                raise BadSetting(f"{key} is a setting of {top}, but {top} is given as {clipped(repr(own))}")
            own[inner] = value
        else:
            merged[key] = value
    return resolved(merged)


def _check_key(key: str, known: Sequence[str], nested: Sequence[str]) -> None:
    top, dot, _ = key.partition(".")
    if dot and top in nested and not KEY.fullmatch(key):
        raise BadSetting(f"{clipped(key)!r} is no name of a setting; write e.g. probe.pools=mean")
    if dot and top not in nested:
        raise UnknownName("protocol with settings", top, nested)
    if not dot and key not in known:
        raise UnknownName("setting", key, [*known, *(f"{name}.*" for name in nested)])


def _from_file(path: Path, known: Sequence[str], nested: Sequence[str]) -> dict[str, Any]:
    content = read_config_file(path)
    for key in content:
        if key == "config" or (key not in known and key not in nested):
            raise UnknownName(f"setting in {path}", key, [*(name for name in known if name != "config"), *nested])
    return content


def _value(key: str, text: str) -> Any:
    """Return the value of a word: ``[a,b]`` and ``a,b`` are lists, all else is text for pydantic to coerce.

    Text in quotes is taken as it stands: ``'a,b'`` is no list, ``"[x]"`` neither.
    """
    text = text.strip()
    if not text:
        raise BadSetting(f"{key}= has no value; leave it out for the default, or write {key}=[] for an empty list")
    parts = _parts(text)
    if parts is None:
        raise BadSetting(f"unbalanced bracket or quote in {key}={clipped(text)}; a list reads [a,b] or a,b")
    listed = len(parts) > 1
    if not listed and (inner := _bracketed(text)) is not None:
        parts, listed = (_parts(inner) or []) if inner.strip() else [], True
    if listed and not all(parts[:-1]):  # a comma at the end is allowed
        raise BadSetting(f"{key}={clipped(text)} has an empty item; a list reads [a,b] or a,b")
    return [_plain(part) for part in parts if part] if listed else _plain(text)


def _depths(text: str) -> list[int] | None:
    """Return how many brackets are open at each character, -1 within quotes; None where one is left open.

    A quote opens at the start of an item only, so that ``O'Brien`` is a plain item.
    """
    depths: list[int] = []
    depth, quote, escaped, fresh = 0, "", False, True
    for char in text:
        if quote:
            depths.append(-1)
            ends = char == quote and not escaped
            escaped = char == "\\" and quote == '"' and not escaped
            quote = "" if ends else quote
            continue
        if fresh and char in QUOTES:
            quote = char
        depth -= char == "]"
        depths.append(-1 if quote else depth)
        depth += char == "["
        if depth < 0:
            return None
        fresh = char in ",[" or (fresh and char.isspace())
    return None if depth or quote else depths


def _parts(text: str) -> list[str] | None:
    """Split text at commas outside of quotes and brackets; None where a quote or a bracket is left open."""
    depths = _depths(text)
    if depths is None:
        return None
    commas = [place for place, char in enumerate(text) if char == "," and depths[place] == 0]
    bounds = zip([0, *(place + 1 for place in commas)], [*commas, len(text)], strict=True)
    return [text[start:end].strip() for start, end in bounds]


def _bracketed(text: str) -> str | None:
    """Return what stands between brackets that enclose the whole text; None for others, such as ``[ab]_[12]``."""
    depths = _depths(text) or [0]
    enclosed = text.startswith("[") and text.endswith("]") and all(depth for depth in depths[1:-1])
    return text[1:-1] if enclosed else None


def _plain(item: str) -> str:
    """Return an item without its quotes; what was quoted is not interpolated."""
    if len(item) < 2 or item[0] not in QUOTES or item[0] != item[-1]:
        return item
    inner = item[1:-1]
    if item[0] == '"':
        inner = re.sub(r"\\([\\\"])", r"\1", inner)
    return literal(inner)


def spelled(key: str, value: Any) -> list[str]:
    """Return the words that spell a value, so that `read_words` gives it back.

    Example:
        >>> spelled("models", ["tiny_mae", "path:my, own.pth:dofa_base"])
        ['models=[tiny_mae,"path:my, own.pth:dofa_base"]']
        >>> spelled("probe", {"pools": "mean", "c": (0.1, 1)})
        ['probe.pools=mean', 'probe.c=[0.1,1]']
    """
    if isinstance(value, Mapping):
        return [word for name, item in value.items() for word in spelled(f"{key}.{name}", item)]
    if isinstance(value, list | tuple):
        return [f"{key}=[{','.join(_quoted(str(item)) for item in value)}]"]
    return [f"{key}={_quoted(str(value))}"]


def _quoted(text: str) -> str:
    if text and "${" not in text and text[0] not in "'\"[" and _parts(text) == [text]:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
