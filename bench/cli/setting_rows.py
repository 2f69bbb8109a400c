"""Settings of ``geobench-run``, of protocols and of recipes as rows: type, default, description. Imports no torch."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from bench.cli.listing_rows import Rows
from bench.cli.options import COMMANDS, RUN
from bench.config import RunConfig, Settings, fields_by_word
from bench.core import lookup
from bench.executors.contract.executor import Executor
from bench.foundry.contract.recipe import Recipe
from bench.protocols.contract.protocol import Protocol

MOST_VALUES = 6  # values of a default that are shown in full; of longer lists only the ends are shown


def settings() -> Rows:
    """Return one row per word of ``geobench-run`` and per setting of a protocol or executor."""
    rows = [row for row in _fields(RunConfig, "") if row["setting"] in RUN.words]
    rows += [{"setting": name, "type": "text", "default": "", "description": text} for name, text in RUN.more.items()]
    for name in lookup.names("bench.protocols"):
        rows += _fields(lookup.noun("bench.protocols", name, Protocol).settings, f"{name}.")
    for name in lookup.names("bench.executors"):
        rows += _fields(lookup.noun("bench.executors", name, Executor).settings, f"{name}.")
    return rows


def command_words() -> Rows:
    """Return one row per word of the commands besides ``geobench-run``: type, default and description."""
    rows = []
    for command in COMMANDS.values():
        if command.options is not RunConfig:
            rows += [
                {"setting": row["setting"], "command": command.name, **row}
                for row in _fields(command.options, "")
                if row["setting"] in command.words
            ]
    return rows


def recipe_settings() -> Rows:
    """Return one row per setting of a recipe of the foundry: type, default and description."""
    names = lookup.names("bench.foundry")
    return [row for name in names for row in _fields(lookup.noun("bench.foundry", name, Recipe).settings, "", name)]


def _fields(kind: type[Settings], prefix: str, owner: str = "") -> Rows:
    texts = attribute_texts(kind)
    rows: Rows = []
    for name, (word, field) in zip(kind.model_fields, fields_by_word(kind).items(), strict=True):
        if isinstance(field.default, Settings):
            rows += _fields(type(field.default), f"{prefix}{word}.", owner)
            continue
        rows.append(
            {"setting": f"{prefix}{word}"}
            | ({"recipe": owner} if owner else {})
            | {
                "type": _type_text(field),
                "default": _default_text(field),
                "description": field.description or texts.get(name, ""),
            }
        )
    return rows


def attribute_texts(kind: type) -> dict[str, str]:
    """Return attribute name -> its description in the ``Attributes:`` section of a class or of its ancestors."""
    texts: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        section = inspect.cleandoc(owner.__dict__.get("__doc__") or "").partition("Attributes:\n")[2]
        for names, text in re.findall(r"^    ([\w, ]+): (.*(?:\n        .*)*)", section, re.M):
            plain = re.sub(r"(?<!\.)\.$", "", " ".join(text.split())).replace("``", "`")
            texts |= dict.fromkeys(names.split(", "), plain)
    return texts


def _type_text(field: FieldInfo) -> str:
    bounds = {
        name: value
        for rule in field.metadata
        for name in ("gt", "ge", "lt", "le")
        if (value := getattr(rule, name, None)) is not None
    }
    kind = _annotation_text(field.annotation)
    if {"ge", "le"} <= bounds.keys():
        return f"{kind}, {bounds['ge']:g} to {bounds['le']:g}"
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    return f"{kind} {', '.join(f'{signs[name]} {value:g}' for name, value in bounds.items())}".strip()


def _annotation_text(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is tuple:
        return f"list of {_annotation_text(parts[0])}"
    if origin is Literal:
        return " or ".join(str(value) for value in parts if value != "")
    if origin in (Union, UnionType):
        return " or ".join(_annotation_text(part) for part in parts if part is not NoneType)
    return {str: "text", bool: "true or false", Path: "path"}.get(kind, getattr(kind, "__name__", str(kind)))


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        texts = [_number_text(part) for part in value]
        if len(texts) > MOST_VALUES:
            return f"{texts[0]}, {texts[1]} … {texts[-1]} ({len(texts)} values)"
        return ", ".join(texts)
    return "" if value is None else _number_text(value)


def _number_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
