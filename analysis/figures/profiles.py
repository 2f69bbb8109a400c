"""Layer profiles: test score over relative depth, on axes and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import COLOURS, GREY, NARROW, WIDE, canvas, headed, style, visible_range
from bench.metrics import direction_sign

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BASELINE_DASHES = ((0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)))
NORM_OFFSET = 0.07  # the final norm has depth 1 like the last block and is drawn to the right of it


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One model's scores over depth.

    Attributes:
        model, origin, parent: of its entry.
        depth: relative depth of each layer, (L,), ascending.
        score, low, high: test score and its 95 % bounds (NaN for none), (L,).
        chosen, last: index of the layer chosen on validation, and of the last one.
    """

    model: str
    origin: str
    parent: str
    depth: np.ndarray
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    chosen: int
    last: int

    @property
    def flat(self) -> bool:
        """Whether it has a single layer."""
        return len(self.depth) == 1

    @property
    def x(self) -> np.ndarray:
        """Horizontal positions of its layers, see `places`."""
        return places(self.depth)


def places(depth: np.ndarray) -> np.ndarray:
    """Return the horizontal positions of layers: their relative depth, the final norm slightly beyond 1."""
    return np.asarray(depth + NORM_OFFSET * np.append(False, np.diff(depth) == 0))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of axes: a title and the curves under it."""

    title: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Inks:
    """Colours, markers and dashes of models; a model without a colour is grey."""

    colour: dict[str, str]
    marker: dict[str, str]
    dashes: dict[str, tuple[int, tuple[int, ...]]]


def inks(curves: Sequence[Curve], direction: str) -> Inks:
    """Return colours and markers for the best models, and dashes for one-layer baselines.

    Args:
        curves: of every panel; a model's best score at its chosen layer decides whether it gets a colour.
        direction: ``max`` or ``min``.
    """
    sign = direction_sign(direction)
    best: dict[str, float] = {}
    for curve in curves:
        if not curve.flat and curve.origin != "random":
            best[curve.model] = max(best.get(curve.model, -np.inf), sign * float(curve.score[curve.chosen]))
    top = sorted(sorted(best), key=lambda name: -best[name])[: len(COLOURS)]
    # Colours follow the order of names, not of scores, so that they are the same in the figures of all tasks.
    top.sort()
    flat = sorted({curve.model for curve in curves if curve.flat})
    return Inks(
        colour=dict(zip(top, COLOURS, strict=False)),
        marker=dict(zip(top, MARKERS, strict=False)),
        dashes={name: BASELINE_DASHES[i % len(BASELINE_DASHES)] for i, name in enumerate(flat)},
    )


def layer_profile(axes: Axes, curves: Sequence[Curve], ink: Inks) -> None:
    """Draw score over relative depth: one line per model with its 95 % band, its random twin dashed in its colour.

    A star marks the layer chosen on validation; a dashed line from it shows the score of the last layer, so that the
    gap between them is the final-layer regret. One-layer baselines are horizontal lines.
    """
    for curve in sorted(curves, key=lambda curve: (not curve.flat, curve.model in ink.colour, curve.model)):
        if curve.flat:
            axes.axhline(curve.score[0], color="#555555", linewidth=0.9, linestyle=ink.dashes[curve.model], zorder=1.5)
        elif curve.origin == "random":
            colour = ink.colour.get(curve.parent, GREY)
            axes.plot(curve.x, curve.score, color=colour, linestyle=(0, (3, 1.5)), linewidth=0.9, alpha=0.55, zorder=2)
        elif curve.model in ink.colour:
            _coloured(axes, curve, ink)
        else:
            axes.plot(curve.x, curve.score, color=GREY, linewidth=0.8, alpha=0.7, zorder=1.8)
    axes.set_xlim(-0.04, 1.12)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def _coloured(axes: Axes, curve: Curve, ink: Inks) -> None:
    colour, x = ink.colour[curve.model], curve.x
    if not np.isnan(curve.low).any():
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0, zorder=2)
    axes.plot(x, curve.score, color=colour, marker=ink.marker[curve.model], markersize=2.8, markeredgewidth=0, zorder=3)
    if curve.chosen != curve.last:
        ends = [x[curve.chosen], x[curve.last]]
        axes.plot(ends, [curve.score[curve.last]] * 2, color=colour, linestyle=(0, (2, 1.5)), linewidth=0.8, zorder=2.5)
    star = axes.plot(x[curve.chosen], curve.score[curve.chosen], color=colour, marker="*", markersize=9, zorder=4)
    star[0].set(markeredgecolor="white", markeredgewidth=0.6)


def _legend(curves: Sequence[Curve], ink: Inks) -> list[Line2D]:
    entries = [
        Line2D([], [], color=colour, marker=ink.marker[name], markersize=3.5, markeredgewidth=0, label=name)
        for name, colour in ink.colour.items()
    ]
    entries += [
        Line2D([], [], color="#555555", linewidth=0.9, linestyle=dashes, label=name)
        for name, dashes in ink.dashes.items()
    ]
    if any(curve.origin == "random" and not curve.flat for curve in curves):
        label = "random twin, same colour" if len(ink.colour) > 1 else "random twin"
        entries.append(Line2D([], [], color=GREY, linestyle=(0, (3, 1.5)), linewidth=0.9, label=label))
    others = {c.model for c in curves if not c.flat and c.origin != "random"} - set(ink.colour)
    if others:
        entries.append(Line2D([], [], color=GREY, linewidth=0.8, label=f"{len(others)} further models"))
    if ink.colour:
        star = Line2D([], [], color="#333333", linestyle="none", marker="*", markersize=7, markeredgewidth=0)
        star.set_label("layer chosen on validation")
        dashed = Line2D([], [], color="#333333", linestyle=(0, (2, 1.5)), linewidth=0.8)
        dashed.set_label("score of the last layer")
        entries += [star, dashed]
    return entries


def limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the vertical range: all layers except outliers from the layers chosen."""
    chosen = [np.array([getattr(curve, name)[curve.chosen] for curve in curves]) for name in ("score", "low", "high")]
    more = np.concatenate([part for curve in curves for part in (curve.score, curve.low, curve.high)])
    return visible_range(chosen[0], chosen[1], chosen[2], more)


def profile_figure(panels: Sequence[Panel], *, title: str, label: str, direction: str, generated: bool) -> Figure:
    """Return layer profiles as small multiples with one legend.

    Args:
        panels: drawn in rows from the top left, with a common vertical scale.
        title: of the whole figure.
        label: of the vertical axis.
        direction: ``max`` or ``min``.
        generated: whether the data were generated by a program, which the title then states.
    """
    across = 2 if len(panels) == 4 else min(3, len(panels))
    down = -(-len(panels) // across)
    width = NARROW if len(panels) == 1 else WIDE
    curves = [curve for panel in panels for curve in panel.curves]
    ink = inks(curves, direction)
    legend_columns = 2 if width == NARROW else 4
    with style():
        entries = _legend(curves, ink)
        legend_height = 0.15 * -(-len(entries) // legend_columns)
        figure = canvas(width, 0.5 + 1.95 * down + legend_height)
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            layer_profile(axes, panel.curves, ink)
            axes.set_title(panel.title)
        normed = any((np.diff(curve.depth) == 0).any() for curve in curves)
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(panels))
            if place + across >= len(panels):  # the lowest panel of its column
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("relative depth (beyond 1: norm)" if normed else "relative depth")
        grid[0, 0].set_ylim(*limits(curves))
        for axes in grid[:, 0]:
            axes.set_ylabel(f"{label}  ({'↓' if direction == 'min' else '↑'} better)")
        headed(figure, title, generated=generated)
        figure.legend(handles=entries, loc="outside lower center", ncols=legend_columns, handlelength=2.4)
    return figure
