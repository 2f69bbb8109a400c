"""Entries for local files: a checkpoint of a known architecture, or precomputed embeddings. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core import ModelEntry, Weights
from bench.core.contents import REFUSALS, head_of, kind_of
from bench.core.errors import BadSetting, MissingWeights, UnknownName
from bench.core.file_names import as_file_name
from bench.core.wording import os_error_remedy

LOCAL = ("path", "embeddings")
TWIN = ".random"
NO_WEIGHTS = ("empty", "html", "lfs")


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A local file named in a request.

    Attributes:
        word: the word of the request that names it.
        path: the file, without links.
        architecture: the entry whose network takes the weights, ``""`` for embeddings.
    """

    word: str
    path: Path
    architecture: str

    def name(self, folders: int) -> str:
        """Return the name of the entry, which includes the names of `folders` folders above the file."""
        first = self.architecture.removesuffix(TWIN) or "embeddings"
        parts = [*self.path.parent.parts[1:][-folders:], self.path.stem] if folders else [self.path.stem]
        return ".".join([first, *(as_file_name(part) for part in parts)])


def local_entries(words: Sequence[str], known: Mapping[str, ModelEntry]) -> dict[str, ModelEntry]:
    """Return the entry of each word ``path:FILE:ARCHITECTURE`` or ``embeddings:FILE``.

    ``path:mine.safetensors:dofa_base`` loads the weights of a file into the network of an entry and keeps its input
    contract; the new entry is ``dofa_base.mine``. ``embeddings:mine.parquet`` reads image vectors matched by sample id
    (see `bench.features.ready_made.read_embeddings`); the new entry is ``embeddings.mine``. Where two files of one
    request would share a name, folder names are added: ``dofa_base.run1.checkpoint``, ``dofa_base.run2.checkpoint``.

    Args:
        words: e.g. of ``models=``.
        known: every entry there is.

    Raises:
        BadSetting: no architecture is named, or one without weights; a name is taken, or two files share one.
        MissingWeights: there is no such file, or it is empty or a web page.
        UnknownName: no such architecture.
    """
    files = {word: _file_of(word, known) for word in words}
    entries: dict[str, ModelEntry] = {}
    claimed: dict[str, LocalFile] = {}
    for word, file in files.items():
        alike = [other for other in files.values() if other.name(0) == file.name(0) and other.path != file.path]
        name = _distinct(file, alike)
        if name in known or name.endswith(TWIN):
            taken = "a random twin" if name.endswith(TWIN) else "an entry of the catalogue"
            raise BadSetting(f"{word}: the name {name} is that of {taken}; rename the file {file.path.name}")
        other = claimed.setdefault(name, file)
        if other.path != file.path:
            raise BadSetting(f"{word}: {file.path} and {other.path} would both be called {name}; rename one of them")
        weights = Weights(file=str(file.path), licence="the user's own", source="a local file")
        if file.architecture:
            entries[word] = dataclasses.replace(
                known[file.architecture],
                name=name,
                origin="pretrained",
                parent=file.architecture,
                weights=weights,
                trained_on=(),
            )
        else:
            entries[word] = _embeddings(name, file.path, weights)
    return entries


def _distinct(file: LocalFile, rivals: Sequence[LocalFile]) -> str:
    """Return the name of a file that differs from those of all rivals, with as few folder names as possible."""
    for folders in range(len(file.path.parts) if rivals else 1):
        if all(file.name(folders) != rival.name(folders) for rival in rivals):
            return file.name(folders)
    others = ", ".join(str(rival.path) for rival in rivals)
    raise BadSetting(f"{file.word}: {file.path} and {others} would both be called {file.name(0)}; rename one of them")


def _file_of(word: str, known: Mapping[str, ModelEntry]) -> LocalFile:
    """Return the file and the architecture that a word names."""
    kind, _, rest = word.partition(":")
    name, colon, architecture = rest.rpartition(":") if kind == "path" else (rest, ":", "")
    if not colon or (kind == "path" and not architecture):
        raise BadSetting(f"{word} names no architecture: write path:FILE:ENTRY, e.g. path:mine.safetensors:dofa_base")
    try:
        path = Path(name).expanduser().resolve()
        is_file = path.is_file()
        content = kind_of(head_of(path)) if is_file else ""
    except (OSError, ValueError, RuntimeError) as error:
        reason = os_error_remedy(error) if isinstance(error, OSError) else str(error)
        raise MissingWeights(f"{word}: {name} cannot be read: {reason}") from error
    if not is_file:
        raise MissingWeights(f"{word}: there is no file {path}")
    if kind == "path" and architecture not in known:
        raise UnknownName("architecture", architecture, [entry.name for entry in known.values() if entry.weights])
    if kind == "path" and known[architecture].weights is None and known[architecture].origin != "random":
        raise BadSetting(f"{word}: {architecture} has no weights that a file could replace; name an entry that has")
    if kind == "path" and known[architecture].vectors:
        raise BadSetting(f"{word}: {architecture} is embeddings, not a network; name an entry with a network")
    if content in NO_WEIGHTS:
        raise MissingWeights(f"{word}: {path} {REFUSALS[content]}")
    return LocalFile(word=word, path=path, architecture=architecture)


def _embeddings(name: str, path: Path, weights: Weights) -> ModelEntry:
    def load(*_: Any) -> Any:
        raise BadSetting(f"{path} holds embeddings, not a network")

    return ModelEntry(
        name=name,
        origin="pretrained",
        objective="none",
        any_bands=True,
        sensors=("*",),
        vectors=True,
        image_size=1 << 16,
        any_size=True,
        patch=1,
        depth=1,
        width=0,
        parameters=0,
        weights=weights,
        reference="the user's own",
        load=load,
    )
