"""Matrices with their numbers: settings by settings, models by classes or regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from analysis.figures.style import NARROW, WIDE, canvas, headed, style

DIVERGING, SEQUENTIAL = "RdBu", "viridis"
SMALL = 5.5  # points, of numbers in cells
SIGNIFICANT = 0.05
CROWDED = 10  # settings; with more, "n.s." does not fit into a cell


def matrix(
    axes: Axes,
    values: np.ndarray,
    texts: Sequence[Sequence[str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    limits: tuple[float, float],
    colours: str = SEQUENTIAL,
    size: float = SMALL,
) -> AxesImage:
    """Draw values (R, C) as coloured cells with texts, NaN in white; return the image for a colour bar.

    Args:
        axes: to draw on.
        values: determine the colours.
        texts: written in the cells, (R, C).
        rows: labels.
        columns: labels.
        limits: values at the ends of the colours.
        colours: name of the colour map.
        size: of the texts, in points.
    """
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    spread = max(limits[1] - limits[0], 1e-12)
    for y, line in enumerate(texts):
        for x, text in enumerate(line):
            if text:
                place = (values[y, x] - limits[0]) / spread
                light = place < 0.5 if colours == SEQUENTIAL else not 0.2 < place < 0.8
                ink = "white" if light and np.isfinite(place) else "black"
                axes.text(x, y, text, ha="center", va="center", fontsize=size, color=ink, linespacing=0.95)
    steep = _steep(columns)
    axes.set_xticks(range(len(columns)), columns, rotation=90 if steep else 0, fontsize=6)
    axes.set_yticks(range(len(rows)), rows, fontsize=6)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    return image


def _steep(names: Sequence[str]) -> bool:
    """Return whether names below the columns only fit if they are rotated."""
    room = (5.0 if len(names) > 5 else 1.8) / max(1, len(names))  # inches each
    return max((len(name) for name in names), default=0) * 0.052 > room


def agreement_figure(
    names: Sequence[str],
    tau: np.ndarray,
    p: np.ndarray,
    ceiling: np.ndarray,
    *,
    title: str,
    generated: bool,
) -> Figure:
    """Return the matrix of Kendall's tau-b between settings: tau below the diagonal, the ceiling on and above it.

    Args:
        names: of the settings (S).
        tau: (S, S).
        p: (S, S) two-sided p of unrelated orders; from .05 on the tau is marked "n.s.", or "°".
        ceiling: (S, S) largest tau to be expected of each pair given the size of the test sets, and of each setting
            with itself on the diagonal; NaN if unknown.
        title: of the figure.
        generated: see `headed`.
    """
    count = len(names)
    below = np.tril(np.ones((count, count), bool), k=-1)
    shown = np.where(below, tau, np.nan)
    crowded = count > CROWDED
    texts = [["" for _ in names] for _ in names]
    for row in range(count):
        for column in range(count):
            if crowded and column > row:
                continue  # the ceilings of pairs are in the CSV
            value = tau[row, column] if below[row, column] else ceiling[row, column]
            if np.isfinite(value):
                mark = ("°" if crowded else "\nn.s.") if below[row, column] and p[row, column] >= SIGNIFICANT else ""
                texts[row][column] = f"{value:.2f}".replace("0.", ".") + mark
    wide = count > 5
    with style():
        side = max(1.6, min(0.36, 4.6 / count) * count)
        figure = canvas(WIDE if wide else NARROW, side + (0.75 if count > 3 else 0.9))
        axes = figure.subplots()
        # Settings are named at the side only, and numbered across.
        rows = [f"{name}  {place}" for place, name in enumerate(names, start=1)]
        columns = [str(place) for place in range(1, count + 1)]
        size = 4.0 if count > 18 else SMALL - 0.5 if crowded else SMALL
        image = matrix(axes, shown, texts, rows=rows, columns=columns, limits=(-1, 1), colours=DIVERGING, size=size)
        for row in range(count):
            for column in range(row, count):
                axes.add_patch(_plain(column, row))
        bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label("Kendall τ-b")
        bar.outline.set_visible(False)
        headed(figure, title, generated=generated)
        chance, where = ("°", "on it") if crowded else ("n.s.", "on grey")
        key = ("below the diagonal: τ", f"({chance}: p ≥ .05); {where}: the split-half ceiling")
        figure.supxlabel((" " if wide else "\n").join(key), fontsize=6.5)
    return figure


def _plain(x: int, y: int) -> Rectangle:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="#EFEFEF", edgecolor="white", linewidth=0.6, zorder=0.5)


def scores_figure(
    values: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    label: str,
    generated: bool,
    digits: int = 2,
    reverse: bool = False,
) -> Figure:
    """Return a table of scores as a figure: models down, classes or regions across.

    Args:
        values: (R, C) scores, NaN for none.
        rows: models.
        columns: classes or regions.
        title: of the figure.
        label: of the colours.
        generated: see `headed`.
        digits: decimals written.
        reverse: dark for high values, for metrics with smaller is better.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    across = values.shape[1]
    texts = [["" if np.isnan(value) or across > 24 else f"{value:.{digits}f}" for value in line] for line in values]
    with style():
        wide = across > 5
        longest = max((len(name) for name in columns), default=1) * (0.055 if _steep(columns) else 0.0)
        figure = canvas(WIDE if wide else NARROW, 0.75 + 0.17 * len(rows) + min(1.5, longest))
        axes = figure.subplots()
        colours = SEQUENTIAL + ("_r" if reverse else "")
        image = matrix(axes, values, texts, rows=rows, columns=columns, limits=(low, high), colours=colours)
        bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=12)
        bar.set_label(label)
        bar.outline.set_visible(False)
        headed(figure, title, generated=generated)
    return figure
