"""Depth heatmap: score of each layer minus that of the last layer, models by relative depth."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from analysis.figures.profiles import NORM_OFFSET, Curve, Panel
from analysis.figures.style import NARROW, WIDE, canvas, headed, style
from bench.metrics import direction_sign

CLIPPED = 95  # percentile of the differences at the ends of the colours


def differences(curve: Curve, direction: str) -> np.ndarray:
    """Return how much better each layer is than the last one, (L,)."""
    sign = direction_sign(direction)
    return np.asarray(sign * (curve.score - curve.score[curve.last]))


def _edges(x: np.ndarray) -> np.ndarray:
    """Return the edges of the cells of a model's layers, (L + 1,): half way between their depths."""
    between = (x[1:] + x[:-1]) / 2
    first = min(x[0], 0.0) - (between[0] - x[0])
    last = x[-1] + (NORM_OFFSET / 2 if x[-1] > 1 else x[-1] - between[-1])
    return np.concatenate([[first], between, [last]])


def depth_rows(axes: Axes, curves: Sequence[Curve], direction: str, limit: float) -> PolyCollection:
    """Draw one row of cells per model, one cell per layer, as wide as its share of depth; stars mark chosen layers.

    Args:
        axes: to draw on.
        curves: of models with more than one layer, from top to bottom.
        direction: ``max`` or ``min``.
        limit: difference at either end of the colours.
    """
    corners = []
    for row, curve in enumerate(curves):
        edges = _edges(curve.x)
        for left, right in itertools.pairwise(edges):
            corners.append([(left, row - 0.42), (right, row - 0.42), (right, row + 0.42), (left, row + 0.42)])
    cells = PolyCollection(corners, cmap="RdBu", linewidth=0)
    cells.set_array(np.concatenate([differences(curve, direction) for curve in curves]))
    cells.set_clim(-limit, limit)
    axes.add_collection(cells)
    stars = [curve.x[curve.chosen] for curve in curves]
    axes.plot(stars, range(len(curves)), marker="*", color="black", markersize=5, markeredgecolor="white",
              markeredgewidth=0.4, linestyle="none")  # fmt: skip
    axes.set_xlim(-0.1, 1.12)
    axes.set_ylim(len(curves) - 0.5, -0.5)
    axes.set_yticks(range(len(curves)), [curve.model for curve in curves], fontsize=6)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    return cells


def depth_figure(panels: Sequence[Panel], *, title: str, label: str, direction: str, generated: bool) -> Figure:
    """Return the heatmap of score minus that of the last layer over relative depth, one panel per protocol and split.

    Args:
        panels: with the curves of models of more than one layer, in drawing order.
        title: of the figure.
        label: of the score.
        direction: ``max`` or ``min``.
        generated: see `headed`.
    """
    every = np.concatenate([np.abs(differences(curve, direction)) for panel in panels for curve in panel.curves])
    every = every[np.isfinite(every) & (every > 0)]
    limit = float(np.percentile(every, CLIPPED)) if len(every) else 1.0
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    tallest = max(len(panel.curves) for panel in panels)
    with style():
        figure = canvas(WIDE if across > 1 else NARROW, 0.75 + down * (0.35 + 0.15 * tallest))
        grid = figure.subplots(down, across, squeeze=False, sharex=True)
        cells: PolyCollection | None = None
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(panels))
            if place < len(panels):
                cells = depth_rows(axes, panels[place].curves, direction, limit)
                axes.set_title(panels[place].title)
            if place + across >= len(panels):
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("relative depth (★ chosen on validation)", fontsize=6.5)
        assert cells is not None
        bar = figure.colorbar(cells, ax=grid, extend="both", aspect=18, pad=0.02)
        bar.set_label(f"Δ {label}", fontsize=6.5)
        bar.outline.set_visible(False)
        headed(figure, title, generated=generated)
    return figure
