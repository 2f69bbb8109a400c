"""Alternative texts of figures: the main values of each figure in words, for readers who cannot see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.figures.cost import Costs
from analysis.figures.curves import Chart
from analysis.figures.profiles import Curve, Panel
from bench.core.wording import shortened
from bench.metrics import direction_sign

MOST_MODELS = 5  # models that a text lists


def table_alt(wide: pd.DataFrame, label: str, *, columns: str) -> str:
    """Return the text of a table of scores.

    Args:
        wide: scores, models x columns, the best model first.
        label: name of the score.
        columns: plural noun for the columns, e.g. ``classes``.

    >>> wide = pd.DataFrame([[0.9, 0.7]], index=["alder"], columns=["water", "land"])
    >>> table_alt(wide, "IoU", columns="classes")
    'Table of IoU for 1 model and 2 classes. Mean over classes: alder 0.80.'
    """
    means = wide.mean(axis=1)
    models = shortened([f"{name} {value:.2f}" for name, value in means.items()], MOST_MODELS)
    size = f"{_count(len(wide), 'model')} and {wide.shape[1]} {columns}"
    return f"Table of {label} for {size}. Mean over {columns}: {models}."


def profiles_alt(panels: Sequence[Panel], label: str) -> str:
    """Return the text of layer profiles: for each model the layer chosen on validation in the first panel."""
    curves = [curve for curve in panels[0].curves if not curve.flat and curve.origin != "random"] if panels else []
    chosen = shortened([_chosen(curve) for curve in curves], MOST_MODELS)
    text = f"Curves of test {label} over relative depth in {_count(len(panels), 'panel')}."
    return f"{text} At the layer chosen on validation ({panels[0].title}): {chosen}." if chosen else text


def _chosen(curve: Curve) -> str:
    return f"{curve.model} {curve.score[curve.chosen]:.3g} at depth {curve.depth[curve.chosen]:.2f}"


def depth_alt(panels: Sequence[Panel], label: str) -> str:
    """Return the text of a depth heatmap: the depth chosen for each model of the first panel."""
    chosen = shortened([f"{c.model} {c.depth[c.chosen]:.2f}" for c in panels[0].curves], MOST_MODELS)
    return f"Heatmap of the gain in {label} over the last layer, models by relative depth. Depth chosen: {chosen}."


def lines_alt(charts: Sequence[Chart], y: str, x: str) -> str:
    """Return the text of line charts: the last point of each model of the first chart."""
    last = [f"{line.model} {line.y[-1]:.3g}" for line in charts[0].lines if not line.control]
    text = f"Curves of {y} over {x} in {_count(len(charts), 'panel')} ({shortened([c.title for c in charts], 3)})."
    return f"{text} At the right end of the first: {shortened(last, MOST_MODELS)}." if last else text


def costs_alt(panels: Sequence[Costs], label: str, direction: str) -> str:
    """Return the text of score against cost: the best model and the cheapest one of the first panel."""
    points = panels[0].points
    best = max(points, key=lambda point: direction_sign(direction) * point.score)
    cheapest = min(points, key=lambda point: point.cost)
    return (
        f"Points of test {label} over cost ({shortened([panel.label for panel in panels], 4)}). Best: {best.model} "
        f"({best.setting}) {best.score:.3g}. Cheapest: {cheapest.model} ({cheapest.setting}) {cheapest.score:.3g}."
    )


def ranks_alt(ranks: np.ndarray, models: Sequence[str]) -> str:
    """Return the text of ranks over settings: the mean rank of each model, best first."""
    order = np.argsort(ranks.mean(0), kind="stable")
    means = shortened([f"{models[i]} {ranks[:, i].mean():.2f}" for i in order], MOST_MODELS)
    return f"Ranks of {len(models)} models in {len(ranks)} settings. Mean rank: {means}."


def agreement_alt(tau: np.ndarray) -> str:
    """Return the text of a matrix of tau: its median and range over the pairs."""
    pairs = tau[np.tril_indices(len(tau), k=-1)]
    pairs = pairs[np.isfinite(pairs)]
    if not len(pairs):
        return f"Matrix of Kendall's τ-b between {len(tau)} settings, none of it defined."
    spread = f"median {np.median(pairs):.2f}, range {pairs.min():.2f} to {pairs.max():.2f}"
    return f"Matrix of Kendall's τ-b between {len(tau)} settings: {spread}."


def shares_alt(effects: Iterable[tuple[str, float]]) -> str:
    """Return the text of variance components: the share of each effect of the first design, largest first."""
    known = sorted(((share, name) for name, share in effects if np.isfinite(share)), key=lambda pair: -pair[0])
    return f"Shares of variance: {shortened([f'{name} {share:.2f}' for share, name in known], 6)}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
