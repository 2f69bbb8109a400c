"""Figures of single runs: training curves of the best arms of a task, and test images with their predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from analysis.figures.curves import Training, training_figure
from analysis.figures.panels import panel_figure
from analysis.gallery.picture import FigureSpec, file_name
from analysis.tables.build import Tables
from analysis.tables.columns import Row, as_rows, first_row, label_amount
from analysis.tables.formatting import adaptation, metric_label
from analysis.tables.source import RecordSource, read_arrays
from bench.core import Record
from bench.core.wording import shortened
from bench.metrics import direction_sign

MOST_ARMS = 4


def training_pictures(tables: Tables, source: RecordSource) -> Iterator[FigureSpec]:
    """Yield one figure of training curves per task: per decoder and tuning, the model with the best test score."""
    for task, rows in _arms(tables):
        arms, numbers = [], []
        for row in as_rows(rows.drop_duplicates(["decoder", "tuning", "taps"])):
            record = _first_record(tables, row)
            history = read_arrays(source, record, ["history"]).get("history", np.zeros(0))
            if history.ndim != 3 or not history.size:
                continue
            rate = float(record.choices.get(row["layer"], {}).get("setting", np.nan))
            title = f"{row['decoder']}, {row['tuning']}, {row['taps']}\n{row['model']}"
            arms.append(Training(title=title, history=history, rate=rate))
            numbers.append(_history_frame(history, row, record.digest))
            if len(arms) == MOST_ARMS:
                break
        if not arms:
            continue
        first = first_row(rows)
        negated = " (negated)" if direction_sign(first["direction"]) < 0 else ""
        yield FigureSpec(
            stem=f"training_{file_name(task)}",
            task=task,
            kind="training",
            caption="Training loss and validation score over steps. Of each decoder, tuning and taps, the model with "
            "the best test score is shown, with its first seed. In colour: the learning rate chosen on validation; "
            "star: the checkpoint tested.",
            numbers=pd.concat(numbers, ignore_index=True),
            render=partial(
                training_figure,
                arms,
                title=f"{tables.suite} · {task}: training",
                label=f"val. {metric_label(first)}{negated}",
                generated=tables.generated,
            ),
            alt=f"Curves of training loss and validation score over steps for {len(arms)} arms: "
            f"{shortened([arm.title.replace(chr(10), ', ') for arm in arms])}.",
        )


def panel_pictures(tables: Tables, source: RecordSource) -> Iterator[FigureSpec]:
    """Yield one figure of test images with predictions per task, from the first seed of the arm with the best score."""
    for task, rows in _arms(tables):
        for row in as_rows(rows):
            record = _first_record(tables, row)
            arrays = read_arrays(source, record, [name for name in record.arrays if name.startswith("panel.")])
            if not {"panel.image", "panel.rows", "panel.error"} <= set(arrays):
                continue
            arm = f"{row['model']}, {row['decoder']}, {row['tuning']}"
            complete = len(arrays["panel.rows"]) >= row["n_test"]
            choice = "" if complete else " (two of the worst, two of the middle, two of the best)"
            numbers = pd.DataFrame({"sample": arrays["panel.rows"], "error": arrays["panel.error"]})
            kind = str(record.facts["kind"])
            yield FigureSpec(
                stem=f"panels_{file_name(task)}",
                task=task,
                kind="images",
                caption=f"Test images with truth and prediction, worst first{choice}: {arm}, the arm with the best "
                "test score.",
                numbers=numbers.assign(record=record.digest),
                render=partial(
                    panel_figure,
                    arrays,
                    kind=kind,
                    classes=list(record.facts["classes"]),
                    title=f"{tables.suite} · {task}: {arm}",
                    generated=tables.generated,
                ),
                alt=f"{len(numbers)} test images with truth and prediction of {row['model']} ({adaptation(row)}), with "
                f"errors from {numbers['error'].max():.2f} down to {numbers['error'].min():.2f}.",
            )
            break


def _arms(tables: Tables) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each task with its arms at the most labels, the best first."""
    tuned = tables.leaderboard[(tables.leaderboard["decoder"] != "") & ~tables.leaderboard["task"].str.contains("@")]
    for task, rows in tuned.groupby("task", sort=True):
        most = rows[rows["fraction"] == max(rows["fraction"], key=label_amount)]
        smaller_is_better = direction_sign(first_row(most)["direction"]) < 0
        yield str(task), most.sort_values("score", ascending=smaller_is_better, kind="stable")


def _first_record(tables: Tables, row: Mapping[str, object]) -> Record:
    return tables.records[str(row["record"]).split()[0]]


def _history_frame(history: np.ndarray, row: Row, digest: str) -> pd.DataFrame:
    rates, evaluations, _ = history.shape
    flat = pd.DataFrame(history.reshape(-1, 3), columns=["step", "training_loss", "validation_score"])
    flat.insert(0, "rate", np.repeat(np.arange(rates), evaluations))
    for name in ("taps", "tuning", "decoder", "model"):
        flat.insert(0, name, row[name])
    return flat.assign(record=digest).dropna(subset=["step"])
