"""Breakdowns of leaderboard rows: draws for comparing rows, classes, regions, confidence, single fine-tuned runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.tables.bootstrap import GroupDraws
from analysis.tables.columns import ARM, REGIONS, ROW, MutableRow, label_amount, row_name
from analysis.tables.per_sample import Breakdown, class_scores
from analysis.tables.run_groups import RunGroup


@dataclass(frozen=True)
class RowDraws:
    """Scores of a row in resamples of its test set (B,), and in halves of it (2 splits,)."""

    scores: np.ndarray
    halves: np.ndarray


def shared_columns(group: RunGroup, draws: GroupDraws) -> MutableRow:
    """Return the columns that the leaderboard and the layer table share."""
    key, facts = group.key, group.facts
    return {
        "task": group.task,
        "model": key.model,
        "origin": facts["origin"],
        "parent": facts.get("parent", ""),
        "protocol": key.protocol,
        "fraction": key.fraction,
        "metric": group.metric,
        "metric_label": facts.get("metric_label", group.metric),
        "direction": facts["direction"],
        "unit": facts.get("unit", "") if group.metric in ("rmse", "mae") else "",
        "n_test": draws.samples,
        "subsets": len({record.key.subset for record in group.records}),
        "generated": bool(facts["generated"]),
        "variant": group.variant,
        "protocol_settings": group.protocol_settings,
        "twins": " = ".join(group.twins),
        "record": " ".join(sorted([*group.digests, *group.twin_digests])),
    }


class Breakdowns:
    """Collector of the breakdowns of run groups: classes, regions, confidence and single runs.

    Attributes:
        classes, regions, calibration, arms: rows of the frames of these names.
        row_draws: `row_name` of a leaderboard row -> its draws.
        arm_draws: digest and split of a fine-tuned run -> its draws.
    """

    def __init__(self) -> None:
        self.classes: list[dict[str, object]] = []
        self.regions: list[dict[str, object]] = []
        self.calibration: list[dict[str, object]] = []
        self.arms: list[dict[str, object]] = []
        self.row_draws: dict[tuple[object, ...], RowDraws] = {}
        self.arm_draws: dict[tuple[str, str], np.ndarray] = {}

    def add(self, drawn: Sequence[tuple[RunGroup, GroupDraws]]) -> None:
        """Add the run groups of one test set with their draws; classes, regions and bins only at the most labels."""
        most = max((label_amount(group.key.fraction) for group, _ in drawn), default=0.0)
        for group, draws in drawn:
            kept = (*REGIONS, "metric", "origin")
            shared = {name: value for name, value in shared_columns(group, draws).items() if name in kept}
            for rule in group.rules:
                row = {**shared, **group.arm, "layer": rule}
                if rule in draws.rules:
                    scores, halves = draws.rules[rule], draws.halves[rule]
                    self.row_draws[row_name(row)] = RowDraws(scores.astype(np.float32), halves.astype(np.float32))
                if group.arm["decoder"]:
                    self._add_arms(group, rule, row, draws)
                if rule in draws.details and label_amount(group.key.fraction) == most:
                    self._add_details(group, row, draws.details[rule])

    def _add_arms(self, group: RunGroup, rule: str, row: Mapping[str, object], draws: GroupDraws) -> None:
        runs = zip(group.records, group.digests, group.values(rule), strict=True)
        for place, (record, digest, score) in enumerate(runs):
            run = {"subset": record.key.subset, "seed": record.key.seed, "score": score, "record": digest}
            self.arms.append({**row, **run})
            if rule in draws.arm_draws:
                self.arm_draws[digest, group.split] = draws.arm_draws[rule][place]

    def _add_details(self, group: RunGroup, row: Mapping[str, object], breakdown: Breakdown) -> None:
        runs = breakdown.runs
        if breakdown.classes is not None:
            scores = class_scores(breakdown.classes)
            for place, name in enumerate(group.facts["classes"]):
                of_class = {measure: float(values[place]) for measure, values in scores.items()}
                truth = round(float(breakdown.classes[place, 1]) / runs)
                self.classes.append({**row, "class": name, "truth": truth, **of_class})
        if breakdown.regions is not None and breakdown.names is not None and breakdown.samples is not None:
            for name, count, score in zip(breakdown.names, breakdown.samples, breakdown.regions / runs, strict=True):
                self.regions.append({**row, "region": str(name), "samples": int(count), "score": float(score)})
        if breakdown.bins is not None:
            for place, (count, confidence, right) in enumerate(breakdown.bins.T):
                means = {"confidence": confidence / count, "accuracy": right / count} if count else {}
                self.calibration.append({**row, "bin": place, "count": int(count), **means})

    def frame(self, rows: list[dict[str, object]], columns: Sequence[str]) -> pd.DataFrame:
        """Return rows as a frame, sorted by the columns that name a row, so that the order of records is irrelevant."""
        frame = pd.DataFrame(rows, columns=list(columns))
        names = [name for name in (*ROW, *ARM, "subset", "seed") if name in columns]
        return frame.sort_values(list(dict.fromkeys(names)), kind="stable", ignore_index=True)
