"""Similarity between layers and models, dimensions over depth, and drift by sub-module and depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.matrix import SEQUENTIAL, matrix
from analysis.figures.profiles import MARKERS, places
from analysis.figures.style import COLOURS, GREY, NARROW, WIDE, canvas, headed, style

ACROSS = 3  # maps per row
MANY = 9  # maps; with more there are `ACROSS_MANY` smaller ones per row
ACROSS_MANY = 5
MEASURES = {"rankme": "RankMe", "participation_ratio": "participation ratio", "twonn": "TwoNN dimension"}


@dataclass(frozen=True, kw_only=True)
class LayerMap:
    """CKA between the layers of two models.

    Attributes:
        rows, columns: the models' names.
        rows_depth, columns_depth: relative depth of each layer.
        values: (Lx, Ly).
    """

    rows: str
    columns: str
    rows_depth: np.ndarray
    columns_depth: np.ndarray
    values: np.ndarray


def maps_figure(maps: Sequence[LayerMap], *, title: str, generated: bool) -> Figure:
    """Return layer x layer maps of debiased CKA on the scale 0 to 1, depth rising to the right and upwards."""
    small = len(maps) > MANY
    across = ACROSS_MANY if small else min(ACROSS, len(maps))
    down = -(-len(maps) // across)
    with style():
        figure = canvas(WIDE if across > 1 else NARROW, 0.45 + (1.35 if small else 2.05) * down)
        grid = figure.subplots(down, across, squeeze=False)
        image = None
        for axes, layer_map in zip(grid.flat, maps, strict=False):
            image = axes.imshow(layer_map.values, origin="lower", cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
            _depth_ticks(axes, layer_map)
            axes.set_xlabel(layer_map.columns, fontsize=5.5 if small else 6.5)
            axes.set_ylabel(layer_map.rows, fontsize=5.5 if small else 6.5)
            axes.grid(visible=False)
        for axes in list(grid.flat)[len(maps) :]:
            axes.set_axis_off()
        assert image is not None
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), shrink=0.6, pad=0.02)
        bar.set_label("debiased linear CKA")
        bar.outline.set_visible(False)
        headed(figure, title, generated=generated)
    return figure


def _depth_ticks(axes: Axes, layer_map: LayerMap) -> None:
    for depth, put in ((layer_map.columns_depth, axes.set_xticks), (layer_map.rows_depth, axes.set_yticks)):
        places = sorted({int(np.argmin(np.abs(depth - wanted))) for wanted in (0.0, 0.5, 1.0)})
        put(places, [f"{depth[place]:.2g}" for place in places], fontsize=6)


def models_figure(frame: pd.DataFrame, *, title: str, generated: bool) -> Figure:
    """Return the matrix of models: debiased CKA of their last layers, on the scale 0 to 1.

    Args:
        frame: see `analysis.findings.shared_structure.model_matrix`.
        title: of the figure.
        generated: see `headed`.
    """
    names = list(dict.fromkeys([*frame["model"], *frame["other"]]))
    values = np.full((len(names), len(names)), np.nan)
    texts = [["" for _ in names] for _ in names]
    halves = (frame["high"] - frame["low"]) / 2
    for model, other, cka, half in zip(frame["model"], frame["other"], frame["cka"], halves, strict=True):
        values[names.index(other), names.index(model)] = cka
        texts[names.index(other)][names.index(model)] = f"{cka:.2f}\n±{half:.2f}" if np.isfinite(half) else f"{cka:.2f}"
    with style():
        side = max(1.7, min(0.42, 4.8 / len(names)) * len(names))
        figure = canvas(WIDE if len(names) > 5 else NARROW, side + 0.6)
        axes = figure.subplots()
        # Models are named at the side only, and numbered across.
        rows = [f"{name}  {place}" for place, name in enumerate(names, start=1)]
        columns = [str(place) for place in range(1, len(names) + 1)]
        image = matrix(axes, values, texts, rows=rows, columns=columns, limits=(0, 1))
        bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
        bar.set_label("CKA of last layers")
        bar.outline.set_visible(False)
        headed(figure, title, generated=generated)
    return figure


def dimensions_figure(frame: pd.DataFrame, *, title: str, generated: bool) -> Figure:
    """Return RankMe, participation ratio and TwoNN dimension over relative depth, one line per model.

    Args:
        frame: see `analysis.findings.shared_structure.dimensions`.
        title: of the figure.
        generated: see `headed`.
    """
    names = sorted(frame["model"].unique())
    trained = [name for name in names if ".random" not in name]
    normed = bool(frame.duplicated(["model", "depth"]).any())
    with style():
        figure = canvas(WIDE, 2.5)
        for axes, (column, label) in zip(figure.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
            for name in names:
                rows = frame[frame["model"] == name]
                parent = name.partition(".random")[0]
                place = trained.index(parent) if parent in trained else len(COLOURS)
                axes.plot(
                    places(rows["depth"].to_numpy(float)),
                    rows[column],
                    color=COLOURS[place] if place < len(COLOURS) else GREY,
                    marker=MARKERS[place % len(MARKERS)],
                    markersize=2.5,
                    linestyle="-" if name in trained else "--",
                    label=name,
                )
            axes.set_title(label)
            axes.set_xlabel("relative depth (beyond 1: norm)" if normed else "relative depth")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncol=min(4, len(names)), fontsize=6)
        headed(figure, title, generated=generated)
    return figure


def drift_figure(
    frame: pd.DataFrame, lost: pd.DataFrame, parts: Sequence[str], *, title: str, metric: str, generated: bool
) -> Figure:
    """Return one model's drift: local drift by part and its control, total drift and its floors, and rewinding.

    Args:
        frame: rows of one task and model, see `analysis.findings.drift.drift_frame`.
        lost: rows of the same, see `analysis.findings.drift.rewinding`.
        parts: sub-modules, in the order of the legend.
        title: of the figure.
        metric: of the score lost by rewinding.
        generated: see `headed`.
    """
    here = [part for part in parts if part in set(frame["part"])]
    # With more parts than colours, the colours repeat with dotted lines.
    ink = {
        part: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], ":" if i >= len(COLOURS) else "-")
        for i, part in enumerate(here)
    }
    with style():
        figure = canvas(WIDE, 2.7)
        first, second, third, fourth = figure.subplots(1, 4, width_ratios=(1.2, 1.2, 1.2, 1.0))
        top = _over_depth(first, frame, "local", ink)
        control = _over_depth(second, frame, "step_local", ink)
        for axes in (first, second):
            axes.set_ylim(min(0.0, top[0], control[0]), 1.08 * max(top[1], control[1], 1e-6))
        _totals(third, frame)
        _rewound(fourth, lost, here)
        for axes, name in (
            (first, "local drift"),
            (second, "random step of equal size"),
            (third, "total drift, mean of parts"),
        ):
            axes.set_title(name)
            axes.set_xlabel("relative depth")
        first.set_ylabel("1 - debiased CKA")
        fourth.set_title("loss by rewinding")
        fourth.set_xlabel(metric)
        handles, labels = first.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncol=len(here), fontsize=6)
        headed(figure, title, generated=generated)
    return figure


def _over_depth(
    axes: Axes, frame: pd.DataFrame, column: str, ink: Mapping[str, tuple[str, str, str]]
) -> tuple[float, float]:
    """Draw one line per part: the mean over seeds with their range; return the least and largest value."""
    low, high = 0.0, 0.0
    for part, (colour, marker, dashes) in ink.items():
        by = frame[frame["part"] == part].groupby("depth")[column]
        mean, least, most = by.mean(), by.min(), by.max()
        if mean.notna().any():
            axes.plot(mean.index, mean, dashes, color=colour, marker=marker, markersize=2.5, label=part)
            axes.fill_between(mean.index, least, most, color=colour, alpha=0.15, linewidth=0)
            low, high = min(low, float(least.min())), max(high, float(most.max()))
    return low, high


def _totals(axes: Axes, frame: pd.DataFrame) -> None:
    for column, label, dashes, colour in (
        ("total", "tuned", "-", "black"),
        ("seed_floor", "between seeds", ":", GREY),
        ("shuffled", "shuffled labels", "--", GREY),
    ):
        mean = frame.groupby("depth")[column].mean()
        if mean.notna().any():
            axes.plot(mean.index, mean, linestyle=dashes, color=colour, label=label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.legend(fontsize=5.5, loc="upper left")


def _rewound(axes: Axes, lost: pd.DataFrame, parts: Sequence[str]) -> None:
    rows = lost[lost["split"] == "test"] if len(lost) else lost
    names = [part for part in [*parts, "all"] if part in set(rows["part"])]
    for place, part in enumerate(names):
        values = rows[rows["part"] == part]["lost"]
        axes.barh(place, values.mean(), color=GREY, height=0.6)
        axes.plot(values, [place] * len(values), linestyle="", marker="o", markersize=2, color="black")
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.invert_yaxis()
