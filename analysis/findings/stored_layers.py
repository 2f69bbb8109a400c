"""Layers of models over the same images, as records store them: whole activations, or principal coordinates.

Records of protocol ``embed`` hold whole mean activations, of sub-modules too. Records of protocol ``similarity``, which
every default run leaves, hold the first principal coordinates of each layer, its exact HSIC with itself, and exact CKA
between the layers of the model; CKA with another model's layers follows to within a few thousandths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from analysis.similarity.arrays import match_rows
from analysis.tables.columns import MutableRow, Row
from analysis.tables.source import RecordSource
from bench.core import Record, canonical
from bench.metrics.representations import hsic
from bench.store.companded import expand


@dataclass(frozen=True, kw_only=True)
class StoredLayers:
    """The layers of one model over some images.

    Attributes:
        model: its name, with the seed where it is at random init.
        ids: of the images, (m,).
        blocks: resampling unit of each image, (m,).
        cells: rows per image; the rows of an image follow one another.
        layers: names in depth order.
        depth: relative depth of each.
        values: layer, or ``block.part``, -> (m cells, D).
        gains: layer -> HSIC of the whole layer with itself over that of its values, 1 where all is stored.
        within: debiased CKA between the layers, (L, L), where it is stored.
        dimensions: one mapping per layer with its width and dimensions, where they are stored.
        generated: of generated data.
        record: digest.
    """

    model: str
    ids: np.ndarray
    blocks: np.ndarray
    cells: int = 1
    layers: tuple[str, ...]
    depth: np.ndarray
    values: Mapping[str, np.ndarray]
    gains: Mapping[str, float] = field(default_factory=dict)
    within: np.ndarray | None = None
    dimensions: tuple[Row, ...] = ()
    generated: bool
    record: str

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Sub-module -> its names over the blocks, in depth order, of those that two blocks or more have."""
        names: dict[str, list[str]] = {}
        for layer in self.layers:
            for name in self.values:
                block, dot, part = name.partition(".")
                if dot and block == layer:
                    names.setdefault(part, []).append(name)
        return {part: tuple(members) for part, members in names.items() if len(members) > 1}

    def depths(self, names: Sequence[str]) -> np.ndarray:
        """Return the relative depth of the block that each sub-module is in."""
        return np.array([self.depth[self.layers.index(name.partition(".")[0])] for name in names])

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(rows, np.float32) for name, rows in self.values.items()}

    def stack(self, parts: Sequence[str] = ()) -> list[np.ndarray]:
        """Return the rows of the layers, or of the sub-modules named, as float32, converted once."""
        return [self._arrays[name] for name in parts or self.layers]

    def gain(self, parts: Sequence[str] = ()) -> np.ndarray:
        """Return the gains of the layers, or of the sub-modules named."""
        return np.array([self.gains.get(name, 1.0) for name in parts or self.layers])

    def row_blocks(self) -> np.ndarray:
        """Return the resampling unit of each row."""
        return np.repeat(self.blocks, self.cells)


def embedded(source: RecordSource, records: Iterable[Record], *, parts: bool = False) -> list[StoredLayers]:
    """Return the whole activations that records of protocol ``embed`` hold, by model, rows matched by id.

    Of records of one model and seed the one with most images counts, then the one with most sub-modules.

    Args:
        source: where their arrays are.
        records: of a suite; those of other protocols are passed over.
        parts: only records with sub-modules, which are often of fewer images.
    """
    best: dict[str, StoredLayers] = {}
    for record in _of("embed", records):
        arrays = source.arrays(record)
        if parts and not any("." in name for name in arrays):
            continue
        values = {name.partition("/")[2]: arrays[name] for name in arrays if name.startswith("layer/")}
        layers = StoredLayers(**_facts(record, arrays), values=values)
        known = best.get(layers.model)
        if known is None or (len(known.ids), len(known.values)) < (len(layers.ids), len(values)):
            best[layers.model] = layers
    return matched([best[name] for name in sorted(best)])


def summarised(source: RecordSource, records: Iterable[Record]) -> list[StoredLayers]:
    """Return the layers that records of protocol ``similarity`` hold, by model, rows matched by id.

    Of records of one model and seed the one with most rows counts. Models are compared on rows of one kind, whole
    images or cells of images: that of most models. Random twins of one network are one model.

    Args:
        source: where their arrays are.
        records: of a suite; those of other protocols are passed over.
    """
    kinds: dict[int, dict[str, StoredLayers]] = defaultdict(dict)
    networks: dict[int, set[str]] = defaultdict(set)
    for record in _of("similarity", records):
        arrays = source.arrays(record)
        cells = int(arrays["cells"][0])
        layers = _expanded(record, arrays, cells)
        known = kinds[cells].get(layers.model)
        if known is None and (network := record.facts.get("network")):
            same = canonical([network, record.key.recipe, record.key.seed])
            if same in networks[cells]:
                continue
            networks[cells].add(same)
        if known is None or len(known.ids) < len(layers.ids):
            kinds[cells][layers.model] = layers
    if not kinds:
        return []
    most = max(sorted(kinds), key=lambda cells: len(kinds[cells]))
    return matched([kinds[most][name] for name in sorted(kinds[most])])


def _of(protocol: str, records: Iterable[Record]) -> list[Record]:
    """Return the finished records of a protocol, by model."""
    wanted = [record for record in records if record.key.protocol == protocol and record.status == "ok"]
    return sorted(wanted, key=lambda record: (record.key.model, record.key.seed, record.digest))


def _facts(record: Record, arrays: Mapping[str, np.ndarray]) -> MutableRow:
    seed = f" (seed {record.key.seed})" if record.key.weights == "random" and record.key.seed else ""
    return {
        "model": f"{record.key.model}{seed}",
        "ids": arrays["ids"],
        "blocks": arrays["blocks"] if "blocks" in arrays else arrays["ids"],
        "layers": tuple(str(row["layer"]) for row in record.curves),
        "depth": np.array([float(row["depth"]) for row in record.curves]),
        "generated": bool(record.facts.get("generated")),
        "record": record.digest,
    }


def _expanded(record: Record, arrays: Mapping[str, np.ndarray], cells: int) -> StoredLayers:
    facts = _facts(record, arrays)
    values = {name: expand(arrays[f"codes/{name}"], arrays[f"peak/{name}"]) for name in facts["layers"]}
    whole = dict(zip(facts["layers"], arrays["self"].tolist(), strict=True))
    stored = {name: self_hsic(rows) for name, rows in values.items()}
    gains = {name: whole[name] / stored[name] if stored[name] > 0 else np.nan for name in values}
    sizes = tuple({name: value for name, value in row.items() if name != "depth"} for row in record.curves)
    return StoredLayers(
        **facts, cells=cells, values=values, gains=gains, within=np.asarray(arrays["cka"]), dimensions=sizes
    )


def self_hsic(rows: np.ndarray) -> float:
    """Return the unbiased HSIC of rows (n, D) with themselves."""
    centred = rows.astype(np.float64) - rows.mean(0, dtype=np.float64)
    norms, product = (centred**2).sum(1), centred.T @ centred
    return float(hsic((product**2).sum(), (norms**2).sum(), norms.sum(), norms.sum(), len(rows)))


def matched(models: Sequence[StoredLayers]) -> list[StoredLayers]:
    """Return models on the images that all of them have, in the order of the first one's."""
    if not models:
        return []
    there = [set(model.ids.tolist()) for model in models]
    common = set.intersection(*there)
    shared = np.array([name for name in models[0].ids.tolist() if name in common])
    return [_on(model, shared, common) for model in models]


def _on(model: StoredLayers, ids: np.ndarray, common: set[object]) -> StoredLayers:
    """Return a model on some of its images; what was computed of all of them no longer holds then."""
    kept = np.flatnonzero([name in common for name in model.ids.tolist()])
    order = kept[match_rows(ids, model.ids[kept])] if len(ids) else kept[:0]
    if len(order) == len(model.ids) and (order == np.arange(len(order))).all():
        return model
    rows = (order[:, None] * model.cells + np.arange(model.cells)).reshape(-1)
    values = {name: np.asarray(array)[rows] for name, array in model.values.items()}
    fewer = len(order) < len(model.ids)
    return replace(
        model,
        ids=ids,
        blocks=np.asarray(model.blocks)[order],
        values=values,
        within=None if fewer else model.within,
        dimensions=() if fewer else model.dimensions,
    )
