"""``geobench-list ... --markdown``: tables as Markdown, and the copies of them in README files and docs. No torch.

A file holds a table between the markers ``<!-- table: NAME -->`` and ``<!-- end -->``; `refreshed` updates it. In the
repository ``make tables`` updates every file, and a test fails where a table is stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.cli.listing_rows import LISTINGS, Rows
from bench.cli.setting_rows import command_words, recipe_settings, settings
from bench.config import RunConfig
from bench.core import UNITS, ModelEntry, Suite, Task, lookup
from bench.core.errors import UnknownName
from bench.metrics import METRICS

MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)
LIBRARIES = ("timm", "torchgeo", "torchvision", "terratorch", "olmoearth_pretrain_minimal")


def markdown_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as a Markdown table: names in the first column as code, columns of numbers aligned right.

    Without rows it is ``""``.
    """
    if not rows:
        return ""
    columns = list(rows[0])
    numeric = {column for column in columns if all(isinstance(row[column], int | float) for row in rows)}
    lines = [columns, ["---:" if column in numeric else "---" for column in columns]]
    for row in rows:
        first, *others = (_cell(row[column]) for column in columns)
        lines.append([f"`{first}`" if re.fullmatch(r"[\w./]+", first) else first, *others])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return " ".join(text.replace("|", r"\|").split())


# Models


def families() -> Rows:
    """Return one row per model family: file, title, number of entries, sensors, network and licences."""
    rows = []
    for family in lookup.names("bench.models"):
        module = lookup.module("bench.models", family, kind="model family")
        entries: Sequence[ModelEntry] = module.ENTRIES
        sensors = dict.fromkeys(name for entry in entries for name in _sensors(entry))
        licences = dict.fromkeys(entry.weights.licence for entry in entries if entry.weights)
        rows.append(
            {
                "family": family,
                "what": (module.__doc__ or "").partition("\n")[0].partition(": ")[0].rstrip("."),
                "entries": len(entries),
                "sensors": ", ".join(sensors).replace("*", "any"),
                "network": _network(entries),
                "licence of the weights": ", ".join(licences) or "no weights",
            }
        )
    return rows


def _sensors(entry: ModelEntry) -> Sequence[str]:
    return entry.sensors or [band.sensor for band in entry.bands]


def _network(entries: Sequence[ModelEntry]) -> str:
    """Return the libraries that provide a family's networks, with the architectures requested from them."""
    architectures: dict[str, dict[str, None]] = {}
    for entry in entries:
        load = entry.load.func if isinstance(entry.load, partial) else entry.load
        architecture = entry.load.keywords.get("name", "") if isinstance(entry.load, partial) else ""
        # A network that imports only single layers of a library is not a network of that library.
        imported = re.findall(r"^\s+(?:from|import) (\w+)(?!\.layers)\b", _source(load, set()), re.M)
        library = entry.requires or next((name for name in LIBRARIES if name in imported), "own")
        architectures.setdefault(library, {})[re.sub(r"_(patch|window)\d.*", "", architecture)] = None
    return "; ".join(
        library + (f" {', '.join(names)}" if any(names) else "") for library, names in architectures.items()
    )


def _source(function: Any, seen: set[str]) -> str:
    """Return the source of a function and of the functions of its module that it calls."""
    seen.add(function.__name__)
    codes = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    called = {name: function.__globals__.get(name) for code in codes for name in code.co_names if name not in seen}
    local = [
        other for other in called.values() if inspect.isfunction(other) and other.__module__ == function.__module__
    ]
    return "\n".join([inspect.getsource(function), *(_source(other, seen) for other in local)])


def entries() -> Rows:
    """Return one row per entry, random twins left out."""
    return [
        {
            "name": entry.name,
            "objective": entry.objective,
            "sensors": ", ".join(dict.fromkeys(_sensors(entry))).replace("*", "any"),
            "size": entry.image_size,
            "patch": entry.patch,
            "depth": entry.depth,
            "width": entry.width,
            "parameters": entry.parameters,
            "licence": entry.weights.licence if entry.weights else "no weights",
            "reference": entry.reference,
        }
        for entry in model_catalogue.entries().values()
        if entry.origin != "random"
    ]


# Suites


def suites() -> Rows:
    """Return one row per suite that ships with the package: tasks, sensors, size, samples and licence."""
    shipped = [suite_catalogue.load(name) for name in suite_catalogue.shipped()]
    return [
        {
            "suite": suite.name,
            "what": "; ".join(dict.fromkeys(_task(task) for task in suite.tasks))
            + (" (generated data)" if suite.generated else ""),
            "sensors": " ".join(dict.fromkeys(band.sensor for band in suite.bands)),
            "size": _size(suite),
            "train / val / test": _counts(suite.splits),
            "licence": suite.licence,
        }
        for suite in shipped
    ]


def _task(task: Task) -> str:
    kind = task.kind.replace("_", " ")
    if task.classes:
        return f"{kind}, {len(task.classes)} class{'es' if len(task.classes) > 1 else ''}"
    return f"{kind}, {task.unit}"


def _size(suite: Suite) -> str:
    side = "pixel" if suite.image_size == (1, 1) else "x".join(map(str, suite.image_size))
    return side + {0: ", series", 1: ""}.get(suite.dates, f", {suite.dates} dates")


def _counts(splits: Mapping[str, int]) -> str:
    official = " / ".join(f"{splits[name]:,}" for name in ("train", "val", "test") if name in splits)
    more = [f"{name} {count:,}" for name, count in splits.items() if name not in ("train", "val", "test")]
    return "; ".join([official, *more]) if any(splits.values()) else "not published"


# Other tables


def decoders() -> Rows:
    """Return one row per decoder."""
    return [{**row, "kinds": [kind.replace("_", " ") for kind in row["kinds"]]} for row in LISTINGS["decoders"]({})]


def protocols() -> Rows:
    """Return one row per protocol: version, first line of its file, and whether it runs unless others are asked for."""
    usual = RunConfig.model_fields["protocols"].default
    return [
        {"name": row["name"], "version": row["version"], "by default": row["name"] in usual, "what": row["what"]}
        for row in LISTINGS["protocols"]({})
    ]


def metrics() -> Rows:
    """Return one row per metric: name, label, range and the direction that is better."""
    return [
        {
            "name": name,
            "label": metric.label,
            "range": f"{metric.low:g} to {metric.high:g}".replace("inf", "∞"),
            "better": "higher" if metric.direction == "max" else "lower",
            "unit": "of the target" if metric.unit else "",
        }
        for name, metric in METRICS.items()
    ]


def units() -> Rows:
    """Return one row per declared unit: what it converts to, and the raw values that pass the checks."""
    return [
        {
            "unit": name,
            "quantity": unit.quantity,
            "conversion": f"{unit.scale:g} * raw" + (f" {unit.offset:+g}" if unit.offset else ""),
            "accepted raw values": f"{unit.low:g} to {unit.high:g}",
        }
        for name, unit in UNITS.items()
    ]


def _listed(name: str) -> Rows:
    return LISTINGS[name]({})


def _briefly(name: str) -> Rows:
    """Return a listing without the names of its settings, which have tables of their own."""
    return [{key: value for key, value in row.items() if key != "settings"} for row in LISTINGS[name]({})]


def _as_prose(rows: Callable[[], Rows]) -> Rows:
    """Return rows of settings with asterisks escaped for Markdown, except in text marked as code."""
    prose = re.compile(r"(`[^`]*`)|([*<])")
    return [
        {**row, "description": prose.sub(lambda match: match[1] or f"\\{match[2]}", row["description"])}
        for row in rows()
    ]


REFERENCE: dict[str, Callable[[], Rows]] = {
    "settings": settings,
    "recipe_settings": recipe_settings,
    "metrics": metrics,
    "units": units,
}
"""Listings that explain settings, metrics and units: ``geobench-list NAME``, in addition to `LISTINGS`."""

TABLES: dict[str, Callable[[], Rows]] = {
    **{name: partial(_listed, name) for name in LISTINGS},
    **{"models": families, "entries": entries, "suites": suites, "decoders": decoders, "protocols": protocols},
    **{name: partial(_briefly, name) for name in ("recipes", "studies")},
    **REFERENCE,
    "command_words": command_words,
    **{name: partial(_as_prose, REFERENCE[name]) for name in ("settings", "recipe_settings")},
}
"""Tables of what ships with the package, by name."""


def table(name: str) -> str:
    """Return a table of `TABLES` as Markdown.

    Raises:
        UnknownName: there is none of that name.
    """
    if name not in TABLES:
        raise UnknownName("table", name, TABLES)
    return markdown_table(TABLES[name]())


def listing_markdown(name: str, options: Mapping[str, object]) -> str:
    """Return a listing as Markdown: its table, or the rows that ``model=``, ``models=`` or ``suite=`` choose."""
    chosen = name in LISTINGS and options.keys() & {"model", "models", "suite"}
    return markdown_table(LISTINGS[name](options)) if chosen else table(name)


def refreshed(text: str, tables: Mapping[str, Callable[[], Rows]] = TABLES) -> str:
    """Return text with every table between markers brought up to date.

    Args:
        text: content of a Markdown file.
        tables: name -> rows.

    Raises:
        UnknownName: a marker names none of the tables.
    """

    def fresh(match: re.Match[str]) -> str:
        if match[2] not in tables:
            raise UnknownName("table", match[2], tables)
        return match[1] + markdown_table(tables[match[2]]()) + match[3]

    return MARKED.sub(fresh, text)
