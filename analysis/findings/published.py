"""Published numbers: read, validated, compared with ours, and always marked as copied.

They are in ``results/published/published.csv``, one row per number, with its source and how its protocol differs from
ours. A number is ``copied`` (published) or ``rerun`` (ours); every frame made here states it in a column.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.tables.columns import COMPARISON, PUBLISHED, Row, as_rows
from bench.core.errors import BadSetting, Incompatible, MissingData
from bench.metrics import METRICS

COPIED, RERUN = "copied", "rerun"
MARK = "†"
VALUES = {
    "same_test": {"yes", "no", "unknown", ""},
    "seen": {"read", "second-hand"},
    "status": {COPIED},
    "protocol": {"probe", "knn", "decoder", "finetune", "supervised", ""},
}
NUMBERS = ("value", "low", "high", "spread", "fraction", "printed")
NEEDED = ("metric_printed", "dataset", "model_printed", "setting", "source", "where", "url", "seen", "status")


def read_published(path: Path) -> pd.DataFrame:
    """Return the published numbers of a file, validated; columns `PUBLISHED`, missing texts are empty.

    Args:
        path: of the CSV.

    Raises:
        MissingData: if the file does not exist.
        BadSetting: names the first row that `check_published` refuses.
    """
    if not path.is_file():
        raise MissingData(f"no published numbers at {path}; copy the folder results/published of the source there")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(frame.columns) != PUBLISHED:
        wrong = sorted(set(frame.columns) ^ set(PUBLISHED))
        raise BadSetting(
            f"{path.name}: the columns differ from the known ones or their order ({', '.join(wrong) or 'order'})"
        )
    for name in NUMBERS:
        try:
            frame[name] = pd.to_numeric(frame[name].mask(frame[name] == "")).astype(np.float64)
        except ValueError as error:
            raise BadSetting(f"{path.name}: a {name} is not a number: {error}") from error
    check_published(frame, path.name)
    return frame


def check_published(frame: pd.DataFrame, name: str = "published numbers") -> None:
    """Check that published numbers can be compared with ours.

    Every row has a source and is marked as copied; a metric that we use is within its range and in our unit (shares in
    0..1, not per cent); a row of one of our suites has a task, states whether the test samples are the same, and what
    differs; no row is repeated.

    Raises:
        BadSetting: names the first row that violates this.
    """
    for place, row in enumerate(as_rows(frame)):
        wrong = _wrong(row)
        if wrong:
            raise BadSetting(f"{name}, line {place + 2} ({row['model_printed']} on {row['dataset']}): {wrong}")
    twice = frame.duplicated(["model_printed", "dataset", "task", "metric_printed", "setting", "source"], keep=False)
    if twice.any():
        first = frame[twice].iloc[0]
        raise BadSetting(f"{name}: {first['model_printed']} on {first['dataset']} ({first['source']}) is repeated")


def _wrong(row: Row) -> str:
    """Return the fault of a row; empty if it has none."""
    absent = [name for name in NEEDED if not row[name]]
    if absent:
        return f"{', '.join(absent)} is empty"
    for name, allowed in VALUES.items():
        if row[name] not in allowed:
            return f"{name} is {row[name]!r}; known: {', '.join(sorted(allowed - {''}))}"
    if not np.isfinite(row["value"]):
        return "value is empty"
    if row["metric"]:
        if row["metric"] not in METRICS:
            return f"{row['metric']!r} is not a known metric; leave the column empty"
        metric = METRICS[row["metric"]]
        if not metric.low <= row["value"] <= metric.high:
            return f"{row['metric']} {row['value']:g} lies outside {metric.low:g}..{metric.high:g}: per cent?"
    if row["suite"] and not (row["task"] and row["same_test"] and row["differences"]):
        return "a row with a suite needs task, same_test and differences"
    if row["low"] > row["value"] or row["high"] < row["value"]:
        return f"value {row['value']:g} lies outside its interval"
    return ""


def compare(board: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return one row per pair of our score and a published number, and per published number without; see `COMPARISON`.

    A pair has the same suite, task, model and metric. All other differences are listed in ``differences``: those the
    file states of the source, and those between the two rows (protocol, label fraction, test samples). ``difference``
    is ours minus published, in the metric's unit; with ``direction`` ``min`` smaller is better. ``within`` is whether
    the published number, taken as exact, lies in our interval (NaN without an interval). Pairs have the status
    ``rerun``, other rows ``copied``. A row of ours on another test split (``task@split``) is paired with a number for
    that split.

    Args:
        board: a leaderboard (`analysis.tables.columns.LEADERBOARD`) of any number of suites, with our scores only.
        published: from `read_published`.

    Raises:
        Incompatible: if the board holds copied numbers already.
    """
    if "status" in board.columns and (board["status"] == COPIED).any():
        raise Incompatible("the leaderboard holds copied numbers, which would be compared with themselves")
    theirs = published[(published["suite"] != "") & (published["model"] != "") & (published["metric"] != "")]
    ours = {key: part for key, part in board.groupby(["suite", "task", "model"], sort=False)}
    rows: list[dict[str, object]] = []
    for copied in as_rows(theirs):
        own_rows = ours.get((copied["suite"], copied["task"], copied["model"]))
        pairs = [] if own_rows is None else [_pair(own, copied) for own in as_rows(own_rows)]
        rows += [pair for pair in pairs if pair] or [_alone(copied)]
    rows.sort(key=lambda row: (row["status"] == COPIED, *(str(row[name]) for name in COMPARISON[:4])))
    return pd.DataFrame(rows, columns=list(COMPARISON))


def _alone(copied: Row) -> dict[str, object]:
    missing = {name: np.nan for name in ("ours", "low", "high", "difference", "within")}
    return {name: "" for name in COMPARISON} | missing | _theirs(copied) | {"status": COPIED}


def _theirs(copied: Row) -> dict[str, object]:
    same = (
        "suite",
        "task",
        "model",
        "metric",
        "setting",
        "same_test",
        "source",
        "where",
        "seen",
        "protocol",
        "fraction",
    )
    return {name: copied[name] for name in same} | {
        "direction": METRICS[copied["metric"]].direction,
        "published": copied["value"],
        "published_low": copied["low"],
        "published_high": copied["high"],
        "published_spread": copied["spread"],
        "differences": _joined([copied["differences"], *_marks(copied)]),
    }


def _pair(own: Row, copied: Row) -> dict[str, object]:
    """Return the row of a pair; empty if our row has no such metric."""
    headline = own["metric"] == copied["metric"]
    score = own["score"] if headline else own.get(copied["metric"], np.nan)
    if score is None or not np.isfinite(score):
        return {}
    # Only the headline metric has an interval.
    low, high = (own["low"], own["high"]) if headline else (np.nan, np.nan)
    drawn = bool(np.isfinite(low) and np.isfinite(high))
    return _theirs(copied) | {
        "ours": float(score),
        "low": low,
        "high": high,
        "difference": float(score) - copied["value"],
        "within": bool(low <= copied["value"] <= high) if drawn else np.nan,
        "differences": _joined([*_row_differences(own, copied), copied["differences"], *_marks(copied)]),
        "protocol": own["protocol"],
        "layer": own["layer"],
        "fraction": own["fraction"],
        "variant": _text(own.get("variant")),
        "status": RERUN,
        "record": _text(own.get("record")),
    }


def _row_differences(own: Row, copied: Row) -> list[str]:
    """Return the differences between two rows."""
    differences = []
    if not copied["protocol"]:
        differences.append(f"protocol: ours {own['protocol']}, published not stated")
    elif own["protocol"] != copied["protocol"]:
        differences.append(f"protocol: ours {own['protocol']}, published {copied['protocol']}")
    if np.isfinite(copied["fraction"]) and float(own["fraction"]) != copied["fraction"]:
        differences.append(
            f"labels: ours {float(own['fraction']):g}, published {copied['fraction']:g} of the training set"
        )
    layer, recipe = (_text(own.get(name)) for name in ("layer", "recipe"))
    changes = " ".join(part for part in (_text(own.get(name)) for name in ("variant", "protocol_settings")) if part)
    if layer and layer != "last" and copied["protocol"] in ("probe", "knn"):
        differences.append(f"layer: ours {layer}")
    if recipe:
        differences.append(f"input: ours {recipe}")
    if changes:
        differences.append(f"ours with {changes}")
    return differences


def _text(value: object) -> str:
    """Return a text, and an empty one for the NaN of an empty cell."""
    return value if isinstance(value, str) else ""


def _marks(copied: Row) -> list[str]:
    """Return what limits the comparison with a published number."""
    marks = []
    if copied["same_test"] != "yes":
        marks.append("other test samples" if copied["same_test"] == "no" else "possibly other test samples")
    if copied["seen"] != "read":
        marks.append("quoted from a secondary source")
    return marks


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(part for part in parts if part))


def with_copied(board: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return a leaderboard with the published numbers for its suites and tasks below ours, every row marked.

    Column ``status`` is ``rerun`` or ``copied``, and the model of a copied row ends in a dagger, so that the mark is
    visible wherever the row is shown. Copied rows are not ranked: ``standing`` is empty.

    Args:
        board: a leaderboard with our scores only.
        published: from `read_published`.
    """
    shown = set(zip(board["suite"], board["task"], board["metric"], strict=True))
    rows = []
    for copied in published.to_dict("records"):
        if (copied["suite"], copied["task"], copied["metric"]) not in shown:
            continue
        rows.append(
            {
                **{name: copied[name] for name in ("suite", "task", "metric", "protocol", "fraction", "setting")},
                "model": f"{copied['model'] or copied['model_printed']} {MARK}",
                "score": copied["value"],
                "low": copied["low"],
                "high": copied["high"],
                "spread": copied["spread"],
                "direction": METRICS[copied["metric"]].direction,
                "standing": "",
                "notes": _joined([f"copied from {copied['source']}, {copied['where']}", copied["differences"]]),
                "status": COPIED,
            }
        )
    below = pd.DataFrame(rows).reindex(columns=[*board.columns, "status"])
    merged = pd.concat([board.assign(status=RERUN), below], ignore_index=True) if rows else board.assign(status=RERUN)
    check_marked(merged)
    return merged


def check_marked(board: pd.DataFrame) -> None:
    """Check that exactly the copied rows of a leaderboard are marked.

    Raises:
        Incompatible: if a row has no status, a copied row has no mark, or a row of ours has one.
    """
    if "status" not in board.columns or not board["status"].isin([COPIED, RERUN]).all():
        raise Incompatible("a row has neither status, copied or rerun: published numbers must be marked")
    marked = board["model"].astype(str).str.endswith(MARK)
    wrong = board[marked != (board["status"] == COPIED)]
    if len(wrong):
        first = wrong.iloc[0]
        raise Incompatible(
            f"{first['model']} is {first['status']}: copied rows, and only those, must carry the mark {MARK}"
        )
