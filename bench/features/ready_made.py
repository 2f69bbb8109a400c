"""Ready-made image embeddings as the features of a model: read from a file, matched to a split by sample id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import Layer
from bench.core.errors import Damaged, Incompatible, MissingWeights
from bench.store import FeatureCache, Features

LAYER = "embedding"


def read_embeddings(path: Path) -> tuple[list[str], np.ndarray]:
    """Return ids and embeddings (n, D) float32 of a file.

    Args:
        path: ``.parquet`` with a column ``id`` and one column of lists (or numeric columns, in their order); ``.npz``
            with arrays ``ids`` and ``embeddings``; or ``NAME.npy`` (n, D) with ``NAME.ids.txt`` beside it, one id a
            line.

    Raises:
        MissingWeights: the file is absent or damaged, or not of such a form; an id stands twice; a value is not finite.
    """
    try:
        ids, values = _FORMATS[path.suffix](path)
    except KeyError:
        raise MissingWeights(f"{path}: embeddings are read from {', '.join(_FORMATS)}, not {path.suffix!r}") from None
    except FileNotFoundError as error:
        raise MissingWeights(f"{path}: no such embeddings ({error.filename or error} is absent)") from error
    except (OSError, ValueError, TypeError) as error:
        raise MissingWeights(f"{path} cannot be read as embeddings: {error}") from error
    if values.ndim != 2 or len(values) != len(ids) or not len(ids):
        raise MissingWeights(f"{path}: {len(ids)} ids and embeddings of shape {values.shape}; wanted (n, D) with n ids")
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise MissingWeights(f"{path}: the id {twice!r} stands twice")
    sound = np.isfinite(values).all(1)
    if not sound.all():
        raise MissingWeights(f"{path}: the embedding of {ids[int(np.argmin(sound))]!r} is not finite")
    return ids, values.astype(np.float32)


def _parquet(path: Path) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    frame = pd.read_parquet(path)
    if "id" not in frame:
        raise ValueError(f"no column 'id' among {', '.join(map(str, frame.columns))}")
    ids, rest = [str(one) for one in frame.pop("id")], frame
    lists = [name for name in rest.columns if rest[name].dtype == object]
    if len(lists) == 1:
        return ids, np.stack([np.asarray(row, np.float32) for row in rest[lists[0]]])
    return ids, rest.to_numpy(np.float32)


def _npz(path: Path) -> tuple[list[str], np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        if lacking := {"ids", "embeddings"} - set(file.files):
            raise ValueError(f"no array {sorted(lacking)[0]!r}; it holds {', '.join(file.files)}")
        return [str(one) for one in file["ids"]], file["embeddings"]


def _npy(path: Path) -> tuple[list[str], np.ndarray]:
    ids = path.with_suffix(".ids.txt").read_text().splitlines()
    return [one.strip() for one in ids if one.strip()], np.load(path, allow_pickle=False)


_FORMATS = {".parquet": _parquet, ".npz": _npz, ".npy": _npy}


def embedded(
    path: Path, ids: list[str], cache: FeatureCache, key: Mapping[str, Any], storage: str
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
            place = {one: row for row, one in enumerate(known)}
            if lacking := [one for one in ids if one not in place]:
                raise Incompatible(
                    f"{path.name} has no embedding of {len(lacking)} of {len(ids)} samples, the first {lacking[0]!r}; "
                    f"its ids look like {known[0]!r}"
                )
            rows = values[[place[one] for one in ids]].astype(storage)
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
