"""Reading ``key=value`` words and YAML files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.core.errors import BadSetting, UnknownName


def _value(text: str) -> Any:
    """Read the value of a word: ``[a,b]`` and ``a,b`` are lists, all else stays text for pydantic to coerce."""
    text = text.strip()
    if text.startswith("[") != text.endswith("]"):
        raise BadSetting(f"unbalanced bracket in {text!r}; a list reads [a,b] or a,b")
    inner = text[1:-1] if text.startswith("[") else text
    if text.startswith("[") or "," in inner:
        return [part.strip().strip("'\"") for part in inner.split(",") if part.strip()]
    return inner.strip("'\"")


def read_words(words: Iterable[str], known: Sequence[str], nested: Sequence[str] = ()) -> dict[str, Any]:
    """Return the mapping that ``key=value`` words spell, on top of the file that ``config=`` names.

    Args:
        words: e.g. ``["suite=demo", "models=[tiny_*]", "probe.pools=mean"]``.
        known: keys that exist at the top.
        nested: names that may stand before a dot (protocols).

    Raises:
        BadSetting: a word without ``=``, or a key given twice.
        UnknownName: a key that is not known.
    """
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip().lstrip("-")
        if not equals:
            raise BadSetting(f"{word!r} is no key=value word; e.g. suite=demo models=[tiny_*]")
        if key in given:
            raise BadSetting(f"{key} is given twice: {given[key]!r} and {text!r}; say it once")
        top, dot, _ = key.partition(".")
        if dot and top not in nested:
            raise UnknownName("protocol with settings", top, nested)
        if not dot and key not in known:
            raise UnknownName("setting", key, [*known, *(f"{name}.*" for name in nested)])
        given[key] = _value(text)
    merged: DictConfig = OmegaConf.create()
    if "config" in given:
        path = Path(str(given.pop("config")))
        try:
            loaded = OmegaConf.load(path)
        except (OSError, OmegaConfBaseException, ValueError) as error:
            raise BadSetting(f"config={path} cannot be read: {error}") from error
        except Exception as error:
            if type(error).__module__.startswith("yaml"):
                raise BadSetting(f"config={path} is not YAML: {error}") from error
            raise
        if not isinstance(loaded, DictConfig):
            raise BadSetting(f"config={path} holds a list; it must map keys to values")
        for key in loaded:
            if key not in known and key not in nested:
                raise UnknownName(f"setting in {path}", str(key), [*known, *nested])
        merged = loaded
    for key, value in given.items():
        OmegaConf.update(merged, key, value, merge=False)
    try:
        plain = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        raise BadSetting(f"the configuration cannot be resolved: {error}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
