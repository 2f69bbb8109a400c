"""Bump chart: ranks over settings, one line per model, rank 1 on top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.profiles import MARKERS
from analysis.figures.style import COLOURS, GREY, NARROW, WIDE, canvas, headed, style


def bump(axes: Axes, ranks: np.ndarray, models: Sequence[str], leading: np.ndarray) -> None:
    """Draw the rank of each model in each setting; the best on average are coloured, the best or tied marks filled.

    Args:
        axes: to draw on.
        ranks: (settings, models), 1 the best; ties share the mean of their ranks.
        models: names.
        leading: (settings, models) whether a model is the best of a setting or statistically tied with it.
    """
    order = np.argsort(ranks.mean(0), kind="stable")
    coloured = {int(model): place for place, model in enumerate(order[: len(COLOURS)])}
    x = np.arange(len(ranks))
    for model in order[::-1]:
        place = coloured.get(int(model))
        colour = GREY if place is None else COLOURS[place]
        width, marker = (0.7, "o") if place is None else (1.3, MARKERS[place])
        axes.plot(x, ranks[:, model], color=colour, linewidth=width, zorder=1.5 if place is None else 3)
        for lead, fill in ((False, "white"), (True, colour)):
            own = leading[:, model] == lead
            axes.plot(x[own], ranks[own, model], linestyle="none", marker=marker, markersize=4, color=colour,
                      markerfacecolor=fill, markeredgewidth=0.9, zorder=4)  # fmt: skip
    last = ranks[-1]
    # Names at the right end, in the order of the last ranks, on separate lines even if ranks tie.
    for line, model in enumerate(np.lexsort((order.argsort(), last)), start=1):
        colour = COLOURS[coloured[int(model)]] if int(model) in coloured else "#555555"
        thread = {"arrowstyle": "-", "color": colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 3}
        place_of = {"xy": (x[-1], last[model]), "xytext": (x[-1] + 0.04 * len(x) + 0.15, line)}
        axes.annotate(models[model], **place_of, fontsize=6, va="center", color=colour, annotation_clip=False,
                      arrowprops=thread)  # fmt: skip
    axes.set_ylim(ranks.shape[1] + 0.5, 0.5)
    axes.set_xlim(-0.2, x[-1] + 0.2)
    axes.set_yticks(range(1, ranks.shape[1] + 1))
    axes.set_ylabel("rank")
    axes.grid(visible=False, axis="x")


def bump_figure(
    ranks: np.ndarray,
    settings: Sequence[str],
    models: Sequence[str],
    leading: np.ndarray,
    *,
    title: str,
    generated: bool,
) -> Figure:
    """Return the bump chart of models over settings; see `bump`."""
    count, lines = len(settings), max(name.count("\n") for name in settings) + 1
    steep = count > 6 or max(len(part) for name in settings for part in name.split("\n")) > 90 // count
    names = [name.replace("\n", " · ") if steep else name for name in settings]
    below = max(len(name) for name in names) * 0.05 if steep else 0.11 * lines
    with style():
        wide = count > 3
        figure = canvas(WIDE if wide else NARROW, 0.8 + 0.17 * max(4, ranks.shape[1]) + below)
        # The names to the right of the axes are ignored by the layout, so that room is left for them here.
        figure.get_layout_engine().set(rect=(0, 0, 0.80 if wide else 0.66, 1))  # type: ignore[union-attr, call-arg]
        axes = figure.subplots()
        bump(axes, ranks, models, leading)
        axes.set_xticks(range(count), names, rotation=90 if steep else 0, fontsize=6)
        headed(figure, title, generated=generated)
        plain = {"color": "#333333", "marker": "o", "markersize": 4, "linestyle": "none"}
        marks = [
            Line2D([], [], label="best or statistically tied", **plain),  # type: ignore[arg-type]
            Line2D([], [], label="worse than the best", markerfacecolor="white", **plain),  # type: ignore[arg-type]
        ]
        figure.legend(handles=marks, loc="outside lower left", ncols=2)
    return figure
