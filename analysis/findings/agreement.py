"""Whether settings rank models alike: tau between them against its ceiling, concordance, and who leads where.

A setting is a test set with a way of adapting and a label fraction. Controls take no part: random twins and baselines
are last everywhere, and would make any two settings look alike. Nor do models that one of the settings lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics.power import RankPower, what_ranks_can_show
from analysis.statistics.rank_tests import friedman
from analysis.statistics.ranking import TopChange, agreement, oriented, smallest_telling_tau, top_change
from analysis.statistics.split_half import Ceiling, shared_ceiling, split_half
from analysis.tables.breakdowns import RowDraws
from analysis.tables.columns import CHOSEN, as_rows, label_amount, model_label, row_name
from analysis.tables.formatting import adaptation
from bench.core import label_fraction_text

FEWEST_MODELS = 3  # with two there is one order or the other
MOST_SETTINGS = 24
CONTROLS = ("random", "baseline")
PAIRS = ("first", "second", "tau", "low", "high", "p", "ceiling", "models")


@dataclass(frozen=True, kw_only=True)
class Agreements:
    """How settings agree on models.

    Attributes:
        settings: names, one line a part.
        tasks: test sets among them.
        models: names.
        scores: (settings, models), turned so that more is better.
        leading: (settings, models) whether a model is the best of a setting or not told apart from it.
        tau, low, high, p: (settings, settings); bounds are NaN without draws.
        ceilings: of each setting with itself; None without draws.
        shared: (settings, settings) tau to be expected at most, each setting's own on the diagonal; NaN where unknown.
        w, w_p: Kendall's concordance over all settings, and its permutation p.
        top: how often the top model changes.
        power: what so many models and tasks can show.
        left_out: settings and models that take no part, and why, in words.
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
    left_out: tuple[str, ...]

    @property
    def flat(self) -> tuple[str, ...]:
        """The names of the settings on one line each."""
        return tuple(name.replace("\n", " · ") for name in self.settings)

    def pairs(self) -> pd.DataFrame:
        """Return one row a pair of settings; columns `PAIRS`."""
        names = self.flat
        rows = [
            [names[i], names[j], self.tau[i, j], self.low[i, j], self.high[i, j], self.p[i, j], self.shared[i, j]]
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ]
        return pd.DataFrame([[*row, len(self.models)] for row in rows], columns=list(PAIRS))

    def sentences(self) -> list[str]:
        """Return in words what all this comes to."""
        upper = np.triu_indices(len(self.settings), k=1)
        tau, p, ceiling, high = (part[upper] for part in (self.tau, self.p, self.shared, self.high))
        words = [
            f"{len(self.models)} models are ranked in {len(self.settings)} settings on {self.tasks} test "
            f"set{'s' if self.tasks != 1 else ''}; random twins and baselines take no part.",
            f"Kendall's τ-b between two settings has median {np.nanmedian(tau):.2f} ({np.nanmin(tau):.2f} to "
            f"{np.nanmax(tau):.2f}); {int((p < 0.05).sum())} of {len(tau)} pairs agree beyond chance "
            f"(p < .05, not corrected).",
        ]
        if np.isfinite(ceiling).any():
            known = np.isfinite(ceiling) & np.isfinite(high)
            under = int((high[known] < ceiling[known]).sum())
            words.append(
                f"Test sets of this size would let two settings that rank alike reach a median τ of "
                f"{np.nanmedian(ceiling):.2f} (split-half ceiling); the interval of τ lies below it in {under} of "
                f"{int(known.sum())} pairs."
            )
        if np.isfinite(self.w):
            words.append(
                f"Kendall's W over all settings is {self.w:.2f} (permutation p = {self.w_p:.2g}); 1 is one order "
                "everywhere. Settings that share a test set are no independent judges, so the p is too small."
            )
        bounds = f" [{self.top.low:.0%}, {self.top.high:.0%}]" if np.isfinite(self.top.low) else ""
        order = np.argsort(-self.top.wins, kind="stable")
        lead = ", ".join(f"{self.models[i]} in {self.top.wins[i]:g}" for i in order if self.top.wins[i] > 0)
        words.append(f"The top model is another in {self.top.share:.0%}{bounds} of pairs of settings; it is {lead}.")
        return [*words, *self.power.sentences, *self.left_out]


def compare_settings(board: pd.DataFrame, drawn: Mapping[tuple[Any, ...], RowDraws]) -> Agreements | None:
    """Return how the settings of a leaderboard agree; None where fewer than two share `FEWEST_MODELS` models.

    Args:
        board: a leaderboard, see `analysis.tables.columns.LEADERBOARD`.
        drawn: `Tables.row_draws`, for intervals and ceilings.
    """
    by_setting, left_out = _settings(board)
    chosen, models = largest_table(by_setting, fewest=FEWEST_MODELS)
    if not chosen:
        return None
    lost = [name for name in by_setting if name not in chosen]
    if lost:
        left_out.append(f"Left out for lack of shared models: {_few([name.replace(chr(10), ' · ') for name in lost])}.")
    away = sorted({model for name in chosen for model in by_setting[name]} - set(models))
    if away:
        left_out.append(f"Not in every setting, and so not ranked: {_few(away)}.")
    rows = [[by_setting[name][model] for model in models] for name in chosen]
    scores = np.array([[_up(row) for row in line] for line in rows])
    draws, halves = _drawn(rows, drawn)
    return _agreements(chosen, models, rows, scores, draws, halves, left_out)


def _settings(board: pd.DataFrame) -> tuple[dict[str, dict[str, dict[str, Any]]], list[str]]:
    """Return setting -> model -> row, the settings with most labels kept where there are too many."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    chosen_on_val = set(board.loc[board["layer"] == CHOSEN, "protocol"])
    several = board["suite"].nunique() > 1
    order: dict[str, tuple[Any, ...]] = {}
    for row in as_rows(board[~board["origin"].isin(CONTROLS) & board["score"].notna()]):
        if row["protocol"] in chosen_on_val and row["layer"] != CHOSEN:
            continue
        task = f"{row['suite']} {row['task']}" if several else str(row["task"])
        how = f"{adaptation(row)}, {row['layer']}" if row["protocol"] not in chosen_on_val else adaptation(row)
        name = "\n".join((task, how, label_fraction_text(row["fraction"])))
        found.setdefault(name, {})[model_label(row)] = row
        order[name] = (task, how, -label_amount(row["fraction"]))
    kept = sorted(found, key=lambda name: (order[name][2], order[name][:2]))[:MOST_SETTINGS]
    told = []
    if len(found) > len(kept):
        told.append(f"Of {len(found)} settings the {len(kept)} with most labels are compared.")
    return {name: found[name] for name in sorted(kept, key=lambda name: order[name])}, told


def largest_table(by_setting: Mapping[str, Mapping[str, Any]], *, fewest: int) -> tuple[list[str], list[str]]:
    """Return the settings and models, every model in every setting, that make the largest table.

    Of two settings and `fewest` models at least, else nothing. Looked for among the models of every setting and what
    every two share; of tables of one size the one of more settings.
    """
    sets = {name: frozenset(models) for name, models in by_setting.items()}
    own = list(dict.fromkeys(sets.values()))
    best: tuple[int, int, list[str], list[str]] = (0, 0, [], [])
    for models in dict.fromkeys(one & other for one in own for other in own):
        names = [name for name, there in sets.items() if models <= there]
        shared = sorted(frozenset.intersection(*(sets[name] for name in names))) if names else []
        size = (len(names) * len(shared), len(names))
        if len(names) > 1 and len(shared) >= fewest and size > best[:2]:
            best = (*size, names, shared)
    return best[2], best[3]


def _few(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _up(row: Mapping[str, Any]) -> float:
    return float(oriented(np.array([row["score"]]), str(row["direction"]))[0])


def _drawn(
    rows: Sequence[Sequence[Mapping[str, Any]]], drawn: Mapping[tuple[Any, ...], RowDraws]
) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    """Return draws (resamples, models) and halves (2 splits, models) of each setting; None where a row has none."""
    draws: list[np.ndarray | None] = []
    halves: list[np.ndarray | None] = []
    for line in rows:
        mine = [drawn.get(row_name(row), drawn.get((row["suite"], *row_name(row)))) for row in line]
        sign = -1.0 if line[0]["direction"] == "min" else 1.0
        each = [sign * one.scores.astype(np.float64) for one in mine if one is not None]
        cut = [sign * one.halves.astype(np.float64) for one in mine if one is not None]
        whole = len(each) == len(line) and all(np.isfinite(one).all() for one in each)
        draws.append(np.stack(each, axis=1) if whole else None)
        halves.append(np.stack(cut, axis=1) if whole and all(np.isfinite(one).all() for one in cut) else None)
    return draws, halves


def _agreements(
    names: Sequence[str],
    models: Sequence[str],
    rows: Sequence[Sequence[Mapping[str, Any]]],
    scores: np.ndarray,
    draws: Sequence[np.ndarray | None],
    halves: Sequence[np.ndarray | None],
    left_out: Sequence[str],
) -> Agreements:
    count = len(names)
    rng = np.random.default_rng(0)
    tau, low, high, p = np.ones((count, count)), *(np.full((count, count), np.nan) for _ in range(3))
    ceilings = tuple(None if one is None else split_half(one.reshape(-1, 2, len(models))) for one in halves)
    shared = np.full((count, count), np.nan)
    for i in range(count):
        for j in range(i + 1):
            one, two = ceilings[i], ceilings[j]
            if one is not None and two is not None and np.isfinite(one.full + two.full):
                shared[i, j] = shared[j, i] = one.full if i == j else shared_ceiling(one.full, two.full)
            if i == j:
                continue
            first, second = draws[i], draws[j]
            both = None
            if first is not None and second is not None:
                least = min(len(first), len(second))
                both = (first[:least], second[:least])
            found = agreement(scores[i], scores[j], both, rng=rng)
            for part, value in ((tau, found.tau), (low, found.low), (high, found.high), (p, found.p)):
                part[i, j] = part[j, i] = value
    w = w_p = float("nan")
    if any(len(set(line.tolist())) > 1 for line in scores):
        test = friedman(scores, rng=rng)
        w, w_p = test.w, test.permutation_p
    whole = [one for one in draws if one is not None]
    least = min((len(one) for one in whole), default=0)
    stacked = np.stack([one[:least] for one in whole], axis=1) if len(whole) == count else None
    tests = {(row[0]["suite"], row[0]["task"]) for row in rows}
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
        shared=shared,
        w=w,
        w_p=w_p,
        top=top_change(scores, stacked),
        power=what_ranks_can_show(len(models), len(tests)),
        left_out=tuple(left_out),
    )


def telling(models: int) -> float:
    """Return the smallest tau of so many models that is no chance, for captions; NaN where none is."""
    return smallest_telling_tau(models)
