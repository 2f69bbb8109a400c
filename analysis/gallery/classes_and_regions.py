"""Figures that are tables: models against classes, and models against regions of the test set."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from analysis.figures.matrix import scores_figure
from analysis.gallery.picture import FigureSpec, base, file_name, headline_rows
from analysis.tables.build import Tables
from analysis.tables.columns import as_rows, model_label
from analysis.tables.formatting import HEADLINE, adaptation, metric_label

MOST_COLUMNS = 40  # classes or regions beyond that are left to the CSV
WORDS = {"iou": "IoU", "f1": "F1"}


def _units(rows: pd.DataFrame) -> pd.Series:
    """Return the model of each row with what sets it apart."""
    return pd.Series([model_label(row) for row in as_rows(rows)], index=rows.index)


def _one_way(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the headline protocol, or of the way most models went, so that models are comparable."""
    here = rows[rows["protocol"] == HEADLINE[0]]
    if len(here):
        return here
    ways = pd.Series([f"{adaptation(row)}, {row['layer']}" for row in as_rows(rows)], index=rows.index)
    counts = rows.groupby(ways)["model"].nunique()
    return rows[ways == counts.sort_index().idxmax()] if len(counts) else rows


def _table_of(rows: pd.DataFrame, columns: str, values: str, *, down: bool) -> pd.DataFrame:
    """Return models x classes or regions, the best model first."""
    wide = rows.assign(unit=_units(rows)).pivot_table(index="unit", columns=columns, values=values, sort=False)
    wide = wide.sort_index()
    order = wide.mean(axis=1).sort_values(ascending=down, kind="stable").index
    return wide.loc[order]


def classes(made: Tables) -> Iterator[FigureSpec]:
    """Yield the scores of each class, a figure a task."""
    for task, rows in headline_rows(made.classes).groupby("task", sort=True):
        measure = "iou" if (rows["metric"].isin(["miou", "pixel_accuracy"])).any() else "f1"
        wide = _table_of(_one_way(rows), "class", measure, down=False)
        if len(wide) < 2 or not 2 <= wide.shape[1] <= MOST_COLUMNS:
            continue
        how = _way_of(_one_way(rows))
        yield FigureSpec(
            stem=f"classes_{file_name(str(task))}",
            task=base(str(task)),
            kind="classes",
            caption=f"{WORDS[measure]} of each class on test ({how}, most labels); the file holds every way of "
            "adapting, with F1, IoU, recall and precision.",
            numbers=rows,
            render=partial(
                scores_figure,
                wide.to_numpy(float),
                rows=list(wide.index),
                columns=[str(name) for name in wide.columns],
                title=f"{made.suite} · {task}: {WORDS[measure]} by class",
                label=WORDS[measure],
                generated=made.generated,
            ),
        )


def _way_of(rows: pd.DataFrame) -> str:
    first = as_rows(rows.iloc[:1])[0]
    return f"{adaptation(first)}, {first['layer']}"


def regions(made: Tables) -> Iterator[FigureSpec]:
    """Yield the scores in each region of the test set, a figure a task."""
    for task, rows in headline_rows(made.regions).groupby("task", sort=True):
        least = str(rows["direction"].iloc[0]) == "min"
        wide = _table_of(_one_way(rows), "region", "score", down=least)
        if len(wide) < 2 or not 2 <= wide.shape[1] <= MOST_COLUMNS:
            continue
        yield FigureSpec(
            stem=f"regions_{file_name(str(task))}",
            task=base(str(task)),
            kind="regions",
            caption=f"{metric_label(rows)} in each region (resampling block) of the test set "
            f"({_way_of(_one_way(rows))}, most labels).",
            numbers=rows,
            render=partial(
                scores_figure,
                wide.to_numpy(float),
                rows=list(wide.index),
                columns=[str(name) for name in wide.columns],
                title=f"{made.suite} · {task}: {metric_label(rows)} by region",
                label=metric_label(rows),
                generated=made.generated,
                reverse=least,
            ),
        )
