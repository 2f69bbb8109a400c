"""Published numbers beside ours: read, validated, compared, and never mixed in without a mark.

``results/published/published.csv`` holds them, one row a number, with where it was read and in what its protocol
differs from ours. A number is ``copied`` (theirs) or ``rerun`` (ours); every frame made here says which in a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables.columns import COMPARISON, PUBLISHED
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
    """Return the published numbers of a file, validated; columns `PUBLISHED`, no text missing (empty instead).

    Args:
        path: of the CSV.

    Raises:
        MissingData: if there is no such file.
        BadSetting: names the first row that is not as `check_published` wants it.
    """
    if not path.is_file():
        raise MissingData(
            f"no published numbers at {path}; they come with the source, in results/published: copy that folder there"
        )
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(frame.columns) != PUBLISHED:
        wrong = sorted(set(frame.columns) ^ set(PUBLISHED))
        raise BadSetting(f"{path.name}: columns are not those known, in their order ({', '.join(wrong) or 'order'})")
    for name in NUMBERS:
        try:
            frame[name] = pd.to_numeric(frame[name].mask(frame[name] == "")).astype(np.float64)
        except ValueError as error:
            raise BadSetting(f"{path.name}: a {name} is no number: {error}") from error
    check_published(frame, path.name)
    return frame


def check_published(frame: pd.DataFrame, name: str = "published numbers") -> None:
    """Pass published numbers that are fit to stand beside ours.

    Every row says where it was read and is marked as copied; a metric of ours is within its range, in our unit (shares
    in 0..1, not per cent); a row that claims one of our suites has a task, says whether the test samples are ours, and
    spells out what differs; no row is there twice.

    Raises:
        BadSetting: names the first row that is not so.
    """
    for place, row in enumerate(frame.to_dict("records")):
        wrong = _wrong(row)
        if wrong:
            raise BadSetting(f"{name}, line {place + 2} ({row['model_printed']} on {row['dataset']}): {wrong}")
    twice = frame.duplicated(["model_printed", "dataset", "task", "metric_printed", "setting", "source"], keep=False)
    if twice.any():
        first = frame[twice].iloc[0]
        raise BadSetting(f"{name}: {first['model_printed']} on {first['dataset']} ({first['source']}) is there twice")


def _wrong(row: Mapping[Any, Any]) -> str:
    """Return what is wrong with a row; empty where nothing is."""
    absent = [name for name in NEEDED if not row[name]]
    if absent:
        return f"no {', '.join(absent)}"
    for name, allowed in VALUES.items():
        if row[name] not in allowed:
            return f"{name} is {row[name]!r}, none of {', '.join(sorted(allowed - {''}))}"
    if not np.isfinite(row["value"]):
        return "no value"
    if row["metric"]:
        if row["metric"] not in METRICS:
            return f"{row['metric']!r} is no metric of ours; leave the column empty"
        metric = METRICS[row["metric"]]
        if not metric.low <= row["value"] <= metric.high:
            return f"{row['metric']} {row['value']:g} lies outside {metric.low:g}..{metric.high:g}: per cent?"
    if row["suite"] and not (row["task"] and row["same_test"] and row["differences"]):
        return "it names one of our suites, and so needs task, same_test and differences"
    if row["low"] > row["value"] or row["high"] < row["value"]:
        return f"value {row['value']:g} lies outside its interval"
    return ""


def compare(board: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return ours beside theirs, one row a pair and one for each published number without ours; columns `COMPARISON`.

    A pair is of one suite, task, model and metric; nothing else need agree, and what does not is spelt out in
    ``differences``: what the file says of the source, and what the two rows show (protocol, label fraction, test
    samples). ``difference`` is ours minus theirs, in the metric's unit; with ``direction`` ``min`` less is better.
    ``within`` is whether their number lies in our interval (none where either is absent), which takes their number as
    free of error. Pairs are ``rerun``: ours stands beside theirs; the rest are ``copied``. Where our row is on a test
    split of another name (``task@split``), theirs is of that too.

    Args:
        board: a leaderboard (`analysis.tables.columns.LEADERBOARD`) of any number of suites, ours alone.
        published: from `read_published`.

    Raises:
        Incompatible: if the board holds copied numbers already.
    """
    if "status" in board.columns and (board["status"] == COPIED).any():
        raise Incompatible("the leaderboard holds copied numbers: they would be compared with themselves")
    theirs = published[(published["suite"] != "") & (published["model"] != "") & (published["metric"] != "")]
    ours = {key: part for key, part in board.groupby(["suite", "task", "model"], sort=False)}
    rows: list[dict[str, Any]] = []
    for copied in theirs.to_dict("records"):
        found = ours.get((copied["suite"], copied["task"], copied["model"]))
        pairs = [] if found is None else [_pair(own, copied) for own in found.to_dict("records")]
        rows += [pair for pair in pairs if pair] or [_alone(copied)]
    rows.sort(key=lambda row: (row["status"] == COPIED, *(str(row[name]) for name in COMPARISON[:4])))
    return pd.DataFrame(rows, columns=list(COMPARISON))


def _alone(copied: Mapping[Any, Any]) -> dict[str, Any]:
    nothing = {name: np.nan for name in ("ours", "low", "high", "difference", "within")}
    return {name: "" for name in COMPARISON} | nothing | _theirs(copied) | {"status": COPIED}


def _theirs(copied: Mapping[Any, Any]) -> dict[str, Any]:
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
        "differences": _spelt([copied["differences"], *_marks(copied)]),
    }


def _pair(own: Mapping[Any, Any], copied: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the row of a pair; empty where ours has no such metric."""
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
        "differences": _spelt([*_seen_apart(own, copied), copied["differences"], *_marks(copied)]),
        "protocol": own["protocol"],
        "layer": own["layer"],
        "fraction": own["fraction"],
        "variant": _text(own.get("variant")),
        "status": RERUN,
        "record": _text(own.get("record")),
    }


def _seen_apart(own: Mapping[Any, Any], copied: Mapping[Any, Any]) -> list[str]:
    """Return what two rows show to be different."""
    found = []
    if not copied["protocol"]:
        found.append(f"protocol: ours {own['protocol']}, theirs not stated")
    elif own["protocol"] != copied["protocol"]:
        found.append(f"protocol: ours {own['protocol']}, theirs {copied['protocol']}")
    if np.isfinite(copied["fraction"]) and float(own["fraction"]) != copied["fraction"]:
        found.append(f"labels: ours {float(own['fraction']):g}, theirs {copied['fraction']:g} of the training set")
    layer, recipe, variant = (_text(own.get(name)) for name in ("layer", "recipe", "variant"))
    if layer and layer != "last" and copied["protocol"] in ("probe", "knn"):
        found.append(f"layer: ours {layer}")
    if recipe:
        found.append(f"input: ours {recipe}")
    if variant:
        found.append(f"ours with {variant}")
    return found


def _text(value: object) -> str:
    """Return a text as it is, and what a file read back gives for an empty one as empty."""
    return value if isinstance(value, str) else ""


def _marks(copied: Mapping[Any, Any]) -> list[str]:
    """Return what makes a published number less than comparable."""
    found = []
    if copied["same_test"] != "yes":
        found.append("other test samples" if copied["same_test"] == "no" else "perhaps other test samples")
    if copied["seen"] != "read":
        found.append("not read in the source itself")
    return found


def _spelt(parts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(part for part in parts if part))


def with_copied(board: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return a leaderboard with the published numbers of its suites and tasks below ours, every row marked.

    Column ``status`` says ``rerun`` or ``copied``, and the model of a copied row ends in a dagger, so that it stays
    marked wherever the row is shown. Copied rows take no part in ranking: ``standing`` is empty.

    Args:
        board: a leaderboard, ours alone.
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
                "notes": _spelt([f"copied from {copied['source']}, {copied['where']}", copied["differences"]]),
                "status": COPIED,
            }
        )
    below = pd.DataFrame(rows).reindex(columns=[*board.columns, "status"])
    merged = pd.concat([board.assign(status=RERUN), below], ignore_index=True) if rows else board.assign(status=RERUN)
    check_marked(merged)
    return merged


def check_marked(board: pd.DataFrame) -> None:
    """Pass a leaderboard whose copied rows are marked as such.

    Raises:
        Incompatible: if a row has no status, or one that is copied lacks its mark, or ours carries it.
    """
    if "status" not in board.columns or not board["status"].isin([COPIED, RERUN]).all():
        raise Incompatible("a row says neither copied nor rerun: published numbers do not enter a leaderboard unmarked")
    marked = board["model"].astype(str).str.endswith(MARK)
    wrong = board[marked != (board["status"] == COPIED)]
    if len(wrong):
        first = wrong.iloc[0]
        raise Incompatible(
            f"{first['model']} is {first['status']}: the mark {MARK} is for copied rows, and for all of them"
        )
