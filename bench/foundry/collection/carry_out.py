"""Carrying out a collection: read every candidate once, compare all pairs, report spectra, write the catalogue."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import canonical
from bench.core.errors import BadSetting, BenchError, MissingWeights
from bench.core.wording import shortened
from bench.foundry.collection.catalogue import LINEAGE, REJECTS, SPECTRA, Member, write_collection
from bench.foundry.collection.families import places
from bench.foundry.collection.files import hash_of, read_weights, require_sound
from bench.foundry.collection.lineage import Pair, compare
from bench.foundry.collection.settings import CollectSettings
from bench.foundry.collection.sketches import Sketch, matrices_of, sketch
from bench.foundry.collection.sources import Candidate, Reject, candidates
from bench.foundry.collection.spectra import gram, spectrum

if TYPE_CHECKING:
    from torch import Tensor

Report = Callable[[str], None]
PAIR_COLUMNS = ("a", "b", "cosine", "relation")


@dataclass(frozen=True, kw_only=True)
class Read:
    """A candidate that was read: its row, its sketch and its files."""

    member: Member
    sketch: Sketch
    paths: tuple[Path, ...]


def collect(settings: CollectSettings, *, out: Path, report: Report) -> Path:
    """Collect models and return the path of the catalogue.

    Args:
        settings: see `CollectSettings`.
        out: folder of the collection.
        report: receives one line per step.

    Raises:
        BadSetting: no model could be read, or a single one; what could be is written all the same.
    """
    with tempfile.TemporaryDirectory(prefix=".sketches.", dir=out) as folder:
        read, rejects = _read_all(settings, Path(folder), report)
        sketches = {name: model.sketch for name, model in read.items()}
        pairs = compare(sketches, lambda name: read_weights(read[name].paths), report)
    members = _placed({name: model.member for name, model in read.items()}, pairs)
    spectra = _spectra(members, {name: model.paths for name, model in read.items()}, settings, report)
    tables: dict[str, tuple[Sequence[str], Sequence[Mapping[str, object]]]] = {
        LINEAGE: (PAIR_COLUMNS, [vars(pair) for pair in pairs]),
        REJECTS: (("path", "reason"), [vars(reject) for reject in rejects]),
        SPECTRA: (_spectrum_columns(spectra), spectra),
    }
    facts = {
        "settings": settings.model_dump(mode="json"),
        "models": len(members),
        "rejected": len(rejects),
        "notes": [f"{pair.a} and {pair.b}: {pair.note}" for pair in pairs if pair.note],
    }
    path = write_collection(out, members, tables, facts)
    _tell(members, pairs, rejects, report)
    if len(members) < 2:
        given = shortened(settings.from_)
        raise BadSetting(
            f"from={given} gave {len(members) or 'no'} model{'s' * (not members)}, and {len(rejects)} were refused "
            f"(see {out / REJECTS}): lineage and spectra need two or more"
        )
    return path


def _read_all(settings: CollectSettings, folder: Path, report: Report) -> tuple[dict[str, Read], list[Reject]]:
    read: dict[str, Read] = {}
    rejects: list[Reject] = []
    seen: set[tuple[Path, ...]] = set()
    for candidate in candidates(settings):
        if isinstance(candidate, Reject):
            rejects.append(candidate)
            report(f"refused {candidate.path}: {candidate.reason}")
            continue
        resolved = tuple(path.resolve() for path in candidate.paths)
        if resolved in seen:
            continue
        seen.add(resolved)
        name = _free_name(candidate, read)
        try:
            read[name] = _read(replace(candidate, name=name), folder / f"{len(seen)}.sketch")
        except (BenchError, OSError) as error:
            rejects.append(Reject(path=str(candidate.paths[0]), reason=_reason(error)))
            report(f"refused {candidate.paths[0]}: {_reason(error)}")
        else:
            report(f"read {name}: {read[name].member.parameters:,} values")
    return read, rejects


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _free_name(candidate: Candidate, taken: Mapping[str, object]) -> str:
    """Return the candidate's name, with folders above its file put before it until no other model has it."""
    name = candidate.name
    for folder in candidate.paths[0].resolve().parent.parts[:0:-1]:
        if name not in taken:
            return name
        name = f"{folder}.{name}"
    return name


def _read(candidate: Candidate, place: Path) -> Read:
    digest = hash_of(candidate.paths)
    if candidate.sha256 and digest != candidate.sha256:
        raise MissingWeights(f"{candidate.paths[0]} has sha256 {digest}, its card states {candidate.sha256}")
    state = read_weights(candidate.paths)
    require_sound(state, candidate.paths[0])
    floats = [tensor for tensor in state.values() if tensor.is_floating_point()]
    structure = structure_of(state)
    stated = candidate.facts
    member = Member(
        name=candidate.name,
        architecture=stated.get("architecture") or f"structure:{structure[:8]}",
        modality=stated.get("modality", ""),
        task=stated.get("task", ""),
        licence=stated.get("licence", ""),
        trained_on=candidate.trained_on,
        parents=candidate.parents,
        lineage="",
        kinship="",
        duplicate_of="",
        sha256=digest,
        parameters=sum(tensor.numel() for tensor in floats),
        bits=max(8 * tensor.element_size() for tensor in floats),
        bytes=sum(path.stat().st_size for path in candidate.paths),
        structure=structure,
        source=candidate.source,
        path=str(candidate.paths[0].resolve()),
        shards=len(candidate.paths),
    )
    return Read(member=member, sketch=sketch(state, place), paths=candidate.paths)


def structure_of(state: Mapping[str, Tensor]) -> str:
    """Return a hash of the shapes of a model's matrices, whatever their names and order."""
    shapes = Counter(str(tuple(tensor.shape)) for tensor in matrices_of(state).values())
    return hashlib.sha256(canonical(dict(sorted(shapes.items()))).encode()).hexdigest()


def _placed(members: Mapping[str, Member], pairs: Sequence[Pair]) -> list[Member]:
    parents = {name: member.parents for name, member in members.items()}
    place_of = places(list(members), pairs, parents, {name: member.bits for name, member in members.items()})
    return [replace(member, **vars(place_of[name])) for name, member in members.items()]


def _spectra(
    members: Sequence[Member], paths: Mapping[str, tuple[Path, ...]], settings: CollectSettings, report: Report
) -> list[dict[str, object]]:
    """Return one row per architecture and lineage with at least two originals; copies are left out."""
    groups: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        if not member.duplicate_of:
            groups.setdefault((member.lineage, member.structure), []).append(member)
    rows = []
    for (lineage, _), group in groups.items():
        ancestor = next((member.name for member in group if member.kinship == "ancestor"), "")
        children = [member.name for member in group if member.name != ancestor]
        if len(group) < 2 or not children:
            continue
        openers = [partial(read_weights, paths[name]) for name in children]
        products = gram(openers, partial(read_weights, paths[ancestor]) if ancestor else None)
        if not products:
            continue
        result = spectrum(products, reference=ancestor or "mean", draws=settings.draws, seed=settings.seed)
        rows.append({"lineage": lineage, "architecture": group[0].architecture, **result.row()})
        report(f"{lineage} ({len(group)} models of {group[0].architecture}): {result.sentence}")
    return rows


def _spectrum_columns(rows: Sequence[Mapping[str, object]]) -> list[str]:
    return list(rows[0]) if rows else ["lineage", "architecture"]


def _tell(members: Sequence[Member], pairs: Sequence[Pair], rejects: Sequence[Reject], report: Report) -> None:
    counts = Counter(pair.relation for pair in pairs)
    for pair in pairs:
        if pair.note:
            report(f"{pair.a} and {pair.b}: {pair.relation}; {pair.note}")
    families = Counter(member.lineage for member in members)
    related = sum(count > 1 for count in families.values())
    report(
        f"{len(members)} models, {len(rejects)} refused; of {len(pairs)} pairs {counts['duplicate']} are duplicates, "
        f"{counts['lineage']} of one lineage and {counts['unrelated']} unrelated; "
        f"{related} lineages with several models"
    )
