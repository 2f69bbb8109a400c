"""Figures of single runs: how the best arms of a task trained, and images with what the best one said of them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.curves import Training, training_figure
from analysis.figures.panels import panel_figure
from analysis.tables.build import Tables
from analysis.tables.columns import as_rows, label_amount
from analysis.tables.formatting import metric_label
from analysis.tables.source import RecordSource
from bench.core import Record
from bench.core.errors import BenchError

MOST_ARMS = 4


def _arms(made: Tables) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each task with its arms at the most labels, the best first."""
    tuned = made.leaderboard[(made.leaderboard["decoder"] != "") & ~made.leaderboard["task"].str.contains("@")]
    for task, rows in tuned.groupby("task", sort=True):
        most = rows[rows["fraction"] == max(rows["fraction"], key=label_amount)]
        least = str(most["direction"].iloc[0]) == "min"
        yield str(task), most.sort_values("score", ascending=least, kind="stable")


def _read(made: Tables, source: RecordSource, row: Mapping[str, Any]) -> tuple[Record, Mapping[str, np.ndarray]] | None:
    """Return the first record of a row with its arrays; None where they cannot be read."""
    record = made.records[str(row["record"]).split()[0]]
    try:
        arrays = source.arrays(record)
        wanted = [name for name in record.arrays if name == "history" or name.startswith("panel.")]
        return record, {name: arrays[name] for name in wanted}
    except (BenchError, OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def training_pictures(made: Tables, source: RecordSource) -> Iterator[dict[str, Any]]:
    """Yield the `FigureSpec` arguments of each task's training curves: the best model of each decoder and tuning."""
    for task, rows in _arms(made):
        arms, numbers = [], []
        for row in as_rows(rows.drop_duplicates(["decoder", "tuning", "taps"])):
            found = _read(made, source, row)
            if found is None or found[1].get("history", np.zeros((0, 0, 3))).size == 0:
                continue
            record, arrays = found
            rate = record.choices[row["layer"]].get("setting", np.nan)
            name = f"{row['decoder']}, {row['tuning']}, {row['taps']}"
            arms.append(Training(title=f"{name}\n{row['model']}", history=arrays["history"], rate=float(rate)))
            numbers.append(_history_frame(arrays["history"], row, record.digest))
            if len(arms) == MOST_ARMS:
                break
        if not arms:
            continue
        metric = metric_label(rows) + (" (negated)" if str(rows["direction"].iloc[0]) == "min" else "")
        yield {
            "stem": f"training_{task}",
            "task": task,
            "kind": "training",
            "caption": "Training loss and validation score over steps: of each decoder, tuning and taps the model that "
            "does best on test, its first seed. The rate chosen on validation is in colour, the star the checkpoint.",
            "numbers": pd.concat(numbers, ignore_index=True),
            "render": partial(
                training_figure,
                arms,
                title=f"{made.suite} · {task}: training",
                label=f"val. {metric}",
                generated=made.generated,
            ),
        }


def _history_frame(history: np.ndarray, row: Mapping[str, Any], digest: str) -> pd.DataFrame:
    rates, evaluations, _ = history.shape
    flat = pd.DataFrame(history.reshape(-1, 3), columns=["step", "training_loss", "validation_score"])
    flat.insert(0, "rate", np.repeat(np.arange(rates), evaluations))
    for name in ("taps", "tuning", "decoder", "model"):
        flat.insert(0, name, row[name])
    return flat.assign(record=digest).dropna(subset=["step"])


def panel_pictures(made: Tables, source: RecordSource) -> Iterator[dict[str, Any]]:
    """Yield what makes the `FigureSpec` of each task's images: of the arm that does best on test, its first seed."""
    for task, rows in _arms(made):
        for row in as_rows(rows):
            found = _read(made, source, row)
            if found is None or "panel.image" not in found[1]:
                continue
            record, arrays = found
            how = f"{row['model']}, {row['decoder']}, {row['tuning']}"
            kind, classes = str(record.facts["kind"]), list(record.facts["classes"])
            every = len(arrays["panel.rows"]) >= row["n_test"]
            some = "" if every else " (two each from either end and the middle)"
            numbers = pd.DataFrame({"sample": arrays["panel.rows"], "error": arrays["panel.error"]})
            yield {
                "stem": f"panels_{task}",
                "task": task,
                "kind": "images",
                "caption": f"Test images with what was said of them, worst first{some}: {how}, the arm that does best.",
                "numbers": numbers.assign(record=record.digest),
                "render": partial(
                    panel_figure,
                    arrays,
                    kind=kind,
                    classes=classes,
                    title=f"{made.suite} · {task}: {how}",
                    generated=made.generated,
                ),
            }
            break
