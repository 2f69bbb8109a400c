"""Panels of figures from frames: curves, lines and points; empty if there is nothing to compare."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.figures.cost import Costs, Point
from analysis.figures.curves import Chart, Line
from analysis.figures.profiles import Curve, Panel
from analysis.tables.columns import CONTROLS, MutableRow, as_rows, curve_label, first_row, label_amount, model_label
from analysis.tables.formatting import HEADLINE, adaptation, most_labels
from bench.core import label_fraction_text

MOST_FRACTIONS = 3
MOST_CHARTS = 6
FEWEST_IN_BIN = 10  # samples per bin; an accuracy of fewer samples is not informative
COSTS = {
    "parameters": "parameters of the encoder",
    "flops": "multiply-adds per image",
    "image_seconds": "seconds per image, encoder",
    "step_seconds": "seconds per training step",
}


def profile_panels(rows: pd.DataFrame) -> list[Panel]:
    """Return the panels of one task's figure: splits x protocols x label fractions, most labels first.

    Of more than `MOST_FRACTIONS` fractions the largest, the middle and the smallest are drawn; the CSV has all.

    Args:
        rows: see `analysis.tables.build.Tables.layers`, of one task and its splits.
    """
    fractions = most_labels(rows)
    if len(fractions) > MOST_FRACTIONS:
        fractions = [fractions[0], fractions[len(fractions) // 2], fractions[-1]]
    panels = []
    for task in sorted(rows["task"].unique()):
        for protocol in sorted(rows["protocol"].unique(), key=lambda name: (name != HEADLINE[0], name)):
            for fraction in fractions:
                chosen = (rows["task"] == task) & (rows["protocol"] == protocol) & (rows["fraction"] == fraction)
                if rows[chosen]["final_layer_regret"].notna().any():  # baselines have no depth to show
                    split = task.partition("@")[2]
                    labels = label_fraction_text(fraction, sentence=True)
                    title = ", ".join(part for part in (split, protocol, labels) if part)
                    panels.append(Panel(title=title, curves=_curves(rows[chosen])))
    return panels


def _curves(rows: pd.DataFrame) -> list[Curve]:
    curves = []
    for _, own in rows.groupby(["model", "variant", "protocol_settings"], sort=True):
        first, chosen = first_row(own), own["chosen"].to_numpy(bool)
        curves.append(
            Curve(
                model=curve_label(first),
                origin=str(first["origin"]),
                # A twin that several models share has no colour of a model.
                parent="" if first["twins"] else str(first["parent"]),
                depth=own["depth"].to_numpy(float),
                score=own["test"].to_numpy(float),
                low=own["low"].to_numpy(float),
                high=own["high"].to_numpy(float),
                chosen=int(np.argmax(chosen)) if chosen.any() else len(own) - 1,
                last=int(np.argmax(own["last"].to_numpy(bool))),
            )
        )
    return curves


def depth_panels(rows: pd.DataFrame) -> list[Panel]:
    """Return the panels of a depth heatmap at the most labels, one per test split and protocol with several models.

    Args:
        rows: of one task's models of more than one layer, without controls.
    """
    panels = []
    rows = rows[rows["fraction"] == max(rows["fraction"], key=label_amount)]
    for task in sorted(rows["task"].unique()):
        for protocol in sorted(rows["protocol"].unique(), key=lambda name: (name != HEADLINE[0], name)):
            curves = _curves(rows[(rows["task"] == task) & (rows["protocol"] == protocol)])
            if len(curves) > 1:
                curves.sort(key=lambda curve: (curve.depth[curve.chosen], curve.model))
                split = task.partition("@")[2]
                panels.append(Panel(title=", ".join(part for part in (split, protocol) if part), curves=curves))
    return panels


def label_charts(rows: pd.DataFrame) -> list[Chart]:
    """Return one chart per setting with at least two label fractions; few-shot subsets are in separate charts."""
    charts = []
    for setting, own in _by_setting(rows):
        for shots in (True, False):
            part = own[(own["fraction"] < 0) == shots]
            if part["fraction"].nunique() > 1:
                charts.append(Chart(title=setting, lines=_label_lines(part, shots=shots), shots=shots))
    charts.sort(key=lambda chart: not chart.title.startswith(HEADLINE[0]))
    return charts[:MOST_CHARTS]


def _by_setting(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each setting (adaptation and layer rule), sorted by its text."""
    texts = [f"{adaptation(row)}, {row['layer']}" for row in as_rows(rows)]
    return [
        (str(text), part) for text, part in rows.groupby(pd.Series(texts, index=rows.index, dtype=object), sort=True)
    ]


def _label_lines(rows: pd.DataFrame, *, shots: bool) -> list[Line]:
    lines = []
    for _, own in rows.groupby(["model", "variant"], sort=True):
        own = own.sort_values("fraction", ascending=not shots)
        lines.append(
            Line(
                model=model_label(first_row(own)),
                x=np.abs(own["fraction"].to_numpy(float)),
                y=own["score"].to_numpy(float),
                low=own["low"].to_numpy(float),
                high=own["high"].to_numpy(float),
                control=str(own["origin"].iloc[0]) in CONTROLS,
            )
        )
    return lines


def cost_panels(rows: pd.DataFrame) -> list[Costs]:
    """Return score against each cost that differs between models; seconds are of the most frequent device only."""
    panels = []
    for column, name in COSTS.items():
        part = rows[(rows[column] > 0) & rows["score"].notna()]
        if column.endswith("seconds") and len(part):
            device = part["device"].value_counts().sort_index(kind="stable").idxmax()
            part = part[part["device"] == device]
            name = f"{name} ({device})" if device else name
        own = part[~part["origin"].isin(CONTROLS)]
        if own["model"].nunique() < 2 or own[column].nunique() < 2:
            continue
        panels.append(Costs(label=name, points=[_point(row, column) for row in as_rows(part)]))
    return panels


def _point(row: MutableRow, column: str) -> Point:
    return Point(
        model=model_label(row),
        setting=adaptation(row),
        cost=float(row[column]),
        score=float(row["score"]),
        low=float(row["low"]),
        high=float(row["high"]),
        control=row["origin"] in CONTROLS,
    )


def calibration_charts(rows: pd.DataFrame, models: pd.DataFrame) -> list[Chart]:
    """Return one reliability diagram per setting.

    Args:
        rows: of one task, see `analysis.tables.build.Tables.calibration`.
        models: see `analysis.tables.build.Tables.models`, for their origins.
    """
    origin = dict(zip(models["model"], models["origin"], strict=True))
    charts = []
    for setting, own in _by_setting(rows[rows["count"] >= FEWEST_IN_BIN]):
        lines = []
        for (model, variant), bins in own.groupby(["model", "variant"], sort=True):
            bins = bins.sort_values("bin")
            weight = bins["count"].to_numpy(float)
            no_bounds = np.full(len(bins), np.nan)
            lines.append(
                Line(
                    model=f"{model} ({variant})" if variant else str(model),
                    x=bins["confidence"].to_numpy(float),
                    y=bins["accuracy"].to_numpy(float),
                    low=no_bounds,
                    high=no_bounds,
                    control=origin.get(model, "") in CONTROLS,
                    weight=weight / weight.sum(),
                )
            )
        if any(not line.control for line in lines):
            charts.append(Chart(title=setting, lines=lines))
    charts.sort(key=lambda chart: not chart.title.startswith(HEADLINE[0]))
    return charts[:MOST_CHARTS]
