"""What models' layers have in common, from stored activations of the same images: CKA maps, controls, dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.similarity.arrays import match_rows
from analysis.similarity.cka_maps import cka_control, cka_jackknife, cka_map
from analysis.similarity.dimensions import participation_ratio, rankme, twonn
from analysis.similarity.resampling import row_blocks
from analysis.tables.source import RecordSource
from bench.core import Record

MOST_PAIRS = 15  # cross maps that are drawn; the matrix of models has all
GROUPS = 20


@dataclass(frozen=True, kw_only=True)
class StoredActivations:
    """One model's activations.

    Attributes:
        model: its name, with the seed where it is at random init.
        ids: of the images, (n,).
        layers: names in depth order.
        depth: relative depth of each.
        values: layer, or ``block.part``, -> (n, D).
        generated: of generated data.
        record: digest.
    """

    model: str
    ids: np.ndarray
    layers: tuple[str, ...]
    depth: np.ndarray
    values: Mapping[str, np.ndarray]
    generated: bool
    record: str

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Sub-module -> its names over the blocks, in depth order, of those that two blocks or more have."""
        found: dict[str, list[str]] = {}
        for layer in self.layers:
            for name in self.values:
                block, dot, part = name.partition(".")
                if dot and block == layer:
                    found.setdefault(part, []).append(name)
        return {part: tuple(names) for part, names in found.items() if len(names) > 1}

    def depths(self, names: Sequence[str]) -> np.ndarray:
        """Return the relative depth of the block each sub-module is in."""
        return np.array([self.depth[self.layers.index(name.partition(".")[0])] for name in names])

    def stack(self, parts: Sequence[str] = ()) -> list[np.ndarray]:
        """Return the activations of the layers, or of the sub-modules named, as float32."""
        return [np.asarray(self.values[name], np.float32) for name in parts or self.layers]


def embedded(source: RecordSource, records: Iterable[Record], *, parts: bool = False) -> list[StoredActivations]:
    """Return the stored activations of a suite by model, rows matched by id to those of the first.

    Images that not all of them have are left out. Of records of one model and seed the one with most images counts,
    then the one with most sub-modules.

    Args:
        source: where their arrays are.
        records: of a suite; those of other protocols are passed over.
        parts: of records with sub-modules only, which are often of fewer images.
    """
    best: dict[str, StoredActivations] = {}
    for record in records:
        if record.key.protocol != "embed" or record.status != "ok":
            continue
        arrays = source.arrays(record)
        if parts and not any("." in name for name in arrays):
            continue
        seed = f" (seed {record.key.seed})" if record.key.weights == "random" and record.key.seed else ""
        names = [str(row["layer"]) for row in record.curves]
        ids = arrays["ids"]
        name = f"{record.key.model}{seed}"
        known = best.get(name)
        if known is not None and (len(known.ids), len(known.values)) >= (len(ids), len(arrays) - 2):
            continue
        best[name] = StoredActivations(
            model=name,
            ids=ids,
            layers=tuple(names),
            depth=np.array([float(row["depth"]) for row in record.curves]),
            values={key.partition("/")[2]: arrays[key] for key in arrays if key.startswith("layer/")},
            generated=bool(record.facts.get("generated")),
            record=record.digest,
        )
    found = [best[name] for name in sorted(best)]
    if not found:
        return []
    shared = [one for one in found[0].ids if all(one in set(other.ids) for other in found[1:])]
    return [_matched(one, np.array(shared)) for one in found]


def _matched(one: StoredActivations, ids: np.ndarray) -> StoredActivations:
    if len(one.ids) != len(ids):
        kept = np.isin(one.ids, ids)
        values = {name: rows[kept] for name, rows in one.values.items()}
        one = StoredActivations(**{**one.__dict__, "ids": one.ids[kept], "values": values})
    order = match_rows(ids, one.ids)
    values = {name: np.asarray(rows)[order] for name, rows in one.values.items()}
    return StoredActivations(**{**one.__dict__, "ids": ids, "values": values})


def model_matrix(models: Sequence[StoredActivations]) -> pd.DataFrame:
    """Return one row a pair of models: debiased CKA of their last layers with its jackknife interval and control.

    ``best`` is the largest CKA of any two of their layers, at ``best_layers``; ``shuffled`` the mean CKA with rows
    shuffled, which is 0 but for noise, and ``shuffled_sd`` its spread.
    """
    if len(models) < 2:
        return pd.DataFrame()
    last = [one.stack()[-1] for one in models]
    blocks = row_blocks(len(models[0].ids), min(GROUPS, len(models[0].ids) // 4), np.random.default_rng(0))
    spread = cka_jackknife(last, blocks=blocks)
    control = cka_control(last, last, rng=np.random.default_rng(0), permutations=20)
    rows = []
    for i, one in enumerate(models):
        for j in range(i + 1, len(models)):
            other = models[j]
            found = cka_map(one.stack(), other.stack())
            y, x = np.unravel_index(int(np.nanargmax(found)), found.shape)
            rows.append(
                {
                    "model": one.model,
                    "other": other.model,
                    "cka": float(spread.value[i, j]),
                    "low": float(spread.low[i, j]),
                    "high": float(spread.high[i, j]),
                    "best": float(found[y, x]),
                    "best_layers": f"{one.layers[y]} / {other.layers[x]}",
                    "shuffled": float(control.mean[i, j]),
                    "shuffled_sd": float(control.deviation[i, j]),
                    "images": len(one.ids),
                }
            )
    return pd.DataFrame(rows)


def dimensions(models: Sequence[StoredActivations]) -> pd.DataFrame:
    """Return RankMe, participation ratio and TwoNN dimension of every layer of every model."""
    rows = []
    for one in models:
        for name, depth, values in zip(one.layers, one.depth, one.stack(), strict=True):
            row = {"model": one.model, "layer": name, "depth": float(depth), "width": values.shape[1]}
            for label, measure in (("rankme", rankme), ("participation_ratio", participation_ratio), ("twonn", twonn)):
                try:
                    row[label] = measure(values)
                except ValueError:
                    row[label] = np.nan
            rows.append(row)
    return pd.DataFrame(rows)
