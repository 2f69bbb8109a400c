"""Experiment cards: for each command its data, models, settings and environment, and how to run it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.core import Record, canonical, label_fraction_text, sha256_of

OMITTED = ("command", "time")
"""Parts of the environment that are shown elsewhere, or do not affect the result."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The records that one command made with one state of the code.

    Attributes:
        suite: name of the suite.
        command: replays them; empty if the records do not state it.
        commit: state of the code; empty if unknown.
        facts: data, tasks, labels, seeds, cost and environment as text, by name.
        protocols: protocol with version -> each set of settings that differ from its defaults.
        models: name, version, weights and input of each model.
        records: digests.
        failed: number of failed records.
    """

    suite: str
    command: str
    commit: str
    facts: Mapping[str, str]
    protocols: Mapping[str, Sequence[str]]
    models: Sequence[Mapping[str, str]]
    records: Sequence[str]
    failed: int


def cards(records: Mapping[str, Record]) -> list[Card]:
    """Return one card per suite, command and commit, sorted by them."""
    sets: dict[tuple[str, str, str], dict[str, Record]] = {}
    for digest, record in records.items():
        environment = record.environment
        name = (record.key.suite, str(environment.get("command", "")), str(environment.get("commit", "")))
        sets.setdefault(name, {})[digest] = record
    return [_card(*name, sets[name]) for name in sorted(sets)]


def _card(suite: str, command: str, commit: str, named: Mapping[str, Record]) -> Card:
    records = list(named.values())
    protocols: dict[str, set[str]] = {}
    models: dict[tuple[str, ...], dict[str, str]] = {}
    for record in records:
        key = record.key
        settings = " ".join(f"{name}={canonical(value)}" for name, value in sorted(key.settings.items()))
        protocols.setdefault(f"{key.protocol} version {key.protocol_version}", set()).add(settings or "defaults")
        recipe = canonical(key.recipe)
        models.setdefault(
            (key.model, str(key.model_version), key.weights, recipe),
            {
                "model": key.model,
                "version": str(key.model_version),
                "weights": key.weights,
                "input": str(record.facts.get("input", "")),
                "recipe": recipe,
                "recipe_hash": sha256_of(key.recipe)[:12],
            },
        )
    return Card(
        suite=suite,
        command=command,
        commit=commit,
        facts=_facts(records),
        protocols={name: sorted(protocols[name]) for name in sorted(protocols)},
        models=[models[name] for name in sorted(models)],
        records=sorted(named),
        failed=sum(record.status == "failed" for record in records),
    )


def _facts(records: Sequence[Record]) -> dict[str, str]:
    seconds = sum(float(record.cost.get("seconds", 0.0)) for record in records)
    facts: dict[str, Iterable[object]] = {
        "suite version": {record.key.suite_version for record in records},
        "split hash": {f"{record.key.task} {record.key.split_hash}" for record in records},
        "labels": [
            label_fraction_text(value) for value in sorted({record.key.fraction for record in records}, reverse=True)
        ],
        "label subsets": {record.key.subset for record in records},
        "seeds": {record.key.seed for record in records},
        "hours": [f"{seconds / 3600:.2f}"],
    }
    names = sorted({name for record in records for name in record.environment if name not in OMITTED})
    for name in names:
        facts[name] = {str(record.environment[name]) for record in records if name in record.environment}
    return {
        name: ", ".join(str(value) for value in (sorted(values) if isinstance(values, set) else values))
        for name, values in facts.items()
    }
