"""Curves other than layer profiles: score over labels, accuracy over confidence, training over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.profiles import MARKERS
from analysis.figures.style import COLOURS, GREY, NARROW, WIDE, canvas, headed, style, visible_range
from bench.metrics import direction_sign

TWIN = (0, (3, 1.5))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model's points.

    Attributes:
        model: its name.
        x, y: (N,) each, by rising x.
        low, high: 95 % bounds of y, NaN for none.
        control: a random twin or a baseline, drawn dashed and grey.
        weight: (N,) relative area of each mark; None for equal ones.
    """

    model: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    control: bool = False
    weight: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One set of axes: a title and its lines.

    Attributes:
        title: above the axes.
        lines: one per model.
        shots: whether x counts samples per class instead of the share of labels.
    """

    title: str
    lines: Sequence[Line]
    shots: bool = False


def line_inks(charts: Sequence[Chart], direction: str) -> Mapping[str, tuple[str, str]]:
    """Return colour and marker of the best models over all charts, by their last points; others are grey."""
    sign = direction_sign(direction)
    best: dict[str, float] = {}
    for chart in charts:
        for line in chart.lines:
            if not line.control and np.isfinite(line.y[-1]):
                best[line.model] = max(best.get(line.model, -np.inf), sign * float(line.y[-1]))
    top = sorted(sorted(best), key=lambda name: -best[name])[: len(COLOURS)]
    return dict(zip(sorted(top), zip(COLOURS, MARKERS, strict=True), strict=False))


def lines(axes: Axes, chart: Chart, inks: Mapping[str, tuple[str, str]], *, log: bool) -> None:
    """Draw a chart's lines with their bands: controls dashed, models without a colour in grey.

    Args:
        axes: to draw on.
        chart: to draw.
        inks: see `line_inks`.
        log: whether x is on a logarithmic axis.
    """
    for line in sorted(chart.lines, key=lambda line: (line.model in inks, line.model)):
        if line.control or line.model not in inks:
            dashes = TWIN if line.control else "solid"
            axes.plot(line.x, line.y, color=GREY, linestyle=dashes, linewidth=0.8, alpha=0.8, zorder=1.8)
            continue
        colour, marker = inks[line.model]
        if np.isfinite(line.low).all():
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.13, linewidth=0, zorder=2)
        size = 3.2 if line.weight is None else 0
        axes.plot(line.x, line.y, color=colour, marker=marker, markersize=size, markeredgewidth=0, zorder=3)
        if line.weight is not None:
            axes.scatter(line.x, line.y, s=2 + 26 * line.weight, color=colour, marker=marker, linewidth=0, zorder=3.5)
    if log:
        every = np.unique(np.concatenate([line.x for line in chart.lines]))
        axes.set_xscale("log")
        axes.minorticks_off()
        names = [f"{x:g}" if chart.shots else f"{100 * x:g}" for x in every]
        axes.set_xticks(every, names)


def legend_of(charts: Sequence[Chart], inks: Mapping[str, tuple[str, str]]) -> list[Line2D]:
    """Return the entries of a legend: coloured models, the number of grey ones, and the controls."""
    entries = [
        Line2D([], [], color=colour, marker=marker, markersize=3.5, markeredgewidth=0, label=name)
        for name, (colour, marker) in inks.items()
    ]
    others = {line.model for chart in charts for line in chart.lines if not line.control} - set(inks)
    if others:
        entries.append(Line2D([], [], color=GREY, linewidth=0.8, label=f"{len(others)} further models"))
    if any(line.control for chart in charts for line in chart.lines):
        entries.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=TWIN, label="controls"))
    return entries


def _grid(figure: Figure, charts: Sequence[Chart], *, share: bool) -> list[Axes]:
    across = _across(charts)
    grid = figure.subplots(-(-len(charts) // across), across, squeeze=False, sharey=share)
    for place, axes in enumerate(grid.flat):
        axes.set_visible(place < len(charts))
    return list(grid.flat)[: len(charts)]


def _across(charts: Sequence[Chart]) -> int:
    return 2 if len(charts) == 4 else min(3, len(charts))


def _canvas(charts: Sequence[Chart], entries: int, height: float) -> tuple[Figure, int]:
    across = _across(charts)
    columns = 2 if len(charts) == 1 else 4
    down = -(-len(charts) // across)
    size = 0.5 + height * down + 0.15 * -(-entries // columns)
    return canvas(NARROW if len(charts) == 1 else WIDE, size), columns


def label_figure(charts: Sequence[Chart], *, title: str, label: str, direction: str, generated: bool) -> Figure:
    """Return score over labels on a logarithmic axis, one panel per setting; few-shot subsets in separate panels.

    Args:
        charts: the panels.
        title: of the figure.
        label: of the score.
        direction: ``max`` or ``min``.
        generated: see `headed`.
    """
    inks = line_inks(charts, direction)
    with style():
        entries = legend_of(charts, inks)
        figure, columns = _canvas(charts, len(entries), 1.9)
        every = _grid(figure, charts, share=True)
        for axes, chart in zip(every, charts, strict=True):
            lines(axes, chart, inks, log=True)
            axes.set_title(chart.title)
            axes.set_xlabel("samples per class" if chart.shots else "% of training labels")
        y, low, high = (
            np.concatenate([getattr(line, name) for chart in charts for line in chart.lines])
            for name in ("y", "low", "high")
        )
        every[0].set_ylim(*visible_range(y, low, high))
        every[0].set_ylabel(f"{label}  ({'↓' if direction == 'min' else '↑'} better)")
        headed(figure, title, generated=generated)
        figure.legend(handles=entries, loc="outside lower center", ncols=columns, handlelength=2.4)
    return figure


def calibration_figure(charts: Sequence[Chart], *, title: str, generated: bool) -> Figure:
    """Return reliability diagrams: accuracy over confidence, the area of a mark being the share of samples."""
    inks = line_inks([Chart(title="", lines=[_last_weighed(line) for line in chart.lines]) for chart in charts], "max")
    with style():
        entries = legend_of(charts, inks)
        figure, columns = _canvas(charts, len(entries), 2.1)
        every = _grid(figure, charts, share=True)
        for axes, chart in zip(every, charts, strict=True):
            axes.plot([0, 1], [0, 1], color="#555555", linewidth=0.8, linestyle=(0, (1, 1)), zorder=1)
            lines(axes, chart, inks, log=False)
            axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", title=chart.title)
        every[0].set_ylabel("accuracy")
        headed(figure, title, generated=generated)
        figure.legend(handles=entries, loc="outside lower center", ncols=columns, handlelength=2.4)
    return figure


def _last_weighed(line: Line) -> Line:
    """Return a line whose last point is its mean accuracy, by which colours are assigned."""
    weight = np.ones_like(line.y) if line.weight is None else line.weight
    mean = np.array([float((line.y * weight).sum() / weight.sum())])
    return Line(model=line.model, x=line.x[-1:], y=mean, low=mean, high=mean, control=line.control)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of one arm.

    Attributes:
        title: its name.
        history: (rates, evaluations, 3) step, training loss and validation score, NaN after an early stop; rates rise.
        rate: the learning rate chosen on validation; NaN if unknown.
    """

    title: str
    history: np.ndarray
    rate: float


def training_figure(arms: Sequence[Training], *, title: str, label: str, generated: bool) -> Figure:
    """Return training loss and validation score over steps, one column per arm, one line per learning rate.

    The rate chosen on validation is coloured, with a star at the checkpoint that is tested; lower rates are light grey,
    higher rates dark grey.
    """
    with style():
        wide = len(arms) > 1
        figure = canvas(WIDE if wide else NARROW, 3.1 if wide else 3.3)
        grid = figure.subplots(2, len(arms), squeeze=False, sharex="col", sharey="row")
        for column, arm in enumerate(arms):
            training(grid[0, column], grid[1, column], arm)
            grid[0, column].set_title(arm.title, fontsize=6.5)
            grid[1, column].set_xlabel("step")
        grid[0, 0].set_ylabel("training loss")
        grid[1, 0].set_ylabel(label)
        headed(figure, title, generated=generated)
        marks = [
            Line2D([], [], color="#BDBDBD", linewidth=0.9, label="lower rates"),
            Line2D([], [], color=COLOURS[0], linewidth=1.2, marker="*", markersize=6, label="chosen rate, checkpoint"),
            Line2D([], [], color="#606060", linewidth=0.9, label="higher rates"),
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=3 if wide else 2, handlelength=2.0)
    return figure


def training(loss: Axes, score: Axes, arm: Training) -> None:
    """Draw one arm's training loss and validation score; see `training_figure`."""
    values = arm.history[..., 2]
    scored = np.isfinite(values).any()
    best, checkpoint = np.unravel_index(np.nanargmax(values), values.shape) if scored else (-1, 0)
    for place, run in enumerate(arm.history):
        chosen = place == best
        colour = COLOURS[0] if chosen else "#BDBDBD" if place < best else "#606060"
        for axes, what in ((loss, 1), (score, 2)):
            axes.plot(
                run[:, 0], run[:, what], color=colour, linewidth=1.2 if chosen else 0.9, zorder=3 if chosen else 2
            )
    if scored:
        step, _, value = arm.history[best, checkpoint]
        score.plot(step, value, marker="*", markersize=8, color=COLOURS[0], markeredgecolor="white", zorder=4)
        if np.isfinite(arm.rate):
            score.text(0.97, 0.05, f"rate {arm.rate:g}", transform=score.transAxes, ha="right", fontsize=6)
