"""Where the models of a collection come from: the registry, folders, entries of recipes, lists of hub references."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, WEIGHTS, read_card
from bench.catalogue.weights import WeightSources
from bench.core import ModelEntry
from bench.core.errors import BadSetting, BenchError, MissingWeights
from bench.foundry.collection.files import SUFFIXES, facts_of, weight_files
from bench.foundry.collection.settings import CollectSettings
from bench.store import default_cache

REGISTRY = "registry"
REFERENCE = re.compile(r"(?P<repo>[\w.\-]+/[\w.\-]+)(?:@(?P<revision>[\w.\-/]+))?(?::(?P<file>[\w.\-/]+))?")
PLAIN_STEMS = ("model", "pytorch_model", "weights", "checkpoint", "state", "encoder", "diffusion_pytorch_model")
"""Stems that many files share; such a file is called by its folder."""
FACTS = ("architecture", "modality", "task", "licence")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that a source offers, not yet read.

    Attributes:
        name: of the model.
        paths: its file, or the shards of it.
        source: where it comes from, in words.
        facts: `FACTS` as far as they are stated.
        trained_on: datasets it has seen, as stated.
        parents: entries it derives from, as stated.
        sha256: that its card states, or ``""``.
    """

    name: str
    paths: tuple[Path, ...]
    source: str
    facts: Mapping[str, str] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A file or reference that is refused.

    Attributes:
        path: of the file, or the reference.
        reason: in a sentence.
    """

    path: str
    reason: str


def candidates(settings: CollectSettings) -> Iterator[Candidate | Reject]:
    """Yield every model that the sources offer, and what they refuse, in order.

    Raises:
        BadSetting: a source is neither ``registry`` nor a folder or file that exists.
        UnknownName: ``models=`` names nothing in the registry.
    """
    for source in settings.from_:
        path = Path(source).expanduser()
        if source == REGISTRY:
            yield from _registry(settings)
        elif path.is_dir():
            yield from _folder(path)
        elif path.is_file() and path.suffix.lower() in SUFFIXES:
            yield _loose((path,))
        elif path.is_file():
            yield from _hub(path)
        else:
            raise BadSetting(
                f"from={source}: there is no such folder or file; give registry, a folder or file of weights, "
                "or a text file of hub references"
            )


def _registry(settings: CollectSettings) -> Iterator[Candidate | Reject]:
    chosen, _ = model_catalogue.select(settings.models)
    sources = WeightSources(folder=settings.weights, cache=default_cache(), download=False)
    for entry in chosen:
        if entry.weights is None or entry.vectors or sources.state(entry) != "present":
            continue
        try:
            path = sources.find(entry)
        except BenchError as error:
            yield Reject(path=entry.name, reason=str(error))
            continue
        assert path is not None
        yield Candidate(
            name=entry.name,
            paths=(path,),
            source="registry",
            facts={
                "architecture": entry.name,
                "modality": "+".join(sensors_of([band.name for band in entry.bands]) or entry.sensors),
                "task": _purpose(entry),
                "licence": entry.weights.licence,
            },
            trained_on=tuple(entry.trained_on),
            parents=(entry.parent,) if entry.parent else (),
        )


def _purpose(entry: ModelEntry) -> str:
    return entry.objective if entry.objective != "none" else ""


def sensors_of(bands: Sequence[str]) -> list[str]:
    """Return the sensors of named bands, each once: ``s2.b04`` is of ``s2``."""
    return list(dict.fromkeys(name.partition(".")[0] for name in bands))


def _folder(folder: Path) -> Iterator[Candidate | Reject]:
    for paths in weight_files(folder):
        card = paths[0].with_name(CARD)
        if paths[0].name != WEIGHTS or not card.is_file():
            yield _loose(paths)
            continue
        try:
            facts = read_card(card)
        except BenchError as error:
            yield Reject(path=str(paths[0]), reason=str(error))
            continue
        yield Candidate(
            name=facts.name,
            paths=paths,
            source=f"recipe {facts.recipe}",
            facts={
                "architecture": facts.base,
                "modality": "+".join(sensors_of(facts.bands)),
                "task": facts.objective if facts.objective != "none" else "",
                "licence": facts.licence,
            },
            trained_on=facts.trained_on,
            parents=facts.parents,
            sha256=facts.sha256,
        )


def _loose(paths: tuple[Path, ...], name: str = "", source: str = "file") -> Candidate:
    stated = facts_of(paths[0])
    facts = {key: str(stated[key]) for key in FACTS if isinstance(stated.get(key), str)}
    if isinstance(stated.get("license"), str) and "licence" not in facts:
        facts["licence"] = str(stated["license"])
    datasets = stated.get("trained_on", ())
    seen = tuple(map(str, datasets)) if isinstance(datasets, list) else _split(str(datasets or ""))
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", paths[0].stem)
    own = paths[0].resolve().parent.name if stem in PLAIN_STEMS else stem
    return Candidate(name=name or own, paths=paths, source=source, facts=facts, trained_on=seen)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text != "()" else ()


def _hub(listing: Path) -> Iterator[Candidate | Reject]:
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadSetting(f"from={listing} is no text file of hub references ({error})") from error
    for line in (line.partition("#")[0].strip() for line in lines):
        if not line:
            continue
        parts = REFERENCE.fullmatch(line)
        if parts is None:
            yield Reject(path=line, reason="is no hub reference; write owner/name, owner/name@revision or with :file")
            continue
        try:
            groups = _cached(parts["repo"], parts["revision"], parts["file"])
        except MissingWeights as error:
            yield Reject(path=line, reason=str(error))
            continue
        base = parts["repo"].replace("/", ".")
        for paths in groups:
            name = base if len(groups) == 1 else f"{base}.{paths[0].stem}"
            yield _loose(paths, name, f"hub {parts['repo']}")


def _cached(repository: str, revision: str | None, file: str | None) -> list[tuple[Path, ...]]:
    """Return the files of weights of a hub reference in the local cache; safetensors where there are any."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    fetch = f"fetch it first: hf download {repository}" + (f" {file}" if file else "")
    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise MissingWeights(f"{repository} is not in the local cache of the hub; {fetch}") from error
    if file:
        if not (folder / file).is_file():
            raise MissingWeights(f"{repository} has no {file} in the local cache of the hub; {fetch}")
        return [(folder / file,)]
    groups = list(weight_files(folder))
    safe = [paths for paths in groups if paths[0].suffix == ".safetensors"]
    if not groups:
        raise MissingWeights(f"{repository} has no weights in the local cache of the hub; {fetch}")
    return safe or groups
