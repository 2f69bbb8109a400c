"""Students: the first or every k-th block of a teacher, or another entry, each pretrained or at random init."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import Card, write_entry
from bench.core import Band
from bench.core.errors import BadSetting
from bench.foundry.contract.resolved import Parent, lineage, parent_of, shape_of
from bench.networks.reshaped import ShortenedBackbone
from bench.networks.tapped import TappedNetwork, tapped

TRUNCATED = re.compile(r"(first|every):(\d+)(\.random)?")
TWIN = ".random"


@dataclass(frozen=True, kw_only=True)
class Student:
    """The network that learns from a teacher.

    Attributes:
        word: as it was asked for: ``first:2``, ``every:3.random``, ``imagenet_resnet18``.
        parent: whose loader, input contract and weights it starts from: the teacher's for truncated students.
        blocks: numbers of the parent's blocks that it keeps, from 1; none for the whole network.
        random: whether it starts from random init.
    """

    word: str
    parent: Parent
    blocks: tuple[int, ...]
    random: bool

    @property
    def label(self) -> str:
        """The word as a part of an entry's name: ``first_2``, ``every_3.random``, ``imagenet_resnet18``."""
        return self.word.replace(":", "_")

    def network(self, bands: tuple[Band, ...], *, seed: int = 0) -> TappedNetwork:
        """Return the student's network, with the weights it starts from.

        Args:
            bands: that it is fed.
            seed: of the random init.

        Raises:
            Incompatible: a block that changes the number of channels or the stride would be left out.
        """
        network = tapped(self.parent.network(bands, seed=seed, random=self.random))
        return ShortenedBackbone(network, self.blocks) if self.blocks else network


def student_of(word: str, teacher: Parent, *, weights: Path | None = None, entries: Sequence[Path] = ()) -> Student:
    """Return the student that a word names.

    Args:
        word: ``first:N``, the first N blocks of the teacher; ``every:K``, its blocks K, 2 K, ...; or the name of an
            entry. Each may end in ``.random``: the same network from random init.
        teacher: the teacher's entry.
        weights: folder looked in first for weights.
        entries: folders with further entries.

    Raises:
        BadSetting: N or K does not fit the teacher's depth, or the entry is larger than the teacher.
        UnknownName: there is no such entry.
        Incompatible, MissingWeights: see `bench.foundry.contract.resolved.parent_of`.
    """
    if match := TRUNCATED.fullmatch(word):
        blocks = kept_blocks(match[1], int(match[2]), teacher)
        return Student(word=word, parent=teacher, blocks=blocks, random=bool(match[3]))
    if word.partition(":")[0] in ("first", "every"):
        raise BadSetting(f"student={word}: write first:2 (the first two blocks) or every:3 (blocks 3, 6, ...)")
    # The twin of an entry that a recipe left has no card; its parent has, and its weights are not read.
    name = word if word in model_catalogue.entries() else word.removesuffix(TWIN)
    parent = parent_of(name, weights=weights, entries=entries)
    if parent.entry.parameters > teacher.entry.parameters:
        raise BadSetting(
            f"student={word} has {parent.entry.parameters:,} parameters, its teacher {teacher.entry.name} "
            f"{teacher.entry.parameters:,}: take a smaller student, e.g. first:{max(1, teacher.entry.depth // 2)}"
        )
    return Student(word=word, parent=parent, blocks=(), random=word.endswith(TWIN) or parent.path is None)


def kept_blocks(how: str, number: int, teacher: Parent) -> tuple[int, ...]:
    """Return the numbers of the blocks that ``first:N`` or ``every:K`` keep of a teacher.

    Raises:
        BadSetting: the number is 0, or beyond the teacher's depth.
    """
    depth = teacher.entry.depth
    if not 1 <= number <= depth:
        raise BadSetting(f"student={how}:{number}: {teacher.entry.name} has {depth} blocks; give a number from 1")
    return tuple(range(1, number + 1)) if how == "first" else tuple(range(number, depth + 1, number))


def write_student(
    student: Student,
    network: TappedNetwork,
    *,
    bands: tuple[Band, ...],
    out: Path,
    name: str,
    parents: Sequence[Parent],
    settings: dict[str, object],
    seed: int,
    seen: Sequence[str] = (),
    facts: dict[str, object] | None = None,
    cost: dict[str, float] | None = None,
    scores: dict[str, float] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write a student as an entry and return the path of its weights.

    Args:
        student: what it started from.
        network: with the weights that are kept.
        bands: that it is fed.
        out: folder of entries.
        name: of the new entry.
        parents: entries its weights derive from, that of its network first; exposure and licence are inherited.
        settings: of the recipe, complete.
        seed: of everything random.
        seen: datasets that it was trained on, in addition to those of its parents.
        facts: the data it learned from.
        cost: what making it took.
        scores: what was measured.
        notes: what a reader must know.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    parameters = sum(value.numel() for value in network.parameters())
    inherits = lineage(parents) | {"base": student.parent.base}
    inherits["trained_on"] = tuple(dict.fromkeys((*inherits["trained_on"], *filter(None, seen))))
    card = Card(
        name=name,
        origin="distilled",
        bands=tuple(band.name for band in bands),
        shape=shape_of(student.parent, bands, network),
        parameters=parameters,
        depth=sum(layer.name.startswith("block_") for layer in network.layers),
        width=network.layers[-1].channels,
        recipe="distill",
        version=1,
        settings=settings,
        seed=seed,
        data=facts or {},
        cost={"parameters": float(parameters), **(cost or {})},
        scores=scores or {},
        sha256="",
        reference=student.parent.entry.reference,
        notes=tuple(notes),
        **inherits,
    )
    return write_entry(out, card, save(state))


def initial_student(
    word: str,
    teacher: str,
    *,
    out: Path,
    name: str = "",
    weights: Path | None = None,
    entries: Sequence[Path] = (),
    seed: int = 0,
) -> Path:
    """Write a student as it starts, without any training, and return the path of its weights.

    It is the control of every distilled entry: tuned on the task alone it shows what the init is worth.

    Args:
        word: see `student_of`.
        teacher: name of the teacher's entry.
        out: folder of entries.
        name: of the new entry; ``<teacher>.<student>.init`` if not given.
        weights: folder looked in first for weights.
        entries: folders with further entries.
        seed: of a random init.
    """
    started = time.perf_counter()
    parent = parent_of(teacher, weights=weights, entries=entries)
    student = student_of(word, parent, weights=weights, entries=entries)
    bands = student.parent.entry.bands
    return write_student(
        student,
        student.network(bands, seed=seed),
        bands=bands,
        out=out,
        name=name or f"{teacher}.{student.label}.init",
        parents=[student.parent],
        settings={"method": "init", "teacher": [teacher], "student": word, "seed": seed},
        seed=seed,
        cost={"seconds": round(time.perf_counter() - started, 1)},
        notes=("not trained: the student as it starts",),
    )
