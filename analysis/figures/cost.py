"""Score over cost, with the Pareto front: models that no cheaper model beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from analysis.figures.profiles import MARKERS
from analysis.figures.style import COLOURS, GREY, NARROW, WIDE, canvas, headed, style
from bench.metrics import direction_sign

NEAR = (0.3, 0.06)  # share of the axes within which two names overlap


@dataclass(frozen=True, kw_only=True)
class Point:
    """Cost and score of one leaderboard row.

    Attributes:
        model: its name.
        setting: how it was adapted; settings differ in colour and marker.
        cost: above 0.
        score, low, high: test score with its 95 % bounds.
        control: a random twin or a baseline.
    """

    model: str
    setting: str
    cost: float
    score: float
    low: float
    high: float
    control: bool = False


@dataclass(frozen=True, kw_only=True)
class Costs:
    """One set of axes: the kind of cost, and the points."""

    label: str
    points: Sequence[Point]


def front(cost: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the indices of the Pareto front: points that none beats at equal or lower cost, by rising cost.

    Args:
        cost: (N,).
        score: (N,), larger is better.

    >>> front(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.4, 0.6])).tolist()
    [0, 2]
    """
    order = np.lexsort((-score, cost))
    kept, best = [], -np.inf
    for place in order:
        if score[place] > best:
            kept.append(int(place))
            best = float(score[place])
    return np.array(kept, dtype=int)


def costs(axes: Axes, given: Costs, settings: Sequence[str], direction: str) -> None:
    """Draw score over cost on a logarithmic axis, the Pareto front as steps, its models named."""
    points = given.points
    cost = np.array([point.cost for point in points])
    score = np.array([point.score for point in points])
    kept = front(cost, direction_sign(direction) * score)
    axes.step(cost[kept], score[kept], where="post", color="#555555", linewidth=0.9, zorder=2)
    low, high = (np.array([getattr(point, end) for point in points]) for end in ("low", "high"))
    control = np.array([point.control for point in points])
    for place, setting in enumerate(settings):
        of_setting = np.array([point.setting == setting for point in points])
        for own, grey in ((of_setting & control, True), (of_setting & ~control, False)):
            if not own.any():
                continue
            colour = GREY if grey else COLOURS[place % len(COLOURS)]
            axes.vlines(cost[own], low[own], high[own], color=colour, linewidth=0.6, alpha=0.6, zorder=2.5)
            marks = axes.plot(cost[own], score[own], marker=MARKERS[place % len(MARKERS)], color=colour, zorder=3)
            marks[0].set(linestyle="none", markersize=4, markeredgewidth=0.8)
            marks[0].set_markerfacecolor("white" if grey else colour)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(unit="s" if "seconds" in given.label else "", sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    room = (float(cost.min()) / 1.6, float(cost.max()) * 2.5)
    axes.set_xlim(*room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if room[1] < 100 * room[0] else (1.0,)))
    _name(axes, [points[place] for place in kept], direction, float(np.sqrt(room[0] * room[1])))
    axes.set_xlabel(given.label)


def _name(axes: Axes, points: Sequence[Point], direction: str, middle: float) -> None:
    """Write the models of the front next to their points, from the best down; names without room are left out."""
    (low, high), (bottom, top) = np.log(axes.get_xlim()), axes.get_ylim()
    taken: list[tuple[float, float]] = []
    for point in points[::-1]:
        at = ((np.log(point.cost) - low) / (high - low), (point.score - bottom) / (top - bottom))
        if any(abs(at[0] - x) < NEAR[0] and abs(at[1] - y) < NEAR[1] for x, y in taken):
            continue
        taken.append(at)
        right = point.cost < middle
        axes.annotate(
            point.model,
            (point.cost, point.score),
            xytext=(4 if right else -4, -8 if direction == "min" else 4),
            textcoords="offset points",
            ha="left" if right else "right",
            fontsize=6,
            zorder=5,
        )


def cost_figure(panels: Sequence[Costs], *, title: str, label: str, direction: str, generated: bool) -> Figure:
    """Return score against each cost, with the Pareto front.

    Args:
        panels: one per kind of cost.
        title: of the figure.
        label: of the score.
        direction: ``max`` or ``min``.
        generated: see `headed`.
    """
    settings = sorted({point.setting for panel in panels for point in panel.points})
    across = min(3, len(panels))
    with style():
        entries = [
            Line2D([], [], color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], linestyle="none",
                   markersize=4, label=setting) for i, setting in enumerate(settings)
        ]  # fmt: skip
        if any(point.control for panel in panels for point in panel.points):
            entries.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none",
                                  markersize=4, label="controls"))  # fmt: skip
        entries.append(Line2D([], [], color="#555555", linewidth=0.9, label="no cheaper model is better"))
        columns = 2 if across == 1 else 4
        down = -(-len(panels) // across)
        height = 0.45 + 2.1 * down + 0.15 * -(-len(entries) // columns)
        figure = canvas(NARROW if across == 1 else WIDE, height)
        grid = figure.subplots(down, across, squeeze=False, sharey=True)
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(panels))
            if place < len(panels):
                costs(axes, panels[place], settings, direction)
        grid[0, 0].set_ylabel(f"{label}  ({'↓' if direction == 'min' else '↑'} better)")
        headed(figure, title, generated=generated)
        figure.legend(handles=entries, loc="outside lower center", ncols=columns, handlelength=1.8)
    return figure
