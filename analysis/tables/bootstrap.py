"""Bootstrap draws of cells, all those of one test set from shared resamples, and what else their outcomes say."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.statistics.additive_scores import ADDITIVE
from analysis.statistics.depth_profiles import Peak, peak_depth
from analysis.statistics.intervals import RANKED, block_codes, percentile, resample_weights, score_draws
from analysis.statistics.split_half import half_weights
from analysis.tables.per_sample import Breakdown, detail
from analysis.tables.run_groups import RunGroup, position
from analysis.tables.source import RecordSource
from bench.core import Record, sha256_of
from bench.core.errors import BenchError

LARGE = 1 << 25  # resampling weights kept as float32 up to this many
HELD = 1 << 29  # bytes of outcomes of one test set kept in memory between the two looks at them
SPLITS = 100  # of a test set in halves
OUTCOMES = ("target", "prediction", "confidence", "confusion", "errors", "detected", "truth")


@dataclass(kw_only=True)
class GroupDraws:
    """Bootstrap draws of a cell, averaged over its records.

    Attributes:
        rules: layer rule -> score in each resample, (B,).
        halves: layer rule -> score in complementary halves of the test set, (2 `SPLITS`,); see `half_weights`.
        arm_draws: of arms, layer rule -> the draws of each record, (B,), which `rules` averages.
        details: layer rule -> what its outcomes say by class, region and confidence.
        low, high: 95 % bounds at every layer, (L,).
        peak: where in depth the profile is highest; None of a single layer, or where a score is missing.
        samples, blocks: what was resampled.
        reason: why there are no draws; empty where there are.
    """

    rules: dict[str, np.ndarray] = field(default_factory=dict)
    halves: dict[str, np.ndarray] = field(default_factory=dict)
    arm_draws: dict[str, list[np.ndarray]] = field(default_factory=dict)
    details: dict[str, Breakdown] = field(default_factory=dict)
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    peak: Peak | None = None
    samples: int = 0
    blocks: int = 0
    reason: str = ""


def draw(source: RecordSource, group: Sequence[RunGroup], resamples: int) -> list[GroupDraws]:
    """Return the bootstrap draws of cells that share a test set, all read from the same resamples.

    The weights cover the union of the cells' blocks, and their seed is the test set's name: a model that joins later
    moves nobody's interval.
    """
    seen: dict[bytes, np.ndarray] = {}
    marks: dict[str, bytes] = {}
    held: dict[str, dict[str, np.ndarray]] = {}
    room = HELD
    for cell in group:
        for digest, record in zip(cell.digests, cell.records, strict=True):
            # Opening a file costs more than reading it, so what there is room for is read now, once.
            outcome = read(source, record, cell.split, ("blocks", *OUTCOMES) if room > 0 else ("blocks",))
            blocks = outcome.pop("blocks", None)
            if room > 0:
                held[digest] = outcome
                room -= sum(values.nbytes for values in outcome.values())
            if blocks is not None:
                marks[digest] = hashlib.sha256(f"{blocks.dtype}".encode() + blocks.tobytes()).digest()
                seen.setdefault(marks[digest], blocks)
    names = np.unique(np.concatenate(list(seen.values()))) if seen else np.empty(0, "U1")
    seed = int(sha256_of(group[0].test_set)[:16], 16)
    weights = _weights(len(names), resamples, seed)
    codes = {mark: block_codes(blocks, names) for mark, blocks in seen.items()}
    where = {digest: codes[mark] for digest, mark in marks.items()}
    shared = _Shared(source=source, held=held, codes=where, names=names, weights=weights, resamples=resamples)
    # The products of a record are too small to share out: threads inside them mostly wait for one another, and were
    # measured to double the time of a report.
    with threadpool_limits(1, user_api="blas"):
        return [_draw_cell(cell, shared) for cell in group]


def _weights(blocks: int, resamples: int, seed: int) -> np.ndarray:
    """Return the weights of the resamples, and below them those of the halves, (B + 2 `SPLITS`, blocks)."""
    if not blocks:
        return np.ones((1, 0))
    weights = resample_weights(blocks, resamples, np.random.default_rng(seed))
    if blocks > 1:
        weights = np.concatenate([weights, half_weights(blocks, SPLITS, np.random.default_rng((seed, 1)))])
    return weights.astype(np.float32) if weights.size <= LARGE else weights  # once, not for every record


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What the cells of one test set have in common: block of each sample by record, names of the blocks, weights."""

    source: RecordSource
    held: dict[str, dict[str, np.ndarray]]
    codes: Mapping[str, np.ndarray]
    names: np.ndarray
    weights: np.ndarray
    resamples: int

    def outcome(self, digest: str, record: Record, split: str) -> dict[str, np.ndarray]:
        """Return the arrays of a record, and let go of them."""
        return self.held.pop(digest) if digest in self.held else read(self.source, record, split, OUTCOMES)


def _draw_cell(cell: RunGroup, shared: _Shared) -> GroupDraws:
    weights, codes = shared.weights, shared.codes
    found = GroupDraws(samples=int(cell.facts.get("n_test", 0)) if cell.split == "test" else 0)
    if cell.metric not in ADDITIVE and cell.metric not in RANKED:
        found.reason = f"no interval: none is defined for {cell.metric}"
        return found
    total: np.ndarray | float = 0.0
    share, classes = 1 / len(cell.records), len(cell.facts["classes"])
    for digest, record in zip(cell.digests, cell.records, strict=True):
        outcome = shared.outcome(digest, record, cell.split)
        if digest not in codes or not {"prediction", "confusion", "errors", "detected"} & set(outcome):
            return GroupDraws(reason=f"no interval: outcomes of {digest} missing or damaged", samples=found.samples)
        where = codes[digest]
        found.samples, found.blocks = max(found.samples, len(where)), max(found.blocks, len(np.unique(where)))
        places = {rule: position(record, rule) for rule in cell.rules}
        points, draws, halves = _scored(cell.metric, outcome, classes, where, weights, shared.resamples)
        stored = [record.scores[cell.split][rule][cell.metric] for rule in places]
        if not np.allclose(points[list(places.values())], stored, rtol=1e-3, atol=1e-3, equal_nan=True):
            found.reason = f"no interval: the stored outcomes of {digest} do not give its stored score"
        total = total + draws * share
        for rule, place in places.items():
            found.rules[rule] = found.rules.get(rule, 0.0) + draws[:, place] * share
            found.halves[rule] = found.halves.get(rule, 0.0) + halves[:, place] * share
            if cell.arm["decoder"]:
                found.arm_draws.setdefault(rule, []).append(draws[:, place].astype(np.float32))
            seen = detail(str(cell.facts["kind"]), cell.metric, outcome, place, classes, where, shared.names)
            found.details[rule] = found.details[rule] + seen if rule in found.details else seen
    if weights.shape[1] < 2:
        found.reason = f"no interval: {weights.shape[1]} resampling block, 2 are needed"
    if found.reason:
        return GroupDraws(reason=found.reason, samples=found.samples, blocks=found.blocks)
    found.low, found.high = percentile(np.asarray(total))
    found.peak = _peak(cell, np.asarray(total))
    return found


def _peak(cell: RunGroup, draws: np.ndarray) -> Peak | None:
    """Return where the mean profile of a cell peaks, from its draws (B, L)."""
    curves = [record.curves for record in cell.records]
    if len(curves[0]) != draws.shape[1] or len(curves[0]) < 2:
        return None
    scores = np.mean([[float(row[cell.split]) for row in curve] for curve in curves], axis=0)
    depths = np.array([float(row["depth"]) for row in curves[0]])
    return None if np.isnan(scores).any() else peak_depth(depths, scores, draws, direction=cell.facts["direction"])


def _scored(
    metric: str, outcome: Mapping[str, np.ndarray], classes: int, where: np.ndarray, weights: np.ndarray, resamples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a metric at every layer (L,), in every resample (B, L), and in the halves (2 `SPLITS`, L)."""
    if metric in ADDITIVE:  # one product serves both
        points, every = score_draws(metric, outcome, classes, where, weights)
        return points, every[:resamples], every[resamples:]
    points, draws = score_draws(metric, outcome, classes, where, weights[:resamples])
    return points, draws, score_draws(metric, outcome, classes, where, weights[resamples:])[1]


def read(source: RecordSource, record: Record, split: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return those of the named arrays of a split that are stored and whole."""
    found = {}
    try:
        arrays = source.arrays(record)
        for name in names:
            if f"{split}.{name}" in arrays:
                found[name] = arrays[f"{split}.{name}"]
    except (BenchError, OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return {}
    return found
