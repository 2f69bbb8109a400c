"""Whether settings rank models alike: Kendall's tau between them, its ceiling, concordance, and the top models.

A setting is a test set, an adaptation and a label fraction. Controls are excluded: random twins and baselines are last
everywhere and would make any two settings look alike. Models that one of the settings lacks are excluded too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.power import RankPower, rank_power
from analysis.statistics.rank_tests import friedman
from analysis.statistics.ranking import TopChange, agreement, oriented, top_change
from analysis.statistics.split_half import Ceiling, shared_ceiling, split_half
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import (
    AGREEMENT_PAIRS,
    CHOSEN,
    CONTROLS,
    MutableRow,
    as_rows,
    label_amount,
    model_label,
    row_name,
)
from analysis.tables.formatting import adaptation
from bench.core import label_fraction_text
from bench.metrics import direction_sign

FEWEST_MODELS = 3  # two models have only two possible orders
MOST_SETTINGS = 24


@dataclass(frozen=True, kw_only=True)
class Agreements:
    """How far settings agree on the order of models.

    Attributes:
        settings: names, with line breaks between task, adaptation and labels.
        tasks: number of test sets among them.
        models: names.
        scores: (settings, models), oriented so that larger is better.
        leading: (settings, models) whether a model is the best of a setting or statistically tied with it.
        tau, low, high, p: (settings, settings); the bounds are NaN without bootstrap draws.
        ceilings: split-half ceiling of each setting; None without draws.
        shared: (settings, settings) the largest tau to be expected, each setting's own on the diagonal; NaN if unknown.
        w, w_p: Kendall's concordance over all settings, and its permutation p.
        top: how often the top model changes.
        power: what rankings of this many models on this many tasks can show.
        settings_found: number of settings before the limit of `MOST_SETTINGS`.
        settings_left_out: names of settings excluded because they share too few models with the others.
        models_left_out: names of models excluded because a setting lacks them.
    """

    settings: tuple[str, ...]
    tasks: int
    models: tuple[str, ...]
    scores: np.ndarray
    leading: np.ndarray
    tau: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    ceilings: tuple[Ceiling | None, ...]
    shared: np.ndarray
    w: float
    w_p: float
    top: TopChange
    power: RankPower
    settings_found: int
    settings_left_out: tuple[str, ...]
    models_left_out: tuple[str, ...]

    @property
    def flat(self) -> tuple[str, ...]:
        """The names of the settings on one line each."""
        return tuple(_one_line(name) for name in self.settings)

    def pairs(self) -> pd.DataFrame:
        """Return one row per pair of settings; columns `AGREEMENT_PAIRS`."""
        names = self.flat
        rows = [
            [names[i], names[j], self.tau[i, j], self.low[i, j], self.high[i, j], self.p[i, j], self.shared[i, j]]
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ]
        return pd.DataFrame([[*row, len(self.models)] for row in rows], columns=list(AGREEMENT_PAIRS))


def _one_line(setting: str) -> str:
    return setting.replace("\n", " · ")


def compare_settings(board: pd.DataFrame, row_draws: Mapping[tuple[object, ...], RowDraws]) -> Agreements | None:
    """Return how the settings of a leaderboard agree; None if fewer than two share `FEWEST_MODELS` models.

    Args:
        board: a leaderboard, see `analysis.tables.columns.LEADERBOARD`.
        row_draws: see `analysis.tables.build.Tables`; for intervals and ceilings.
    """
    by_setting, settings_found = _settings(board)
    names, models = largest_table(by_setting, fewest=FEWEST_MODELS)
    if not names:
        return None
    rows = [[by_setting[name][model] for model in models] for name in names]
    scores = np.array([[_larger_is_better(row) for row in line] for line in rows])
    draws, halves = _draws_of(rows, row_draws)
    ceilings = tuple(None if each is None else split_half(each.reshape(-1, 2, len(models))) for each in halves)
    rng = np.random.default_rng(0)
    tau, low, high, p = _pairwise(scores, draws, rng)
    w = w_p = float("nan")
    if any(len(set(line.tolist())) > 1 for line in scores):
        test = friedman(scores, rng=rng)
        w, w_p = test.w, test.permutation_p
    tests = {(line[0]["suite"], line[0]["task"]) for line in rows}
    return Agreements(
        settings=tuple(names),
        tasks=len(tests),
        models=tuple(models),
        scores=scores,
        leading=np.array([[row["standing"] in ("best", "tie") for row in line] for line in rows]),
        tau=tau,
        low=low,
        high=high,
        p=p,
        ceilings=ceilings,
        shared=_shared_ceilings(ceilings),
        w=w,
        w_p=w_p,
        top=top_change(scores, _stacked(draws)),
        power=rank_power(len(models), len(tests)),
        settings_found=settings_found,
        settings_left_out=tuple(_one_line(name) for name in by_setting if name not in names),
        models_left_out=tuple(sorted({model for name in names for model in by_setting[name]} - set(models))),
    )


def _settings(board: pd.DataFrame) -> tuple[dict[str, dict[str, MutableRow]], int]:
    """Return setting -> model -> row for the `MOST_SETTINGS` settings with most labels, and how many settings exist."""
    rows_of: dict[str, dict[str, dict[str, object]]] = {}
    chosen_on_val = set(board.loc[board["layer"] == CHOSEN, "protocol"])
    several = board["suite"].nunique() > 1
    order: dict[str, tuple[object, ...]] = {}
    for row in as_rows(board[~board["origin"].isin(CONTROLS) & board["score"].notna()]):
        if row["protocol"] in chosen_on_val and row["layer"] != CHOSEN:
            continue
        task = f"{row['suite']} {row['task']}" if several else str(row["task"])
        how = f"{adaptation(row)}, {row['layer']}" if row["protocol"] not in chosen_on_val else adaptation(row)
        name = "\n".join((task, how, label_fraction_text(row["fraction"])))
        rows_of.setdefault(name, {})[model_label(row)] = row
        order[name] = (task, how, -label_amount(row["fraction"]))
    kept = sorted(rows_of, key=lambda name: (order[name][2], order[name][:2]))[:MOST_SETTINGS]
    return {name: rows_of[name] for name in sorted(kept, key=lambda name: order[name])}, len(rows_of)


def largest_table(by_setting: Mapping[str, Mapping[str, object]], *, fewest: int) -> tuple[list[str], list[str]]:
    """Return the settings and models, every model in every setting, that make the largest table.

    At least two settings and `fewest` models, else two empty lists. Candidates are the models of each setting and the
    models that any two settings share; of two tables of one size the one with more settings is returned.

    Args:
        by_setting: setting -> model -> anything.
        fewest: least number of models.
    """
    sets = {name: frozenset(models) for name, models in by_setting.items()}
    distinct = list(dict.fromkeys(sets.values()))
    best: tuple[int, int, list[str], list[str]] = (0, 0, [], [])
    for models in dict.fromkeys(first & second for first in distinct for second in distinct):
        names = [name for name, available in sets.items() if models <= available]
        shared = sorted(frozenset.intersection(*(sets[name] for name in names))) if names else []
        size = (len(names) * len(shared), len(names))
        if len(names) > 1 and len(shared) >= fewest and size > best[:2]:
            best = (*size, names, shared)
    return best[2], best[3]


def _larger_is_better(row: Mapping[str, object]) -> float:
    return float(oriented(np.array([row["score"]]), str(row["direction"]))[0])


def _draws_of(
    rows: Sequence[Sequence[Mapping[str, object]]], row_draws: Mapping[tuple[object, ...], RowDraws]
) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    """Return draws (resamples, models) and halves (2 splits, models) of each setting; None where a row has none."""
    draws: list[np.ndarray | None] = []
    halves: list[np.ndarray | None] = []
    for line in rows:
        known = [row_draws.get(row_name(row), row_draws.get((row["suite"], *row_name(row)))) for row in line]
        sign = direction_sign(str(line[0]["direction"]))
        scores = [sign * each.scores.astype(np.float64) for each in known if each is not None]
        cut = [sign * each.halves.astype(np.float64) for each in known if each is not None]
        complete = len(scores) == len(line) and all(np.isfinite(values).all() for values in scores)
        draws.append(np.stack(scores, axis=1) if complete else None)
        halves.append(np.stack(cut, axis=1) if complete and all(np.isfinite(half).all() for half in cut) else None)
    return draws, halves


def _stacked(draws: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return the draws of all settings, (resamples, settings, models); None if a setting has none."""
    known = [each for each in draws if each is not None]
    if len(known) < len(draws):
        return None
    least = min(len(each) for each in known)
    return np.stack([each[:least] for each in known], axis=1)


def _pairwise(
    scores: np.ndarray, draws: Sequence[np.ndarray | None], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return tau of every pair of settings, both bounds of its interval and its p, four (settings, settings)."""
    count = len(scores)
    tau, low, high, p = np.ones((count, count)), *(np.full((count, count), np.nan) for _ in range(3))
    for i in range(count):
        for j in range(i):
            first, second = draws[i], draws[j]
            paired = None
            if first is not None and second is not None:
                least = min(len(first), len(second))
                paired = (first[:least], second[:least])
            result = agreement(scores[i], scores[j], paired, rng=rng)
            for part, value in ((tau, result.tau), (low, result.low), (high, result.high), (p, result.p)):
                part[i, j] = part[j, i] = value
    return tau, low, high, p


def _shared_ceilings(ceilings: Sequence[Ceiling | None]) -> np.ndarray:
    """Return the largest tau to be expected of each pair, (settings, settings), each setting's own on the diagonal."""
    shared = np.full((len(ceilings), len(ceilings)), np.nan)
    for i, first in enumerate(ceilings):
        for j, second in enumerate(ceilings[: i + 1]):
            if first is not None and second is not None and np.isfinite(first.full + second.full):
                value = first.full if i == j else shared_ceiling(first.full, second.full)
                shared[i, j] = shared[j, i] = value
    return shared
