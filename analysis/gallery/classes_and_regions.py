"""Tables drawn as figures: models by classes, and models by regions of the test set."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from analysis.figures.matrix import scores_figure
from analysis.gallery.alt_text import table_alt
from analysis.gallery.picture import FigureSpec, base, file_name, headline_rows
from analysis.tables.build import Tables
from analysis.tables.columns import as_rows, first_row, model_label
from analysis.tables.formatting import HEADLINE, adaptation, metric_label
from bench.metrics import direction_sign

MOST_COLUMNS = 40  # largest number of classes or regions that is drawn; the CSV has all
LABELS = {"iou": "IoU", "f1": "F1"}


def classes(tables: Tables) -> Iterator[FigureSpec]:
    """Yield the scores of each class, one figure per task."""
    for task, rows in headline_rows(tables.classes).groupby("task", sort=True):
        measure = "iou" if (rows["metric"].isin(["miou", "pixel_accuracy"])).any() else "f1"
        shown = _one_setting(rows)
        wide = _models_by(shown, "class", measure, ascending=False)
        if len(wide) < 2 or not 2 <= wide.shape[1] <= MOST_COLUMNS:
            continue
        label = LABELS[measure]
        yield FigureSpec(
            stem=f"classes_{file_name(str(task))}",
            task=base(str(task)),
            kind="classes",
            caption=f"{label} of each class on test ({_setting(shown)}, most labels). The CSV has all settings, and "
            "F1, IoU, recall and precision.",
            numbers=rows,
            render=partial(
                scores_figure,
                wide.to_numpy(float),
                rows=list(wide.index),
                columns=[str(name) for name in wide.columns],
                title=f"{tables.suite} · {task}: {label} by class",
                label=label,
                generated=tables.generated,
            ),
            alt=table_alt(wide, label, columns="classes"),
        )


def regions(tables: Tables) -> Iterator[FigureSpec]:
    """Yield the scores in each region of the test set, one figure per task."""
    for task, rows in headline_rows(tables.regions).groupby("task", sort=True):
        first, shown = first_row(rows), _one_setting(rows)
        smaller_is_better = direction_sign(first["direction"]) < 0
        wide = _models_by(shown, "region", "score", ascending=smaller_is_better)
        if len(wide) < 2 or not 2 <= wide.shape[1] <= MOST_COLUMNS:
            continue
        label = metric_label(first)
        yield FigureSpec(
            stem=f"regions_{file_name(str(task))}",
            task=base(str(task)),
            kind="regions",
            caption=f"{label} in each region (resampling block) of the test set ({_setting(shown)}, most labels).",
            numbers=rows,
            render=partial(
                scores_figure,
                wide.to_numpy(float),
                rows=list(wide.index),
                columns=[str(name) for name in wide.columns],
                title=f"{tables.suite} · {task}: {label} by region",
                label=label,
                generated=tables.generated,
                reverse=smaller_is_better,
            ),
            alt=table_alt(wide, label, columns="regions"),
        )


def _one_setting(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the headline setting, or of the setting with most models, so that models are comparable."""
    settings = pd.Series([f"{adaptation(row)}, {row['layer']}" for row in as_rows(rows)], index=rows.index)
    headline = settings == ", ".join(HEADLINE)
    if headline.any():
        return rows[headline]
    counts = rows.groupby(settings)["model"].nunique()
    return rows[settings == counts.sort_index().idxmax()] if len(counts) else rows


def _setting(rows: pd.DataFrame) -> str:
    first = first_row(rows)
    return f"{adaptation(first)}, {first['layer']}"


def _models_by(rows: pd.DataFrame, columns: str, values: str, *, ascending: bool) -> pd.DataFrame:
    """Return models x classes or regions, the best model first."""
    labels = pd.Series([model_label(row) for row in as_rows(rows)], index=rows.index, dtype=object)
    wide = rows.assign(label=labels).pivot_table(index="label", columns=columns, values=values, sort=False)
    wide = wide.sort_index()
    order = wide.mean(axis=1).sort_values(ascending=ascending, kind="stable").index
    return wide.loc[order]
