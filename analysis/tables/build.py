"""Records -> tidy frames: the leaderboard, the layer profiles, and the breakdowns of their rows.

Column names are in `analysis.tables.columns`. Findings, figures and reports read these frames only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from analysis.processes import ForkedWork
from analysis.statistics.depth_profiles import holm
from analysis.statistics.intervals import RESAMPLES
from analysis.tables.bootstrap import GroupDraws, draw
from analysis.tables.breakdowns import Breakdowns, RowDraws
from analysis.tables.columns import ARMS, CALIBRATION, CLASSES, LAYERS, LEADERBOARD, REGIONS, MutableRow
from analysis.tables.experiments import Card, cards
from analysis.tables.layers import layer_rows
from analysis.tables.leaderboard import board_order, leaderboard_row, rank_rows
from analysis.tables.provenance import failures_of, models_of, provenance_of
from analysis.tables.run_groups import RunGroup, grouped, run_groups
from analysis.tables.source import RecordSource, read_suite
from analysis.tables.twins import merge_twins
from bench.core import Record

MOST_DRAWING = 4  # processes: each holds the outcomes of a test set


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The content of a suite's report, as frames.

    Attributes:
        leaderboard: one row per task, model, setting and label fraction; columns `LEADERBOARD`. An out-of-region split
            is the task ``name@split``. ``score`` is the mean over subsets and seeds, ``low`` and ``high`` the bootstrap
            interval of that mean over test samples, ``spread`` the standard deviation over subsets and seeds.
            ``standing`` is ``best``, or ``tie`` if the paired interval of the difference to the best row of the same
            task, setting and fraction includes 0. ``twins`` are further models with the same random network.
        layers: one row per task, model, protocol, fraction and layer; columns `LAYERS`. A positive
            ``final_layer_regret`` means that the last layer is worse than the one chosen on validation;
            ``regret_p_holm`` is corrected over all run groups. ``peak_depth`` is the depth of the best layer on test
            with its interval, ``peak_chance`` the share of resamples in which this layer is the best.
        models: one row per model; columns `MODELS`.
        failures: one row per failed run; columns `FAILURES`.
        classes, regions, calibration: one row per class, region and bin of confidence of each leaderboard row at the
            most labels of its task; columns `CLASSES`, `REGIONS`, `CALIBRATION`.
        arms: one row per fine-tuned run and test split; columns `ARMS`.
        suite, title: name and title of the suite.
        generated: whether its data were made by a program.
        provenance: versions of data, protocols and software, each with all values that occur.
        replay: the commands that made the records.
        cards: for each command what it made, with everything needed to make it again.
        left_out: why records were left out, one text per record.
        row_draws: name of a leaderboard row (`row_name`) -> its bootstrap draws and halves, to compare settings.
        arm_draws: digest and split of a fine-tuned run -> its draws.
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
    left_out: Sequence[str]
    row_draws: Mapping[tuple[object, ...], RowDraws] = field(repr=False)
    arm_draws: Mapping[tuple[str, str], np.ndarray] = field(repr=False)
    records: Mapping[str, Record] = field(repr=False)


def tables(source: RecordSource, suite: str, *, resamples: int = RESAMPLES, processes: int = 0) -> Tables:
    """Return the tables of a suite, from its records only; equal records give equal tables.

    Args:
        source: where the records are.
        suite: its name.
        resamples: bootstrap resamples of each test set.
        processes: further processes that draw resamples, see `analysis.processes.spare_processes`.
    """
    by_digest, left_out = read_suite(source, suite)
    records = list(by_digest.values())
    groups = merge_twins(run_groups(by_digest), source)
    board, profiles, breakdowns = _rows(source, groups, resamples, min(processes, MOST_DRAWING))
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
        cards=cards(by_digest),
        left_out=left_out,
        classes=breakdowns.frame(breakdowns.classes, CLASSES),
        regions=breakdowns.frame(breakdowns.regions, REGIONS),
        calibration=breakdowns.frame(breakdowns.calibration, CALIBRATION),
        arms=breakdowns.frame(breakdowns.arms, ARMS),
        row_draws=breakdowns.row_draws,
        arm_draws=breakdowns.arm_draws,
        records=by_digest,
    )


def _rows(
    source: RecordSource, groups: Sequence[RunGroup], resamples: int, processes: int
) -> tuple[list[MutableRow], list[list[MutableRow]], Breakdowns]:
    """Return the sorted rows of the leaderboard, those of the layer table by run group, and the breakdowns."""
    board: list[MutableRow] = []
    profiles: list[list[MutableRow]] = []
    breakdowns = Breakdowns()
    by_test_set = list(grouped(groups, lambda group: group.test_set).values())
    draws = ForkedWork(partial(_draw, source, resamples), by_test_set, processes).results()
    for of_test_set, draws_of in zip(by_test_set, draws, strict=True):
        drawn = list(zip(of_test_set, draws_of, strict=True))
        most = max(each.samples for each in draws_of)
        rows = [
            (leaderboard_row(group, rule, each, most), each.rules.get(rule))
            for group, each in drawn
            for rule in group.rules
        ]
        rank_rows(rows)
        board += [row for row, _ in rows]
        profiles += [layer_rows(group, each) for group, each in drawn if group.has_profile]
        breakdowns.add(drawn)
    board.sort(key=board_order)
    name = ("task", "model", "protocol", "fraction", "variant", "protocol_settings")
    profiles.sort(key=lambda rows: [rows[0][column] for column in name])
    for rows_of, p in zip(profiles, holm([rows[0]["regret_p"] for rows in profiles]), strict=True):
        for row in rows_of:
            row["regret_p_holm"] = p
    return board, profiles, breakdowns


def _draw(source: RecordSource, resamples: int, groups: Sequence[RunGroup]) -> list[GroupDraws]:
    return draw(source, groups, resamples)
