"""Variance components: the share of each effect with its two intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import COLOURS, NARROW, WIDE, canvas, headed, style
from analysis.statistics.variance_components import Component


def shares(axes: Axes, components: Sequence[Component]) -> None:
    """Draw the share of each effect, the first on top; thick intervals over test samples, thin ones over levels."""
    for row, part in enumerate(components):
        colour = COLOURS[0] if " x " not in part.effect and part.effect != "residual" else "#777777"
        if np.isfinite(part.low):
            axes.plot([part.low, part.high], [row, row], color=colour, linewidth=0.7, zorder=2)
        if np.isfinite(part.draw_low):
            axes.plot([part.draw_low, part.draw_high], [row, row], color=colour, linewidth=2.6, alpha=0.5, zorder=2.5)
        axes.plot(part.share, row, marker="o", markersize=4, color=colour, markeredgewidth=0, zorder=3)
    axes.set_yticks(range(len(components)), [part.effect for part in components], fontsize=6)
    axes.set_ylim(len(components) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(visible=False, axis="y")


def variance_figure(components: Mapping[str, Sequence[Component]], *, title: str, generated: bool) -> Figure:
    """Return the variance components of each task, one panel per task."""
    across = min(2, len(components))
    down = -(-len(components) // across)
    tallest = max(len(parts) for parts in components.values())
    with style():
        figure = canvas(WIDE if across > 1 else NARROW, 0.45 + down * (0.5 + 0.14 * tallest))
        grid = figure.subplots(down, across, squeeze=False)
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(components))
        for axes, (name, parts) in zip(grid.flat, components.items(), strict=False):
            shares(axes, parts)
            axes.set_title(name)
            axes.set_xlabel("share of variance")
        headed(figure, title, generated=generated)
    return figure
