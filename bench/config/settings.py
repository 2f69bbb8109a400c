"""Settings: the frozen, validated base of every configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from bench.core.errors import BadSetting, UnknownName
from bench.core.wording import clipped

S = TypeVar("S", bound="Settings")
LARGEST = 2**53  # beyond it a JSON reader may round an integer


class Settings(BaseModel):
    """Root of every set of settings.

    Frozen; unknown keys are refused; defaults are validated; a single value is a list of one; numbers are finite;
    paths are not empty, and ``~`` is the home folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        kinds = set(_atoms(kind))
        if any(isinstance(item, bool) for item in _items(value)) and kinds & {int, float} and bool not in kinds:
            raise ValueError("a number is needed, not true or false")
        if Path in kinds and any(isinstance(item, str) and (not item or "\0" in item) for item in _items(value)):
            raise ValueError("a path is needed")
        return as_tuple(value) if get_origin(kind) is tuple else value

    @field_validator("*", mode="after")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        if any(isinstance(item, int) and abs(item) > LARGEST for item in _items(value)):
            raise ValueError(f"a whole number of at most {LARGEST:,} is needed")
        if isinstance(value, Path) and value.parts[:1] == ("~",):
            return value.expanduser()
        return value


def _atoms(kind: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of: those of ``tuple[int, ...] | None`` are int and None."""
    parts = [part for part in get_args(kind) if part is not Ellipsis]
    if not parts or get_origin(kind) is None:
        yield kind
    for part in parts:
        yield from _atoms(part)


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def as_tuple(value: Any) -> Any:
    """Return a value as a tuple: none, a single item, or the items of a list; other values are returned unchanged."""
    if value is None:
        return ()
    if isinstance(value, str | int | float | Path):
        return (value,)
    return value if isinstance(value, Mapping) or not isinstance(value, Iterable) else tuple(value)


def fields_by_word(kind: type[Settings]) -> dict[str, FieldInfo]:
    """Return the fields of settings by the word a person writes: the alias where the name is a keyword of Python."""
    return {field.alias or name: field for name, field in kind.model_fields.items()}


def validate(kind: type[S], values: Mapping[str, Any], *, where: str = "") -> S:
    """Return `values` as settings of the given kind.

    Raises:
        UnknownName: an unknown key, with the near one.
        BadSetting: a value of the wrong type or out of range, naming the key, the value and the rule.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UnknownName(f"setting{where}", key, fields_by_word(kind)) from None
        if first["type"] == "missing":
            raise BadSetting(f"{key}= is needed{where}; e.g. {key}=demo") from None
        rule = first["msg"].removeprefix("Value error, ")
        given = clipped(repr(first["input"]))
        raise BadSetting(f"{key}={given}{where}: {rule}" if key else f"{rule}{where}") from None
