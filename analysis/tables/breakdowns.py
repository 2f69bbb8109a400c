"""What lies behind a leaderboard's rows: draws for comparing them, classes, regions, confidence, single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables.bootstrap import GroupDraws
from analysis.tables.columns import ARM, REGIONS, ROW, label_amount, row_name
from analysis.tables.per_sample import Breakdown, class_scores
from analysis.tables.run_groups import RunGroup


@dataclass(frozen=True)
class RowDraws:
    """Scores of a row in resamples of its test set (B,), and in halves of it (2 splits,)."""

    scores: np.ndarray
    halves: np.ndarray


def shared_columns(cell: RunGroup, draws: GroupDraws) -> dict[str, Any]:
    """Return the columns that both tables have."""
    key, facts = cell.key, cell.facts
    return {
        "task": cell.task,
        "model": key.model,
        "origin": facts["origin"],
        "parent": facts.get("parent", ""),
        "protocol": key.protocol,
        "fraction": key.fraction,
        "metric": cell.metric,
        "metric_label": facts.get("metric_label", cell.metric),
        "direction": facts["direction"],
        "unit": facts.get("unit", "") if cell.metric in ("rmse", "mae") else "",
        "n_test": draws.samples,
        "subsets": len({record.key.subset for record in cell.records}),
        "generated": bool(facts["generated"]),
        "variant": cell.variant,
        "record": " ".join(sorted(cell.digests)),
    }


class Breakdowns:
    """Gathers what the outcomes say beyond one score a row."""

    def __init__(self) -> None:
        self.classes: list[dict[str, Any]] = []
        self.regions: list[dict[str, Any]] = []
        self.calibration: list[dict[str, Any]] = []
        self.arms: list[dict[str, Any]] = []
        self.row_draws: dict[tuple[Any, ...], RowDraws] = {}
        self.arm_draws: dict[tuple[str, str], np.ndarray] = {}

    def add(self, drawn: Sequence[tuple[RunGroup, GroupDraws]]) -> None:
        """Take up the cells of one test set."""
        most = max((label_amount(cell.key.fraction) for cell, _ in drawn), default=0.0)
        for cell, draws in drawn:
            kept = (*REGIONS, "metric", "origin")
            shared = {name: value for name, value in shared_columns(cell, draws).items() if name in kept}
            for rule in cell.rules:
                row = {**shared, **cell.arm, "layer": rule}
                if rule in draws.rules:
                    scores, halves = draws.rules[rule], draws.halves[rule]
                    self.row_draws[row_name(row)] = RowDraws(scores.astype(np.float32), halves.astype(np.float32))
                if cell.arm["decoder"]:
                    self._arms(cell, rule, row, draws)
                if rule in draws.details and label_amount(cell.key.fraction) == most:
                    self._details(cell, row, draws.details[rule])

    def _arms(self, cell: RunGroup, rule: str, row: Mapping[str, Any], draws: GroupDraws) -> None:
        for place, (record, digest, score) in enumerate(
            zip(cell.records, cell.digests, cell.values(rule), strict=True)
        ):
            about = {"subset": record.key.subset, "seed": record.key.seed, "score": score, "record": digest}
            self.arms.append({**row, **about})
            if rule in draws.arm_draws:
                self.arm_draws[digest, cell.split] = draws.arm_draws[rule][place]

    def _details(self, cell: RunGroup, row: Mapping[str, Any], found: Breakdown) -> None:
        if found.classes is not None:
            scores = class_scores(found.classes)
            for place, name in enumerate(cell.facts["classes"]):
                each = {what: float(values[place]) for what, values in scores.items()}
                truth = round(float(found.classes[place, 1]) / found.runs)
                self.classes.append({**row, "class": name, "truth": truth, **each})
        if found.regions is not None and found.names is not None and found.samples is not None:
            for name, count, score in zip(found.names, found.samples, found.regions / found.runs, strict=True):
                self.regions.append({**row, "region": str(name), "samples": int(count), "score": float(score)})
        if found.bins is not None:
            for place, (count, sure, right) in enumerate(found.bins.T):
                means = {"confidence": sure / count, "accuracy": right / count} if count else {}
                self.calibration.append({**row, "bin": place, "count": int(count), **means})

    def frame(self, rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
        """Return rows as a frame in an order of its own, whatever the order of the records."""
        made = pd.DataFrame(rows, columns=list(columns))
        names = [name for name in (*ROW, *ARM, "subset", "seed") if name in columns]
        return made.sort_values(list(dict.fromkeys(names)), kind="stable", ignore_index=True)
