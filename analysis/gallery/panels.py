"""Frames -> what figures draw: panels of curves, lines and points, or nothing where there is nothing to see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.cost import Costs, Point
from analysis.figures.curves import Chart, Line
from analysis.figures.profiles import Curve, Panel
from analysis.tables.columns import CONTROLS, as_rows, label_amount, model_label
from analysis.tables.formatting import HEADLINE, adaptation, most_labels
from bench.core import label_fraction_text

MOST_FRACTIONS = 3
MOST_CHARTS = 6
FEWEST_IN_BIN = 10  # samples; the accuracy of fewer says nothing
COSTS = {
    "parameters": "parameters of the encoder",
    "flops": "multiply-adds an image",
    "image_seconds": "seconds an image, encoder",
    "step_seconds": "seconds a training step",
}


def profile_panels(rows: pd.DataFrame) -> list[Panel]:
    """Return the panels of one task's figure: splits x protocols x label fractions, the most labels first.

    Of more than `MOST_FRACTIONS` fractions the largest, the smallest and the one between are drawn; the CSV has all.
    """
    fractions = most_labels(rows)
    if len(fractions) > MOST_FRACTIONS:
        fractions = [fractions[0], fractions[len(fractions) // 2], fractions[-1]]
    found = []
    for task in sorted(rows["task"].unique()):
        for protocol in sorted(rows["protocol"].unique(), key=lambda name: (name != HEADLINE[0], name)):
            for fraction in fractions:
                chosen = (rows["task"] == task) & (rows["protocol"] == protocol) & (rows["fraction"] == fraction)
                if rows[chosen]["final_layer_regret"].notna().any():  # a panel of baselines alone has no depth
                    split = task.partition("@")[2]
                    labels = label_fraction_text(fraction, sentence=True)
                    title = ", ".join(part for part in (split, protocol, labels) if part)
                    found.append(Panel(title=title, curves=_curves(rows[chosen])))
    return found


def _curves(rows: pd.DataFrame) -> list[Curve]:
    found = []
    for (model, variant), own in rows.groupby(["model", "variant"], sort=True):
        chosen = own["chosen"].to_numpy(bool)
        found.append(
            Curve(
                model=f"{model} ({variant})" if variant else str(model),
                origin=str(own["origin"].iloc[0]),
                parent=str(own["parent"].iloc[0]),
                depth=own["depth"].to_numpy(float),
                score=own["test"].to_numpy(float),
                low=own["low"].to_numpy(float),
                high=own["high"].to_numpy(float),
                chosen=int(np.argmax(chosen)) if chosen.any() else len(own) - 1,
                last=int(np.argmax(own["last"].to_numpy(bool))),
            )
        )
    return found


def depth_panels(rows: pd.DataFrame) -> list[Panel]:
    """Return the panels of a depth heatmap at the most labels, a test split and protocol each; none below two models.

    Args:
        rows: of one task's models of more than one layer, controls left out.
    """
    found = []
    rows = rows[rows["fraction"] == max(rows["fraction"], key=label_amount)]
    for task in sorted(rows["task"].unique()):
        for protocol in sorted(rows["protocol"].unique(), key=lambda name: (name != HEADLINE[0], name)):
            curves = _curves(rows[(rows["task"] == task) & (rows["protocol"] == protocol)])
            if len(curves) > 1:
                curves.sort(key=lambda curve: (curve.depth[curve.chosen], curve.model))
                split = task.partition("@")[2]
                found.append(Panel(title=", ".join(part for part in (split, protocol) if part), curves=curves))
    return found


def label_charts(rows: pd.DataFrame) -> list[Chart]:
    """Return a chart a way of adapting with two label fractions or more; few-shot subsets in charts of their own."""
    rows = rows.assign(way=[f"{adaptation(row)}, {row['layer']}" for row in as_rows(rows)])
    found = []
    for name, own in rows.groupby("way", sort=True):
        for shots in (True, False):
            part = own[(own["fraction"] < 0) == shots]
            if part["fraction"].nunique() > 1:
                found.append(Chart(title=str(name), lines=_label_lines(part, shots=shots), shots=shots))
    found.sort(key=lambda chart: not chart.title.startswith(HEADLINE[0]))
    return found[:MOST_CHARTS]


def _label_lines(rows: pd.DataFrame, *, shots: bool) -> list[Line]:
    found = []
    for (model, variant), own in rows.groupby(["model", "variant"], sort=True):
        own = own.sort_values("fraction", ascending=not shots)
        found.append(
            Line(
                model=f"{model} ({variant})" if variant else str(model),
                x=np.abs(own["fraction"].to_numpy(float)),
                y=own["score"].to_numpy(float),
                low=own["low"].to_numpy(float),
                high=own["high"].to_numpy(float),
                control=str(own["origin"].iloc[0]) in CONTROLS,
            )
        )
    return found


def cost_panels(rows: pd.DataFrame) -> list[Costs]:
    """Return score against each cost with two different values or more among the models; seconds of one device only."""
    found = []
    for column, name in COSTS.items():
        part = rows[(rows[column] > 0) & rows["score"].notna()]
        if column.endswith("seconds") and len(part):
            device = part["device"].value_counts().sort_index(kind="stable").idxmax()
            part = part[part["device"] == device]
            name = f"{name} ({device})" if device else name
        own = part[~part["origin"].isin(CONTROLS)]
        if own["model"].nunique() < 2 or own[column].nunique() < 2:
            continue
        found.append(Costs(label=name, points=[_point(row, column) for row in as_rows(part)]))
    return found


def _point(row: dict[str, Any], column: str) -> Point:
    return Point(
        model=model_label(row),
        way=adaptation(row),
        cost=float(row[column]),
        score=float(row["score"]),
        low=float(row["low"]),
        high=float(row["high"]),
        control=row["origin"] in CONTROLS,
    )


def calibration_charts(rows: pd.DataFrame, models: pd.DataFrame) -> list[Chart]:
    """Return a reliability diagram a way of adapting.

    Args:
        rows: of one task, see `analysis.tables.build.CALIBRATION`.
        models: see `analysis.tables.provenance.MODELS`, for their origins.
    """
    origin = dict(zip(models["model"], models["origin"], strict=True))
    rows = rows.assign(way=[f"{adaptation(row)}, {row['layer']}" for row in as_rows(rows)])
    found = []
    for name, own in rows[rows["count"] >= FEWEST_IN_BIN].groupby("way", sort=True):
        lines = []
        for (model, variant), bins in own.groupby(["model", "variant"], sort=True):
            bins = bins.sort_values("bin")
            weight = bins["count"].to_numpy(float)
            nothing = np.full(len(bins), np.nan)
            lines.append(
                Line(
                    model=f"{model} ({variant})" if variant else str(model),
                    x=bins["confidence"].to_numpy(float),
                    y=bins["accuracy"].to_numpy(float),
                    low=nothing,
                    high=nothing,
                    control=origin.get(model, "") in CONTROLS,
                    weight=weight / weight.sum(),
                )
            )
        if any(not line.control for line in lines):
            found.append(Chart(title=str(name), lines=lines))
    found.sort(key=lambda chart: not chart.title.startswith(HEADLINE[0]))
    return found[:MOST_CHARTS]
