"""Settings: the frozen, validated base of every configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from bench.core.errors import BadSetting, UnknownName

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Root of every set of settings: frozen, unknown keys refused, defaults validated, one value a list of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _listed(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        return as_tuple(value) if get_origin(kind) is tuple else value


def as_tuple(value: Any) -> Any:
    """Return a value as a tuple: none, a single item, or the items of a list."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | int | float) else tuple(value)


def validate(kind: type[S], values: Mapping[str, Any], *, where: str = "") -> S:
    """Return `values` as settings of the given kind.

    Raises:
        UnknownName: an unknown key, with the near one.
        BadSetting: a value of the wrong type or out of range, naming the key, the value and the rule.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UnknownName(f"setting{where}", key, kind.model_fields) from None
        if first["type"] == "missing":
            raise BadSetting(f"{key}= is needed{where}; e.g. {key}=demo") from None
        raise BadSetting(f"{key}={first['input']!r}{where}: {first['msg']}") from None
