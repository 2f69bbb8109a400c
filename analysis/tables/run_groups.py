"""Run groups from records: the runs that one table row averages, and the differences of groups of one model."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from analysis.tables.columns import ARM, Row
from bench.core import Record, RunKey, canonical, sha256_of

# Axes besides subset and seed in which two records may differ without a column of their own: never pooled.
MODEL_AXES = ("suite_version", "split_hash", "model_version", "weights", "recipe")
PROTOCOL_AXES = ("protocol_version", "settings")
ARM_SETTINGS = ("settings.decoders", "settings.tuning", "settings.taps")  # they have columns: those of `ARM`

Item = TypeVar("Item")
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class RunGroup:
    """Runs that differ in subset and seed only, scored on one test split.

    Attributes:
        task: task name; ``name@split`` for a split other than ``test``.
        split: the split scored.
        variant: what distinguishes it from runs of the same model with other data, weights or input; empty without.
        protocol_settings: settings of the protocol that distinguish it from runs of the same model and protocol.
        records: the successful runs, by subset and seed.
        digests: of the records, in their order.
        failed: number of failed runs.
        twins: other models with the same network, see `analysis.tables.twins`.
        twin_digests: digests of their records.
    """

    task: str
    split: str
    variant: str
    protocol_settings: str
    records: tuple[Record, ...]
    digests: tuple[str, ...]
    failed: int = 0
    twins: tuple[str, ...] = ()
    twin_digests: tuple[str, ...] = ()

    @property
    def key(self) -> RunKey:
        """The key of its first record."""
        return self.records[0].key

    @property
    def facts(self) -> Row:
        """The facts of its first record."""
        return self.records[0].facts

    @property
    def metric(self) -> str:
        """Its headline metric."""
        return str(self.facts["metric"])

    @property
    def arm(self) -> dict[str, str]:
        """Its decoder, tuning and taps; empty for protocols without arms."""
        return arm_of(self.records[0])

    @property
    def rules(self) -> list[str]:
        """The layer rules that all its records have scores for, sorted."""
        return sorted(set.intersection(*(set(record.scores[self.split]) for record in self.records)))

    @property
    def has_profile(self) -> bool:
        """Whether its records have curves over the same layers."""
        layers = {tuple(row["layer"] for row in record.curves) for record in self.records}
        return len(layers) == 1 and layers != {()}

    @property
    def test_set(self) -> tuple[str, int, str, str, str]:
        """The identity of the samples it was scored on."""
        return (self.key.suite, self.key.suite_version, self.key.split_hash, self.key.task, self.split)

    def values(self, rule: str, metric: str = "") -> list[float]:
        """Return a metric (by default the headline metric) of each record."""
        scores = (record.scores[self.split].get(rule, {}) for record in self.records)
        return [score.get(metric or self.metric, float("nan")) for score in scores]


def grouped(items: Iterable[Item], key: Callable[[Item], Group]) -> dict[Group, list[Item]]:
    """Return the items by key, in order of first appearance."""
    groups: dict[Group, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def arm_of(record: Record) -> dict[str, str]:
    """Return the decoder, tuning and taps of a record; empty for protocols without arms."""
    named = record.facts.get("arm", {})
    return {name: str(named.get(name, "")) for name in ARM}


def run_groups(records: Mapping[str, Record]) -> list[RunGroup]:
    """Return the run groups of records by digest, sorted; records that differ in an undeclared axis are not pooled.

    A model that was run with, for example, two image sizes is two rows with a `variant` each; its other runs belong
    to the row of their image size. A protocol that was run twice with different settings is two columns of the same
    row, distinguished by `protocol_settings`; runs with default settings have none.
    """
    # Protocols that explain rather than score (embeddings, drift) are not rows of a table.
    scored = [digest for digest, record in records.items() if record.facts.get("board", True)]
    members_of = grouped(scored, lambda digest: _name(records[digest]))
    key_of = {name: records[members[0]].key for name, members in members_of.items()}
    # Rivals have the same task, model, protocol, label fraction and arm: another value distinguishes them.
    rivals = list(grouped(members_of, lambda name: name[:5]).values())
    of_model = _differing(rivals, key_of, MODEL_AXES, lambda key: key.model)
    of_protocol = _differing(rivals, key_of, PROTOCOL_AXES, lambda key: key.protocol)
    groups = []
    for name in sorted(members_of):
        members = sorted(members_of[name], key=lambda digest: (records[digest].key.subset, records[digest].key.seed))
        ok = [digest for digest in members if records[digest].status == "ok"]
        key = key_of[name]
        variant = _text(_axes(key, MODEL_AXES), of_model.get(key.model, ()), absent="default")
        settings = {axis: value for axis, value in _axes(key, PROTOCOL_AXES).items() if axis not in ARM_SETTINGS}
        splits = (
            [split for split in records[ok[0]].scores if all(split in records[run].scores for run in ok)] if ok else []
        )
        for split in splits:
            groups.append(
                RunGroup(
                    task=name[0] if split == "test" else f"{name[0]}@{split}",
                    split=split,
                    variant=variant,
                    protocol_settings=_text(settings, of_protocol.get(key.protocol, ())).replace("settings.", ""),
                    records=tuple(records[digest] for digest in ok),
                    digests=tuple(ok),
                    failed=len(members) - len(ok),
                )
            )
    return groups


_Name = tuple[str, str, str, float, str, str]


def _name(record: Record) -> _Name:
    key = record.key
    axes = canonical(_axes(key, (*MODEL_AXES, *PROTOCOL_AXES)))
    return (key.task, key.model, key.protocol, key.fraction, canonical(arm_of(record)), axes)


def _axes(key: RunKey, names: Sequence[str]) -> dict[str, object]:
    """Return these axes of a key; the entries of nested mappings are named with dots."""
    flat: dict[str, object] = {}
    for axis in names:
        value = getattr(key, axis)
        if isinstance(value, Mapping):
            flat |= {f"{axis}.{name}": part for name, part in value.items()}
        else:
            flat[axis] = value
    return flat


def _differing(
    rivals: Iterable[Sequence[_Name]],
    key_of: Mapping[_Name, RunKey],
    axes: Sequence[str],
    owner: Callable[[RunKey], str],
) -> dict[str, set[str]]:
    """Return model or protocol (`owner`) -> the axes in which any of its rivals differ."""
    by_owner: dict[str, set[str]] = {}
    for names in rivals:
        each = [_axes(key_of[name], axes) for name in names]
        differing = {axis for flat in each for axis in flat if len({canonical(flat.get(axis)) for flat in each}) > 1}
        by_owner.setdefault(owner(key_of[names[0]]), set()).update(differing)
    return by_owner


def _text(axes: Row, names: Iterable[str], *, absent: str = "") -> str:
    """Return the values of these axes in words, hashes and long values shortened.

    Args:
        axes: name -> value.
        names: which of them.
        absent: written for one that is not there; by default it is left out.
    """
    parts = []
    for name in sorted(names):
        if name not in axes:
            parts += [f"{name}={absent}"] if absent else []
            continue
        text = canonical(axes[name]).strip('"')
        if name in ("split_hash", "weights"):
            text = text[:12]
        parts.append(f"{name}={text if len(text) <= 60 else sha256_of(axes[name])[:8]}")
    return " ".join(parts)


def position(record: Record, rule: str) -> int:
    """Return the index among a record's layers of the one a rule took; 0 for a record without layers."""
    names = [row["layer"] for row in record.curves]
    return names.index(record.choices[rule]["layer"]) if names else 0
