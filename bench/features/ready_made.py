"""Ready-made image embeddings as the features of a model: read from a file, matched to a split by sample id."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.core import Layer
from bench.core.errors import Damaged, Incompatible, MissingWeights
from bench.store import FeatureCache, Features

LAYER = "embedding"


def read_embeddings(path: Path) -> tuple[list[str], np.ndarray]:
    """Return ids and embeddings (n, D) float32 of a file.

    Args:
        path: ``.parquet`` with a column ``id`` and one column of lists (or numeric columns, in their order); ``.npz``
            with arrays ``ids`` and ``embeddings``; or ``NAME.npy`` (n, D) with ``NAME.ids.txt`` next to it, one id per
            line.

    Raises:
        MissingWeights: the file is absent or damaged, or not of such a form; an id occurs twice or is empty; a value is
            not finite.
    """
    if path.suffix not in _FORMATS:
        raise MissingWeights(f"{path}: embeddings are read from {', '.join(_FORMATS)}, not {path.suffix!r}")
    try:
        ids, values = _FORMATS[path.suffix](path)
    except FileNotFoundError as error:
        raise MissingWeights(f"{path}: no such embeddings ({error.filename or error} is absent)") from error
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise MissingWeights(f"{path} cannot be read as embeddings: {error}") from error
    if values.dtype.kind not in "fiu":
        raise MissingWeights(f"{path}: embeddings of type {values.dtype}; wanted real numbers")
    if values.ndim != 2 or len(values) != len(ids) or not values.size:
        raise MissingWeights(f"{path}: {len(ids)} ids and embeddings of shape {values.shape}; wanted (n, D) with n ids")
    if "" in ids:
        raise MissingWeights(f"{path}: the id of row {ids.index('')} is empty")
    if twice := [name for name, count in Counter(ids).items() if count > 1]:
        raise MissingWeights(f"{path}: {len(twice)} ids occur twice, the first {twice[0]!r}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    sound = np.isfinite(values).all(1)
    if not sound.all():
        first = ids[int(np.argmin(sound))]
        raise MissingWeights(f"{path}: {int((~sound).sum())} embeddings are not finite, the first that of {first!r}")
    return ids, values


def check_ids(path: Path, wanted: Mapping[str, Sequence[str]]) -> None:
    """Check that a file can be read and has an embedding of every sample, before anything is run.

    Args:
        path: see `read_embeddings`.
        wanted: split -> ids of its samples.

    Raises:
        Incompatible: a sample has no embedding.
        MissingWeights: see `read_embeddings`.
    """
    known, _ = read_embeddings(path)
    places = set(known)
    for split, ids in wanted.items():
        _require_all(path, known, [name for name in ids if name not in places], len(ids), f" of {split}")


def _require_all(path: Path, known: Sequence[str], lacking: Sequence[str], count: int, where: str = "") -> None:
    if lacking:
        raise Incompatible(
            f"{path.name} has no embedding of {len(lacking)} of {count} samples{where}, the first {lacking[0]!r}; its "
            f"ids look like {known[0]!r}"
        )


def _parquet(path: Path) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    frame = pd.read_parquet(path)
    if "id" not in frame:
        raise ValueError(f"no column 'id' among {', '.join(map(str, frame.columns))}")
    ids, rest = [_text(name) for name in frame.pop("id")], frame
    lists = [name for name in rest.columns if rest[name].dtype == object]
    if len(lists) == 1:
        rows = [np.asarray(row, np.float32) for row in rest[lists[0]]]
        if len(shapes := {row.shape for row in rows}) > 1:
            raise ValueError(f"rows of shapes {', '.join(map(str, sorted(shapes)))}; wanted vectors of one length")
        return ids, np.stack(rows)
    return ids, rest.to_numpy(np.float32)


def _text(name: object) -> str:
    """Return an id as text; one that is missing is empty."""
    return "" if name is None or name != name else str(name)


def _npz(path: Path) -> tuple[list[str], np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        if lacking := {"ids", "embeddings"} - set(file.files):
            raise ValueError(f"no array {sorted(lacking)[0]!r}; it holds {', '.join(file.files)}")
        if file["ids"].ndim != 1:
            raise ValueError(f"ids of shape {file['ids'].shape}; wanted one per row")
        return [str(name) for name in file["ids"]], file["embeddings"]


def _npy(path: Path) -> tuple[list[str], np.ndarray]:
    ids = path.with_suffix(".ids.txt").read_text().splitlines()
    return [name.strip() for name in ids if name.strip()], np.load(path, allow_pickle=False)


_FORMATS = {".parquet": _parquet, ".npz": _npz, ".npy": _npy}


def embedded(
    path: Path, ids: list[str], cache: FeatureCache, key: Mapping[str, object], storage: str
) -> tuple[Features, dict[str, float]]:
    """Return the features of a split that are the embeddings of a file, and that they cost no pass.

    Args:
        path: see `read_embeddings`.
        ids: of the split's samples, in order.
        cache: keeps them like any features.
        key: their content key.
        storage: numpy dtype they are kept in.

    Raises:
        Incompatible: a sample of the split has no embedding, or a value is beyond the storage type.
        MissingWeights: see `read_embeddings`.
    """
    if (ready := cache.open(key)) is not None:
        return ready, {"passes": 0.0, "seconds": 0.0}
    with cache.lock(key):
        ready = cache.open(key)
        if ready is None:
            known, values = read_embeddings(path)
            place = {name: row for row, name in enumerate(known)}
            _require_all(path, known, [name for name in ids if name not in place], len(ids))
            rows = values[[place[name] for name in ids]].astype(storage)
            if not np.isfinite(rows).all():
                raise Incompatible(f"{path.name}: values beyond {storage}; set storage=float32")
            layer = Layer(name=LAYER, channels=rows.shape[1], stride=1, depth=1.0)
            writer = cache.writer(key, ids, {f"{LAYER}.mean": (rows.shape[1:], rows.dtype.str)}, (layer,))
            try:
                writer.append({f"{LAYER}.mean": rows[writer.rows :]})
                writer.commit()
            finally:
                writer.close()
            ready = cache.open(key)
    if ready is None:
        raise Damaged(f"{cache.folder(key)} differs from its checksums as soon as it is written: check the disk")
    return ready, {"passes": 0.0, "seconds": 0.0}
