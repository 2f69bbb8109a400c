"""Structure that layers and models share: debiased CKA with intervals and a control, and dimensions of layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.findings.stored_layers import StoredLayers
from analysis.similarity.cka_maps import cka_control, cka_jackknife, cka_map
from analysis.similarity.dimensions import participation_ratio, rankme, twonn
from analysis.similarity.resampling import row_blocks

GROUPS = 20
"""Groups of blocks that the jackknife leaves out in turn."""
FEW_BLOCKS = 50
"""Independent blocks below which an estimate is rough."""
PERMUTATIONS = 20


def layer_cka(
    model: StoredLayers, other: StoredLayers | None = None, parts: tuple[Sequence[str], Sequence[str]] = ((), ())
) -> np.ndarray:
    """Return debiased CKA between the layers of a model, or of two, (Lx, Ly); NaN for layers that never vary.

    Args:
        model: the first model.
        other: the second one, on the same images; the first by default.
        parts: names of sub-modules of each, in place of the layers.
    """
    if other is None and not parts[0] and model.within is not None:
        return model.within
    second, own = (model, parts[0]) if other is None else (other, parts[1])
    x, y = model.stack(parts[0]), second.stack(own)
    varying = [np.flatnonzero([bool((rows != rows[:1]).any()) for rows in stack]) for stack in (x, y)]
    values = np.full((len(x), len(y)), np.nan)
    if all(map(len, varying)):
        values[np.ix_(*varying)] = cka_map([x[i] for i in varying[0]], [y[i] for i in varying[1]])
    return np.asarray(values / np.sqrt(model.gain(parts[0])[:, None] * second.gain(own)))


def jackknife_groups(model: StoredLayers) -> np.ndarray:
    """Return the group of each row that the jackknife leaves out together: whole blocks, at most 20 groups."""
    _, codes = np.unique(model.row_blocks(), return_inverse=True)
    count = int(codes.max()) + 1
    groups = min(GROUPS, count)
    return row_blocks(count, groups, np.random.default_rng(0))[codes] if groups > 1 else np.zeros(len(codes), int)


def model_matrix(models: Sequence[StoredLayers]) -> pd.DataFrame:
    """Return one row per pair of models: debiased CKA of their last layers with its jackknife interval and control.

    ``best`` is the largest CKA of any two of their layers, at ``best_layers``; ``shuffled`` is the mean CKA with rows
    in random order, which is 0 up to noise, and ``shuffled_sd`` its spread. ``blocks`` counts the independent blocks of
    images; the interval is NaN where fewer than three could be left out in turn.

    Args:
        models: on the same images, see `analysis.findings.stored_layers.matched`.
    """
    models = [model for model in models if bool((model.stack()[-1] != model.stack()[-1][:1]).any())]
    if len(models) < 2:
        return pd.DataFrame()
    last = [model.stack()[-1] for model in models]
    gains = np.array([model.gain()[-1] for model in models])
    scale = np.sqrt(gains[:, None] * gains)
    low, value, high = (bound / scale for bound in _bounds(last, jackknife_groups(models[0])))
    control = cka_control(last, last, rng=np.random.default_rng(0), permutations=PERMUTATIONS)
    rows = []
    for i, model in enumerate(models):
        for j in range(i + 1, len(models)):
            other = models[j]
            between = layer_cka(model, other)
            y, x = np.unravel_index(int(np.nanargmax(between)), between.shape)
            rows.append(
                {
                    "model": model.model,
                    "other": other.model,
                    "cka": float(value[i, j]),
                    "low": float(low[i, j]),
                    "high": float(high[i, j]),
                    "best": float(between[y, x]),
                    "best_layers": f"{model.layers[y]} / {other.layers[x]}",
                    "shuffled": float((control.mean / scale)[i, j]),
                    "shuffled_sd": float((control.deviation / scale)[i, j]),
                    "images": len(model.ids),
                    "blocks": len(set(model.blocks.tolist())),
                }
            )
    return pd.DataFrame(rows)


def _bounds(last: Sequence[np.ndarray], groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lower bound, value and upper bound of the CKA of every pair, (M, M) each."""
    if groups.max() < 2:
        value = cka_map(last)
        unknown = np.full_like(value, np.nan)
        return unknown, value, unknown
    spread = cka_jackknife(last, blocks=groups)
    return spread.low, spread.value, spread.high


def dimensions(models: Sequence[StoredLayers]) -> pd.DataFrame:
    """Return RankMe, participation ratio and TwoNN dimension of every layer of every model, NaN where undefined.

    They are those that a record states, of whole activations; or are computed here where those are stored.
    """
    rows = []
    for model in models:
        for place, (name, depth) in enumerate(zip(model.layers, model.depth, strict=True)):
            row = {"model": model.model, "layer": name, "depth": float(depth)}
            if model.dimensions:
                stated = model.dimensions[place]
                row |= {key: stated[key] for key in ("width", "rankme", "participation_ratio", "twonn")}
            else:
                row |= _measured(model.stack()[place])
            rows.append(row)
    return pd.DataFrame(rows)


def _measured(values: np.ndarray) -> dict[str, float]:
    row: dict[str, float] = {"width": values.shape[1]}
    for label, measure in (("rankme", rankme), ("participation_ratio", participation_ratio), ("twonn", twonn)):
        try:
            row[label] = measure(values)
        except ValueError:
            row[label] = np.nan
    return row


def few_blocks(model: StoredLayers) -> str:
    """Return a sentence on images that are too few for an estimate, ``""`` where there are enough."""
    count = len(set(model.blocks.tolist()))
    if count >= FEW_BLOCKS:
        return ""
    return (
        f"There are {count} independent blocks of images, fewer than {FEW_BLOCKS}: too few for an estimate. "
        "Read the values as a description of these images only."
    )
