"""Rows of ``geobench-list``: models, suites, protocols, decoders, studies, recipes. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.catalogue.weights import WeightSources
from bench.config import Study
from bench.core import ModelEntry, Suite, lookup
from bench.core.errors import UnknownName
from bench.decoders.parts.contract import Decoder
from bench.foundry.contract.recipe import Recipe
from bench.protocols.contract.protocol import Protocol
from bench.store import default_cache

Rows = list[dict[str, Any]]


def models(options: Mapping[str, Any]) -> Rows:
    """Return one row per model, of those that ``models=`` selects; with ``model=NAME`` all facts of that model."""
    cache = Path(str(options["cache"])) if options.get("cache") else default_cache()
    shelf = WeightSources(folder=Path(str(options["weights"])) if options.get("weights") else None, cache=cache)
    given = options.get("entries", ())
    folders = [Path(str(folder)) for folder in ([given] if isinstance(given, str) else given)]
    known = {entry.name: entry for entry in model_catalogue.select(["all"], folders)[0]}
    if chosen := options.get("models"):
        words = [chosen] if isinstance(chosen, str) else [str(word) for word in chosen]
        known = {entry.name: entry for entry in model_catalogue.select(words, folders)[0]}
    if name := options.get("model"):
        if name not in known:
            raise UnknownName("model", str(name), known)
        return _card(known[name], shelf)
    return [
        {
            "name": entry.name,
            "origin": entry.origin,
            "objective": entry.objective,
            "sensors": " ".join(dict.fromkeys(entry.sensors or (band.sensor for band in entry.bands))),
            "size": entry.image_size,
            "patch": entry.patch,
            "depth": entry.depth,
            "parameters": entry.parameters,
            "available": shelf.state(entry) in ("present", "none"),
            "weights": shelf.state(entry),
        }
        for entry in known.values()
    ]


def _card(entry: ModelEntry, shelf: WeightSources) -> Rows:
    places = [str(path) for path in shelf.places(entry)] if entry.weights else []
    facts = {
        "name": entry.name,
        "origin": entry.origin,
        "objective": entry.objective,
        "parent": entry.parent,
        "bands": " ".join(f"{band.name}[{band.unit}]" for band in entry.bands) or "any",
        "any bands": f"of {' '.join(entry.sensors)}" if entry.any_bands else "no",
        "absent bands": " ".join(entry.absent),
        "levels": " ".join(entry.levels),
        "normalise": entry.normalise.kind,
        "image size": entry.image_size,
        "any size": entry.any_size,
        "patch": entry.patch,
        "depth": entry.depth,
        "width": entry.width,
        "parameters": entry.parameters,
        "weights": shelf.state(entry),
        "looked for at": places,
        "url": entry.weights.url if entry.weights else "",
        "sha256": (entry.weights.sha256 or "not published: recorded at first sight") if entry.weights else "",
        "facts read at": entry.weights.source if entry.weights else "",
        "licence": entry.weights.licence if entry.weights else "",
        "trained on": list(entry.trained_on),
        "reference": entry.reference,
    }
    return [{"name": key, "value": value} for key, value in facts.items() if value not in ("", [])]


def suites(options: Mapping[str, object]) -> Rows:
    """Return one row per suite; with ``suite=NAME`` all facts of that suite."""
    if name := options.get("suite"):
        return _suite(suite_catalogue.load(str(name)))
    rows = []
    for name in suite_catalogue.names():
        suite = suite_catalogue.load(name)
        dates = f"x{suite.dates}" if suite.dates != 1 else ""
        rows.append(
            {
                "name": suite.name,
                "tasks": ", ".join(f"{task.name} ({task.kind})" for task in suite.tasks),
                "sensors": " ".join(dict.fromkeys(band.sensor for band in suite.bands)),
                "bands": len(suite.bands),
                "size": f"{suite.image_size[0]}x{suite.image_size[1]}{dates}",
                "splits": " ".join(f"{split}:{count}" for split, count in suite.splits.items()),
                "licence": suite.licence,
                "title": suite.title + (" [generated data]" if suite.generated else ""),
            }
        )
    return rows


def _suite(suite: Suite) -> Rows:
    facts: dict[str, object] = {
        "name": suite.name,
        "title": suite.title,
        "version": suite.version,
        "generated data": suite.generated,
        "bands": " ".join(f"{band.name}[{band.unit}]" for band in suite.bands),
        "default bands": " ".join(suite.default_bands) or "all",
        "image size": suite.image_size,
        "dates": suite.dates,
        "splits": " ".join(f"{name}:{count}" for name, count in suite.splits.items()),
        "folder": suite.folder,
        "licence": suite.licence,
        "citation": suite.citation,
        "url": suite.url,
        "notes": suite.notes,
    }
    for task in suite.tasks:
        what = ", ".join(task.classes) or f"{task.quantity} [{task.unit}]"
        facts[f"task {task.name}"] = f"{task.kind}, {task.metric}: {what}"
    return [{"name": key, "value": value} for key, value in facts.items() if value != ""]


def suite_groups(options: Mapping[str, object]) -> Rows:
    """Return one row per named group of suites."""
    return [{"name": name, "suites": list(members)} for name, members in suite_catalogue.groups().items()]


def protocols(options: Mapping[str, object]) -> Rows:
    """Return one row per protocol."""
    return _versioned("bench.protocols", Protocol)


def recipes(options: Mapping[str, Any]) -> Rows:
    """Return one row per recipe of the foundry."""
    return _versioned("bench.foundry", Recipe)


def studies(options: Mapping[str, object]) -> Rows:
    """Return one row per study."""
    names = lookup.names("bench.studies")
    for name in names:
        lookup.noun("bench.studies", name, Study)  # a file without its STUDY ends the listing
    return [{"name": name, "version": 1, "what": _title("bench.studies", name), "settings": []} for name in names]


def _versioned(package: str, kind: type[Protocol] | type[Recipe]) -> Rows:
    rows = []
    for name in lookup.names(package):
        noun: Protocol | Recipe = lookup.noun(package, name, kind)
        rows.append(
            {
                "name": name,
                "version": noun.version,
                "what": _title(package, name),
                "settings": [f"{name}.{key}" for key in noun.settings.model_fields],
            }
        )
    return rows


def _title(package: str, name: str) -> str:
    """Return the first line of a module's docstring."""
    return (lookup.module(package, name, kind="module").__doc__ or "").partition("\n")[0]


def decoders(options: Mapping[str, object]) -> Rows:
    """Return one row per decoder of fine-tuning."""
    rows = []
    for name in lookup.names("bench.decoders"):
        decoder = lookup.noun("bench.decoders", name, Decoder)
        rows.append(
            {
                "name": name,
                "what": _title("bench.decoders", name),
                "kinds": list(decoder.kinds),
                "layers": decoder.layers_read or "all",
                "reference": decoder.reference,
            }
        )
    return rows


LISTINGS: dict[str, Callable[[Mapping[str, Any]], Rows]] = {
    "models": models,
    "suites": suites,
    "groups": suite_groups,
    "protocols": protocols,
    "decoders": decoders,
    "studies": studies,
    "recipes": recipes,
}
