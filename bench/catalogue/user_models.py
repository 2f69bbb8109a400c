"""A user's own models: a checkpoint for a known architecture, a file of entries, ready-made embeddings. No torch."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.core import ModelEntry, Weights
from bench.core.errors import BadSetting, MissingWeights, UnknownName
from bench.core.soundness import check_entry

OWN = "geobench_models.py"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file of a user's, ``""`` where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def run_file(path: Path) -> ModuleType:
    """Return what a user's Python file defines.

    Raises:
        BadSetting: it cannot be run.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles of the file look their module up by name.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BadSetting(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def own_entries(folder: Path) -> tuple[ModelEntry, ...]:
    """Return the ``ENTRIES`` of `OWN` in a folder, none where there is no such file.

    Raises:
        BadSetting: the file cannot be run, or has no ``ENTRIES`` of `ModelEntry`.
    """
    path = folder / OWN
    return _own_entries(path, file_hash(path))


@lru_cache(maxsize=2)
def _own_entries(path: Path, content: str) -> tuple[ModelEntry, ...]:
    """Return the entries of a file while it has some content; once it changes, it is run again."""
    if not content:
        return ()
    entries = getattr(run_file(path), "ENTRIES", None)
    if not isinstance(entries, tuple | list) or not all(isinstance(one, ModelEntry) for one in entries):
        raise BadSetting(f"{path} has no ENTRIES, a tuple of bench.core.ModelEntry, as the files of bench/models/ have")
    for entry in entries:
        check_entry(entry, source=str(path))
    return tuple(entries)


def local_entry(word: str, known: Mapping[str, ModelEntry]) -> ModelEntry:
    """Return the entry that ``path:FILE:ARCHITECTURE`` or ``embeddings:FILE`` spells.

    Args:
        word: e.g. ``path:mine.safetensors:dofa_base``: the weights of FILE in the network, and under the input
            contract, of an entry; its name is ``dofa_base.mine``. Or ``embeddings:mine.parquet``: image vectors matched
            by sample id (see `bench.features.ready_made.read_embeddings`); its name is ``embeddings.mine``.
        known: every entry there is.

    Raises:
        BadSetting: no architecture is named.
        MissingWeights: there is no such file.
        UnknownName: no such architecture.
    """
    kind, _, rest = word.partition(":")
    name, colon, architecture = rest.rpartition(":") if kind == "path" else (rest, ":", "")
    if not colon or (kind == "path" and not architecture):
        raise BadSetting(f"{word} names no architecture: write path:FILE:ENTRY, e.g. path:mine.safetensors:dofa_base")
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise MissingWeights(f"{word}: there is no file {path}")
    weights = Weights(file=str(path), licence="the user's own", source="a local file")
    if kind == "embeddings":
        return _embeddings(path, weights)
    if architecture not in known:
        raise UnknownName("architecture", architecture, [one.name for one in known.values() if one.weights])
    parent = known[architecture]
    return dataclasses.replace(
        parent,
        name=f"{architecture.removesuffix('.random')}.{path.stem}",
        origin="pretrained",
        parent=architecture,
        weights=weights,
        trained_on=(),
    )


def _embeddings(path: Path, weights: Weights) -> ModelEntry:
    def load(*_: Any) -> Any:
        raise BadSetting(f"{path} holds embeddings, not a network")

    return ModelEntry(
        name=f"embeddings.{path.stem}",
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
