"""Bootstrap draws of run groups, all groups of one test set from shared resamples, and their breakdowns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.statistics.additive_scores import ADDITIVE
from analysis.statistics.depth_profiles import Peak, peak_depth
from analysis.statistics.intervals import RANKED, block_codes, percentile, resample_weights, score_draws
from analysis.statistics.split_half import half_weights
from analysis.tables.per_sample import Breakdown, break_down
from analysis.tables.run_groups import RunGroup, position
from analysis.tables.source import RecordSource, read_arrays
from bench.core import Record, sha256_of

LARGE = 1 << 25  # resampling weights kept as float32 up to this many
HELD = 1 << 29  # bytes of outcomes of one test set that are kept in memory between two passes
SPLITS = 100  # splits of a test set into halves
OUTCOMES = ("target", "prediction", "confidence", "confusion", "errors", "detected", "truth")
PREDICTIONS = {"prediction", "confusion", "errors", "detected"}


@dataclass(kw_only=True)
class GroupDraws:
    """Bootstrap draws of a run group, averaged over its records.

    Attributes:
        rules: layer rule -> score in each resample, (B,).
        halves: layer rule -> score in complementary halves of the test set, (2 `SPLITS`,); see `half_weights`.
        arm_draws: for arms, layer rule -> the draws of each record, (B,), whose mean is in `rules`.
        details: layer rule -> its outcomes by class, region and confidence.
        low, high: 95 % bounds at every layer, (L,).
        peak: depth of the best layer; None for a single layer, or if a score is missing.
        samples, blocks: numbers of samples and of resampling blocks.
        reason: why there are no draws; empty if there are.
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


def draw(source: RecordSource, groups: Sequence[RunGroup], resamples: int) -> list[GroupDraws]:
    """Return the bootstrap draws of run groups that share a test set, all from the same resamples.

    The weights cover the union of the groups' blocks, and their seed is the identity of the test set: adding a model
    does not change the intervals of the others.

    Args:
        source: where the outcomes are.
        groups: of one test set.
        resamples: number of resamples.
    """
    distinct: dict[bytes, np.ndarray] = {}
    blocks_of: dict[str, bytes] = {}
    held: dict[str, dict[str, np.ndarray]] = {}
    room = HELD
    for group in groups:
        for digest, record in zip(group.digests, group.records, strict=True):
            # Opening a file costs more than reading it: all outcomes are read now as long as memory allows.
            outcome = _outcome(source, record, group.split, ("blocks", *OUTCOMES) if room > 0 else ("blocks",))
            blocks = outcome.pop("blocks", None)
            if room > 0:
                held[digest] = outcome
                room -= sum(values.nbytes for values in outcome.values())
            if blocks is not None:
                blocks_of[digest] = hashlib.sha256(f"{blocks.dtype}".encode() + blocks.tobytes()).digest()
                distinct.setdefault(blocks_of[digest], blocks)
    names = np.unique(np.concatenate(list(distinct.values()))) if distinct else np.empty(0, "U1")
    weights = _weights(len(names), resamples, seed=int(sha256_of(groups[0].test_set)[:16], 16))
    codes = {name: block_codes(blocks, names) for name, blocks in distinct.items()}
    shared = _TestSet(
        source=source,
        held=held,
        codes={digest: codes[name] for digest, name in blocks_of.items()},
        names=names,
        weights=weights,
        resamples=resamples,
    )
    # The matrix products of one record are small: BLAS threads mostly wait for one another and double the time.
    with threadpool_limits(1, user_api="blas"):
        return [_draw_group(group, shared) for group in groups]


def _weights(blocks: int, resamples: int, *, seed: int) -> np.ndarray:
    """Return the weights of the resamples, followed by those of the halves, (B + 2 `SPLITS`, blocks)."""
    if not blocks:
        return np.ones((1, 0))
    weights = resample_weights(blocks, resamples, np.random.default_rng(seed))
    if blocks > 1:
        weights = np.concatenate([weights, half_weights(blocks, SPLITS, np.random.default_rng((seed, 1)))])
    return weights.astype(np.float32) if weights.size <= LARGE else weights  # once, not for every record


@dataclass(frozen=True, kw_only=True)
class _TestSet:
    """Shared by all run groups of one test set.

    Attributes:
        source: where the outcomes are.
        held: digest -> outcomes that were read already.
        codes: digest -> index of each sample's block, (n,).
        names: of the blocks.
        weights: see `_weights`.
        resamples: number of resamples among the weights.
    """

    source: RecordSource
    held: dict[str, dict[str, np.ndarray]]
    codes: Mapping[str, np.ndarray]
    names: np.ndarray
    weights: np.ndarray
    resamples: int

    def outcome(self, digest: str, record: Record, split: str) -> dict[str, np.ndarray]:
        """Return the outcomes of a record, and release them."""
        return self.held.pop(digest) if digest in self.held else _outcome(self.source, record, split, OUTCOMES)


def _draw_group(group: RunGroup, shared: _TestSet) -> GroupDraws:
    draws = GroupDraws(samples=int(group.facts.get("n_test", 0)) if group.split == "test" else 0)
    if group.metric not in ADDITIVE and group.metric not in RANKED:
        draws.reason = f"no interval: none is defined for {group.metric}"
        return draws
    total: np.ndarray | float = 0.0
    for digest, record in zip(group.digests, group.records, strict=True):
        outcome = shared.outcome(digest, record, group.split)
        missing = f"no interval: outcomes of {digest} are missing or damaged"
        if digest not in shared.codes or not PREDICTIONS & set(outcome):
            return GroupDraws(reason=missing, samples=draws.samples)
        try:
            total = total + _add_record(draws, group, digest, record, outcome, shared)
        except (ValueError, IndexError, KeyError, TypeError):  # arrays that do not fit together
            return GroupDraws(reason=missing, samples=draws.samples)
    if shared.weights.shape[1] < 2:
        draws.reason = f"no interval: {shared.weights.shape[1]} resampling block, 2 are needed"
    if draws.reason:
        return GroupDraws(reason=draws.reason, samples=draws.samples, blocks=draws.blocks)
    draws.low, draws.high = percentile(np.asarray(total))
    draws.peak = _peak(group, np.asarray(total))
    return draws


def _add_record(
    draws: GroupDraws,
    group: RunGroup,
    digest: str,
    record: Record,
    outcome: Mapping[str, np.ndarray],
    shared: _TestSet,
) -> np.ndarray:
    """Add the draws of one record to those of its group; return its draws at every layer, (B, L), as a share."""
    codes, share = shared.codes[digest], 1 / len(group.records)
    classes, kind = len(group.facts["classes"]), str(group.facts["kind"])
    draws.samples, draws.blocks = max(draws.samples, len(codes)), max(draws.blocks, len(np.unique(codes)))
    places = {rule: position(record, rule) for rule in group.rules}
    points, resampled, halves = _scored(group.metric, outcome, classes, codes, shared)
    stored = [record.scores[group.split][rule].get(group.metric, np.nan) for rule in places]
    if not np.allclose(points[list(places.values())], stored, rtol=1e-3, atol=1e-3, equal_nan=True):
        draws.reason = f"no interval: the stored outcomes of {digest} do not give its stored score"
    for rule, place in places.items():
        draws.rules[rule] = draws.rules.get(rule, 0.0) + resampled[:, place] * share
        draws.halves[rule] = draws.halves.get(rule, 0.0) + halves[:, place] * share
        if group.arm["decoder"]:
            draws.arm_draws.setdefault(rule, []).append(resampled[:, place].astype(np.float32))
        breakdown = break_down(kind, group.metric, outcome, place, classes, codes, shared.names)
        draws.details[rule] = draws.details[rule] + breakdown if rule in draws.details else breakdown
    return resampled * share


def _peak(group: RunGroup, draws: np.ndarray) -> Peak | None:
    """Return where the mean profile of a run group peaks, from its draws (B, L)."""
    curves = [record.curves for record in group.records]
    if not group.has_profile or len(curves[0]) != draws.shape[1] or len(curves[0]) < 2:
        return None
    scores = np.mean([[float(row[group.split]) for row in curve] for curve in curves], axis=0)
    depths = np.array([float(row["depth"]) for row in curves[0]])
    return None if np.isnan(scores).any() else peak_depth(depths, scores, draws, direction=group.facts["direction"])


def _scored(
    metric: str, outcome: Mapping[str, np.ndarray], classes: int, codes: np.ndarray, shared: _TestSet
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a metric at every layer (L,), in every resample (B, L), and in the halves (2 `SPLITS`, L)."""
    weights, resamples = shared.weights, shared.resamples
    if metric in ADDITIVE:  # one matrix product for resamples and halves
        points, draws = score_draws(metric, outcome, classes, codes, weights)
        return points, draws[:resamples], draws[resamples:]
    points, draws = score_draws(metric, outcome, classes, codes, weights[:resamples])
    return points, draws, score_draws(metric, outcome, classes, codes, weights[resamples:])[1]


def _outcome(source: RecordSource, record: Record, split: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return those of the named arrays of a split that are stored and readable."""
    arrays = read_arrays(source, record, [f"{split}.{name}" for name in names])
    return {name.removeprefix(f"{split}."): values for name, values in arrays.items()}
