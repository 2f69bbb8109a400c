"""The model card of an entry in the layout of a model hub: Markdown with YAML front matter."""

from __future__ import annotations

import json
from typing import Any

import yaml

from bench.catalogue.cards import UNKNOWN_DATA, Card
from bench.catalogue.suites import load as load_suite
from bench.core.errors import BenchError

LIBRARY = "geobench-run"
LICENCES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0"),
    *("cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "openrail"),
)
"""Licences that hubs know by an identifier; others are named in words."""


def metrics_of(card: Card) -> list[str]:
    """Return the headline metric of the task that an entry was made on; nothing where it is not known."""
    if not card.data.get("suite") or not card.scores:
        return []
    try:
        tasks = load_suite(str(card.data["suite"])).tasks
    except BenchError:  # a suite of the user's own, which is not here
        return []
    return [task.metric for task in tasks if task.name == card.data.get("task")]


def front_matter(card: Card) -> dict[str, Any]:
    """Return the fields of the YAML front matter: licence, tags, parents, data sets and metrics, where known."""
    licence = card.licence.lower()
    fields: dict[str, Any] = {"library_name": LIBRARY}
    if licence in LICENCES:
        fields["license"] = licence
    elif licence:
        fields |= {"license": "other", "license_name": card.licence}
    fields["tags"] = list(dict.fromkeys([LIBRARY, "earth-observation", card.origin, card.recipe, card.base]))
    fields["base_model"] = list(card.parents)
    if card.origin == "merged":
        fields["base_model_relation"] = "merge"
    datasets = [name for name in card.trained_on if name != UNKNOWN_DATA]
    fields |= {"datasets": datasets} if datasets else {}
    fields |= {"metrics": metrics} if (metrics := metrics_of(card)) else {}
    return fields


def model_card(card: Card) -> str:
    """Return the model card of an entry, ``README.md``.

    Args:
        card: of the entry.
    """
    parents = ", ".join(f"`{name}`" for name in card.parents)
    seen = ", ".join(card.trained_on) or "not known"
    lines = [
        "---",
        yaml.safe_dump(front_matter(card), sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {card.name}",
        "",
        f"A network of {card.parameters:,} parameters, {card.origin} from {parents} by the recipe `{card.recipe}` of "
        f"geobench-run. It reads the bands {', '.join(card.bands)} and has the architecture and normalisation of "
        f"`{card.base}`.",
        "",
        "```bash",
        "geobench-make recipe=hub_import folder=THIS_FOLDER out=entries",
        f"geobench-run suite=NAME entries=entries models={card.name}",
        "```",
        "",
        f"* Licence of the weights, inherited from all parents: {card.licence or 'not stated'}",
        f"* Data that its lineage has seen: {seen}",
        f"* SHA-256 of the weights: `{card.sha256}`",
        f"* References: {card.reference or 'none'}",
        *(f"* {name}: {value:.6g} (validation)" for name, value in card.scores.items()),
        *(f"* Note: {note}" for note in card.notes),
        "",
        "Settings of the recipe:",
        "",
        "```json",
        json.dumps(card.settings, indent=1, sort_keys=True),
        "```",
        "",
    ]
    return "\n".join(lines)
