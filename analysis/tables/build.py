"""Records -> tidy DataFrames: the leaderboard, the layer profiles, and what lies behind them.

Column names are defined here, and in `analysis.tables.provenance` for models and failures; what follows reads these
frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.processes import ForkedWork
from analysis.statistics.depth_profiles import holm
from analysis.statistics.intervals import RESAMPLES
from analysis.tables.bootstrap import GroupDraws, draw
from analysis.tables.breakdowns import Breakdowns, RowDraws
from analysis.tables.columns import ARMS, CALIBRATION, CLASSES, LAYERS, LEADERBOARD, REGIONS
from analysis.tables.experiments import Card, cards
from analysis.tables.layers import layer_rows
from analysis.tables.leaderboard import board_order, leaderboard_row, rank_rows
from analysis.tables.provenance import failures_of, models_of, provenance_of
from analysis.tables.run_groups import RunGroup, grouped, run_groups
from analysis.tables.source import RecordSource
from bench.core import Record

MOST_DRAWING = 4  # processes: each holds the outcomes of a test set


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Everything a report says, as frames.

    Attributes:
        leaderboard: one row a (task, model, protocol, layer rule, fraction); see `LEADERBOARD`. An out-of-region split
            is the task ``name@split``. ``score`` is the mean over subsets and seeds, ``low`` and ``high`` the bootstrap
            interval of that mean over test samples, ``spread`` the standard deviation over subsets and seeds.
            ``standing`` is ``best``, or ``tie`` where the paired interval of the difference to the best row of the same
            task, protocol, rule and fraction holds 0.
        layers: one row a (task, model, protocol, fraction, layer); see `LAYERS`. Positive ``final_layer_regret`` means
            that the last layer is worse than the one chosen on validation; ``regret_p_holm`` corrects over all cells.
            ``peak_depth`` is where the test profile is highest, with its interval; ``peak_chance`` the share of
            resamples in which this layer is the best.
        models: one row a model; see `analysis.tables.provenance.MODELS`.
        failures: one row a failed run; see `analysis.tables.provenance.FAILURES`.
        classes, regions, calibration: one row a class, region and bin of confidence of each leaderboard row at the most
            labels of its task; see `CLASSES`, `REGIONS`, `CALIBRATION`.
        arms: one row a fine-tuned run and test split; see `ARMS`.
        suite, title: which suite.
        generated: its data were made by a program.
        provenance: what made the records: versions of data, protocols and software, each with every value met.
        replay: the commands that made them.
        cards: what each command made, with all that it takes to make it again.
        row_draws: name of a leaderboard row (`row_name`) -> its bootstrap draws and halves, for comparing settings.
        arm_draws: record and split of an arm -> its draws.
        records: by digest.
    """

    leaderboard: pd.DataFrame
    layers: pd.DataFrame
    models: pd.DataFrame
    failures: pd.DataFrame
    suite: str
    title: str
    generated: bool
    provenance: Mapping[str, str]
    replay: Sequence[str]
    classes: pd.DataFrame
    regions: pd.DataFrame
    calibration: pd.DataFrame
    arms: pd.DataFrame
    cards: Sequence[Card]
    row_draws: Mapping[tuple[Any, ...], RowDraws] = field(repr=False)
    arm_draws: Mapping[tuple[str, str], np.ndarray] = field(repr=False)
    records: Mapping[str, Record] = field(repr=False)


def tables(source: RecordSource, suite: str, *, resamples: int = RESAMPLES, processes: int = 0) -> Tables:
    """Return the tables of a suite, from its records alone; equal records give equal tables.

    Args:
        source: where the records are.
        suite: its name.
        resamples: bootstrap resamples of each test set.
        processes: that draw beside this one, see `analysis.processes.spare_processes`.
    """
    named = {record.digest: record for record in source.records(suite)}
    records = list(named.values())
    board: list[dict[str, Any]] = []
    profiles: list[list[dict[str, Any]]] = []
    more = Breakdowns()
    groups = list(grouped(run_groups(named), lambda cell: cell.test_set).values())
    every = ForkedWork(partial(_draw, source, resamples), groups, min(processes, MOST_DRAWING)).results()
    for group, draws_of in zip(groups, every, strict=True):
        drawn = list(zip(group, draws_of, strict=True))
        most = max(draws.samples for _, draws in drawn)
        ranked = [
            (leaderboard_row(cell, rule, one, most), one.rules.get(rule)) for cell, one in drawn for rule in cell.rules
        ]
        rank_rows(ranked)
        board += [row for row, _ in ranked]
        profiles += [layer_rows(cell, draws) for cell, draws in drawn if cell.records[0].curves]
        more.add(drawn)
    board.sort(key=board_order)
    profiles.sort(key=lambda rows: [rows[0][name] for name in ("task", "model", "protocol", "fraction", "variant")])
    for rows, p in zip(profiles, holm([rows[0]["regret_p"] for rows in profiles]), strict=True):
        for row in rows:
            row["regret_p_holm"] = p
    further = sorted({name for row in board for name in row} - set(LEADERBOARD))
    return Tables(
        leaderboard=pd.DataFrame(board, columns=[*LEADERBOARD, *further]),
        layers=pd.DataFrame([row for rows in profiles for row in rows], columns=list(LAYERS)),
        models=models_of(records),
        failures=failures_of(records),
        suite=suite,
        title=next((str(record.facts["title"]) for record in records if record.facts), ""),
        generated=any(record.facts.get("generated") for record in records),
        provenance=provenance_of(records),
        replay=sorted({str(r.environment["command"]) for r in records if "command" in r.environment}),
        cards=cards(named),
        classes=more.frame(more.classes, CLASSES),
        regions=more.frame(more.regions, REGIONS),
        calibration=more.frame(more.calibration, CALIBRATION),
        arms=more.frame(more.arms, ARMS),
        row_draws=more.row_draws,
        arm_draws=more.arm_draws,
        records=named,
    )


def _draw(source: RecordSource, resamples: int, group: Sequence[RunGroup]) -> list[GroupDraws]:
    return draw(source, group, resamples)
