"""Records -> cells: the runs that one table row averages, and their bootstrap draws from shared resamples."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from analysis.tables.columns import ARM
from bench.core import Record, RunKey, canonical, sha256_of

# What two records may differ in besides subset and seed without anybody having declared it: never pooled.
AXES = ("suite_version", "split_hash", "model_version", "weights", "recipe", "protocol_version", "settings")

Item = TypeVar("Item")
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class RunGroup:
    """Runs that differ in subset and seed alone, seen on one test split.

    Attributes:
        task: task name; ``name@split`` on a split other than ``test``.
        split: the split scored.
        variant: what sets it apart from runs of the same model, protocol and fraction; empty where there are none.
        records: the runs that succeeded, by subset and seed.
        digests: of the records, in their order.
        failed: how many failed.
    """

    task: str
    split: str
    variant: str
    records: tuple[Record, ...]
    digests: tuple[str, ...]
    failed: int = 0

    @property
    def key(self) -> RunKey:
        """The key of its first record."""
        return self.records[0].key

    @property
    def facts(self) -> Mapping[str, Any]:
        """The facts of its first record."""
        return self.records[0].facts

    @property
    def metric(self) -> str:
        """Its headline metric."""
        return str(self.facts["metric"])

    @property
    def arm(self) -> dict[str, str]:
        """Its decoder, tuning and taps; empty words for protocols without."""
        return arm_of(self.records[0])

    @property
    def rules(self) -> list[str]:
        """The layer rules it has scores for, sorted."""
        return sorted(self.records[0].scores[self.split])

    @property
    def test_set(self) -> tuple[str, int, str, str, str]:
        """What names the samples it was scored on."""
        return (self.key.suite, self.key.suite_version, self.key.split_hash, self.key.task, self.split)

    def values(self, rule: str, metric: str = "") -> list[float]:
        """Return a metric (the headline one by default) of each record."""
        scores = (record.scores[self.split].get(rule, {}) for record in self.records)
        return [score.get(metric or self.metric, float("nan")) for score in scores]


def grouped(items: Iterable[Item], key: Callable[[Item], Group]) -> dict[Group, list[Item]]:
    """Return the items by key, in order of first appearance."""
    groups: dict[Group, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def arm_of(record: Record) -> dict[str, str]:
    """Return the decoder, tuning and taps of a record; empty words for protocols without."""
    named = record.facts.get("arm", {})
    return {name: str(named.get(name, "")) for name in ARM}


def run_groups(records: Mapping[str, Record]) -> list[RunGroup]:
    """Return the cells of records by digest, sorted; records that differ in an undeclared axis never share one."""
    # What explains rather than scores (embeddings, drift) is no cell of a table.
    scored = [digest for digest, record in records.items() if record.facts.get("board", True)]
    groups = grouped(scored, lambda digest: _name(records[digest]))
    # Arms are told apart by columns of their own: only runs of one arm are rivals, and need a variant.
    rivals = grouped(groups, lambda name: name[:5])
    found = []
    for name in sorted(groups):
        members = sorted(groups[name], key=lambda digest: (records[digest].key.subset, records[digest].key.seed))
        ok = [digest for digest in members if records[digest].status == "ok"]
        keys = [records[groups[rival][0]].key for rival in rivals[name[:5]]]
        variant = _variant(records[members[0]].key, keys)
        for split in records[ok[0]].scores if ok else ():
            found.append(
                RunGroup(
                    task=name[0] if split == "test" else f"{name[0]}@{split}",
                    split=split,
                    variant=variant,
                    records=tuple(records[digest] for digest in ok),
                    digests=tuple(ok),
                    failed=len(members) - len(ok),
                )
            )
    return found


def _name(record: Record) -> tuple[str, str, str, float, str, str]:
    key = record.key
    return (key.task, key.model, key.protocol, key.fraction, canonical(arm_of(record)), canonical(_axes(key)))


def _axes(key: RunKey) -> dict[str, Any]:
    """Return the undeclared axes of a key, nested mappings spelt with dots."""
    flat: dict[str, Any] = {}
    for axis in AXES:
        value = getattr(key, axis)
        if isinstance(value, Mapping):
            flat |= {f"{axis}.{name}": part for name, part in value.items()}
        else:
            flat[axis] = value
    return flat


def _variant(key: RunKey, rivals: Sequence[RunKey]) -> str:
    """Return the axes in which a key differs from any of its rivals, with its values."""
    axes = [_axes(rival) for rival in rivals]
    own = _axes(key)
    parts = []
    for name in sorted({name for each in axes for name in each}):
        if len({canonical(each.get(name)) for each in axes}) == 1:
            continue
        text = canonical(own[name]).strip('"') if name in own else "default"
        if name in ("split_hash", "weights"):
            text = text[:12]
        parts.append(f"{name}={text if len(text) <= 60 else sha256_of(own[name])[:8]}")
    return " ".join(parts)


def position(record: Record, rule: str) -> int:
    """Return the index among a record's layers of the one a rule took; 0 where it has no layers."""
    names = [row["layer"] for row in record.curves]
    return names.index(record.choices[rule]["layer"]) if names else 0
