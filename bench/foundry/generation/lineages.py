"""A lineage read from a folder of entries: a trunk and the members that descend from it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.catalogue.cards import CARD, WEIGHTS, Card, read_card
from bench.core import Band, ModelEntry
from bench.core.errors import BadSetting, BenchError, Incompatible
from bench.foundry.contract.resolved import Parent, parent_of
from bench.foundry.generation.codes import Layout, standardised
from bench.foundry.generation.conditions import Condition, read_condition
from bench.networks.batch_norms import is_statistic
from bench.networks.tapped import TappedNetwork, tapped

UNRELATED = 0.2
"""Row-normalised cosine below which networks are no relatives (real MobileNetV2s: .53 between relatives, .02 else)."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A network of the lineage.

    Attributes:
        name: of its entry.
        condition: of its training.
        trained_on: datasets it has seen.
        suite: name of the suite it was trained on, ``""`` where unknown.
        seed: of its training.
    """

    name: str
    condition: Condition
    trained_on: tuple[str, ...]
    suite: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A trunk, its members, and their weights as vectors.

    Attributes:
        trunk: the entry that all members descend from.
        network: of the trunk, in evaluation mode; copy it before changing it.
        layout: of the vectors: every parameter, no batch-norm statistics.
        base: (P,) weights of the trunk.
        members: in the order of their names.
        deltas: (N, P) members minus trunk.
        classes: of the task that conditions refer to, 0 where they name none.
        notes: files left out, by name and reason.
    """

    trunk: Parent
    network: TappedNetwork
    layout: Layout
    base: Tensor
    members: tuple[Member, ...]
    deltas: Tensor
    classes: int
    notes: tuple[str, ...]

    def conditions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the members' conditions (N, c), standardised, with the mean and scale that did it."""
        vectors = [torch.from_numpy(member.condition.embedding(self.classes)) for member in self.members]
        return standardised(vectors)

    def embedded(self, condition: Condition) -> Tensor:
        """Return a condition (c,) on the scale of the members'."""
        _, mean, scale = self.conditions()
        return (torch.from_numpy(condition.embedding(self.classes)).float() - mean) / scale

    def with_weights(self, vector: Tensor) -> TappedNetwork:
        """Return a network with the parameters of a vector (P,); batch-norm statistics are those of the trunk."""
        network = copy.deepcopy(self.network)
        values = dict(network.named_parameters())
        with torch.no_grad():
            for name, part in self.layout.split(vector).items():
                values[name].copy_(part)
        return network


def load_lineage(
    folder: Path, *, bands: Sequence[str] = (), weights: Path | None = None, entries: Sequence[Path] = ()
) -> Lineage:
    """Return the lineage in a folder of entries that recipes left.

    Args:
        folder: e.g. what ``recipe=zoo`` left.
        bands: names of the bands that networks are built for; those of the trunk's card if not given.
        weights: folder looked in first for weights of other entries.
        entries: folders with further entries.

    Raises:
        BadSetting: there is no such folder.
        Incompatible: fewer than two sound members of one trunk.
    """
    if not folder.is_dir():
        raise BadSetting(f"zoo={folder}: there is no such folder; geobench-make recipe=zoo makes one")
    notes: list[str] = []
    cards = dict[Path, Card]()
    for path in sorted(folder.glob(f"*/{CARD}")):
        try:
            cards[path.with_name(WEIGHTS)] = read_card(path)
        except BenchError as problem:
            notes.append(str(problem))
    trunk_name = _trunk(cards, folder, notes)
    members = {path: card for path, card in cards.items() if card.name != trunk_name and trunk_name in card.parents}
    notes += [f"{card.name}: no descendant of {trunk_name}" for card in _others(cards, members, trunk_name)]
    trunk = parent_of(trunk_name, weights=weights, entries=(folder, *entries) if _local(cards, trunk_name) else entries)
    network = tapped(trunk.network(_bands(trunk.entry, bands)))
    layout = Layout(shapes={name: tuple(value.shape) for name, value in network.named_parameters()})
    sound = list[tuple[Card, Tensor]]()
    for path, card in members.items():
        try:
            sound.append((card, weights_of(path, card, layout)))
        except (BenchError, OSError, ValueError) as problem:
            notes.append(f"{card.name} left out: {problem}")
        except Exception as problem:  # safetensors raises an error of its own
            notes.append(f"{card.name} left out: {type(problem).__name__}: {problem}")
    if len(sound) < 2:
        faults = f" ({'; '.join(notes)})" if notes else ""
        raise Incompatible(f"{folder} has {len(sound)} sound members of {trunk_name}; at least two are needed{faults}")
    base = layout.flat(network.state_dict())
    return Lineage(
        trunk=trunk,
        network=network,
        layout=layout,
        base=base,
        members=tuple(_member(card) for card, _ in sound),
        deltas=torch.stack([vector - base for _, vector in sound]),
        classes=max(int(card.data.get("classes_of_task", 0)) for card, _ in sound),
        notes=tuple(notes),
    )


def _trunk(cards: dict[Path, Card], folder: Path, notes: list[str]) -> str:
    """Return the name of the trunk: the entry marked as such, or the parent of most members."""
    marked = [card.name for card in cards.values() if card.data.get("role") == "trunk"]
    if len(marked) > 1:
        raise Incompatible(f"{folder} has several trunks ({', '.join(marked)}); give each zoo a folder of its own")
    parents = [card.parents[0] for card in cards.values() if card.parents]
    if not cards or not (marked or parents):
        faults = f" ({'; '.join(notes)})" if notes else ""
        raise Incompatible(f"{folder} has no entries to learn from{faults}; geobench-make recipe=zoo makes some")
    return marked[0] if marked else max(sorted(set(parents)), key=parents.count)


def _others(cards: dict[Path, Card], members: dict[Path, Card], trunk: str) -> list[Card]:
    return [card for path, card in cards.items() if path not in members and card.name != trunk]


def _local(cards: dict[Path, Card], name: str) -> bool:
    return any(card.name == name for card in cards.values())


def _bands(entry: ModelEntry, names: Sequence[str]) -> tuple[Band, ...]:
    return tuple(band for band in entry.bands if band.name in names) if names else entry.bands


def weights_of(path: Path, card: Card, layout: Layout) -> Tensor:
    """Return the parameters (P,) of an entry's file.

    Raises:
        Incompatible: they have other names or shapes, or are not finite.
        OSError, safetensors.SafetensorError: the file cannot be read.
    """
    state = load_file(path)
    wrong = [name for name, shape in layout.shapes.items() if name not in state or tuple(state[name].shape) != shape]
    extra = [name for name in state if name not in layout.shapes and not is_statistic(name)]
    if wrong or extra:
        raise Incompatible(f"{card.name} has another architecture ({len(wrong) + len(extra)} tensors differ)")
    vector = layout.flat(state)
    if not bool(vector.isfinite().all()):
        raise Incompatible(f"{int((~vector.isfinite()).sum())} of its values are NaN or infinite")
    return vector


def _member(card: Card) -> Member:
    return Member(
        name=card.name,
        condition=read_condition(str(card.data.get("condition", ""))),
        trained_on=card.trained_on,
        suite=str(card.data.get("suite", "")),
        seed=card.seed,
    )


def row_cosine(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Return the mean cosine between the rows of two networks' matrices, each row of length 1 (0 for strangers)."""
    total, count = 0.0, 0
    for name, value in first.items():
        if value.ndim > 1 and name in second and second[name].shape == value.shape:
            rows = torch.nn.functional.cosine_similarity(value.flatten(1), second[name].flatten(1), dim=1)
            total, count = total + float(rows.sum()), count + len(rows)
    return total / count if count else 0.0


def prompt_of(name: str, lineage: Lineage, *, weights: Path | None, entries: Sequence[Path]) -> tuple[Tensor, float]:
    """Return the weights (P,) of a prompt, and its largest row-normalised cosine to the trunk or a member.

    Args:
        name: of an entry; the trunk if empty.
        lineage: that deltas come from.
        weights: folder looked in first for weights.
        entries: folders with further entries.

    Raises:
        Incompatible: the prompt has another architecture than the lineage.
    """
    if not name or name == lineage.trunk.entry.name:
        return lineage.base, 1.0
    parent = parent_of(name, weights=weights, entries=entries)
    state = tapped(parent.network(parent.entry.bands)).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items() if not is_statistic(key)}
    if shapes != dict(lineage.layout.shapes):
        raise Incompatible(
            f"prompt={name} has another architecture than the lineage ({lineage.trunk.base}): a generator per lineage "
            "writes the weights of one architecture; give an entry of that architecture"
        )
    vector = lineage.layout.flat(state)
    given = lineage.layout.split(vector)
    others = [lineage.base, *(lineage.base + delta for delta in lineage.deltas)]
    return vector, max(row_cosine(given, lineage.layout.split(other)) for other in others)
