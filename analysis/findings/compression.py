"""The compression study from its records: one row per arm and budget, and a verdict with its interval per claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from analysis.statistics.intervals import RESAMPLES
from analysis.statistics.paired_seeds import SeedInterval, seed_interval
from analysis.tables.bootstrap import draw
from analysis.tables.per_sample import class_scores
from analysis.tables.run_groups import RunGroup, grouped
from analysis.tables.source import RecordSource
from bench.core import Record, canonical
from bench.metrics import direction_sign

PROTOCOL = "compress"
FEWEST_SEEDS = 3
OWN_SETTINGS = ("arms", "budgets")
RECOVERED = "recovered"
"""Stands for the pruning method with recovery whose score on validation is best, at the budget of the claim."""
BARE = "bare"
"""Stands for the same method without recovery."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement about arms: a sum of their scores, each with a factor, is above 0.

    Attributes:
        text: the statement.
        factors: arm -> factor.
    """

    text: str
    factors: Mapping[str, float]


CLAIMS = (
    Claim(text="fine-tuning the teacher beats its head alone", factors={"teacher": 1, "head_only": -1}),
    Claim(text="recovery adds to pruning", factors={RECOVERED: 1, BARE: -1}),
    Claim(text="pruning with recovery beats the student on task loss alone", factors={RECOVERED: 1, "student": -1}),
    Claim(text="pruning with recovery beats the small pretrained network",
          factors={RECOVERED: 1, "small_pretrained": -1}),
    Claim(text="pruning with recovery beats the whole teacher with its head alone trained",
          factors={RECOVERED: 1, "head_only": -1}),
    Claim(text="structured pruning beats width slicing, neither of them retrained",
          factors={"structured": 1, "width": -1}),
    Claim(text="the pretrained init adds to the student", factors={"student": 1, "student_random": -1}),
    Claim(text="weight selection beats random init", factors={"weight_selection": 1, "student_random": -1}),
    Claim(text="distillation adds to its pretrained init", factors={"student_distilled": 1, "student": -1}),
    Claim(text="distillation adds to random init", factors={"student_random_distilled": 1, "student_random": -1}),
    Claim(text="the pretrained init adds more than distillation does",
          factors={"student": 2, "student_random": -1, "student_distilled": -1}),
    Claim(text="pretraining adds to the small network", factors={"small_pretrained": 1, "small_scratch": -1}),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """Runs of one arm at one budget.

    Attributes:
        arm, what, budget: its name, it in words, the share kept (``""`` for arms without a budget).
        records: one per seed that succeeded.
        scores: seed -> test score.
        draws: seed -> test score in resamples of the test set, (B,).
        interval: of the score.
        kept: share of the teacher's score kept, paired by seed; NaN where that has no meaning.
        validation: mean score on validation.
        costs: mean of each cost over seeds.
        ece: mean calibration error; NaN where there is none.
        likeness: similarity to the teacher by relative depth, mean over seeds: (depth, CKA).
        classes: score of each class.
        failed: errors of runs that failed.
    """

    arm: str
    what: str
    budget: str
    records: tuple[Record, ...]
    scores: Mapping[int, float]
    draws: Mapping[int, np.ndarray] = field(repr=False)
    interval: SeedInterval
    kept: SeedInterval
    validation: float
    costs: Mapping[str, float]
    ece: float
    likeness: Sequence[tuple[float, float]]
    classes: Mapping[str, float]
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim, tested.

    Attributes:
        claim, budget: what was tested, and at which share kept.
        arms: those compared, in words.
        difference: with its paired interval; None where it was not tested.
        text: ``supported``, ``not supported``, ``not supported: the opposite holds`` or ``not tested: why``.
    """

    claim: str
    budget: str
    arms: str
    difference: SeedInterval | None
    text: str


@dataclass(frozen=True, kw_only=True)
class CompressionStudy:
    """All arms of one teacher on one task under one set of settings.

    Attributes:
        suite, task, teacher, small: names.
        settings: what all arms share.
        metric_label, metric, direction: of the score.
        generated: whether the data were made by a program.
        samples: of the test set.
        rows: by arm and budget.
        verdicts: one per claim and budget.
        class_measure: name of the score in `ArmRow.classes`.
    """

    suite: str
    task: str
    teacher: str
    small: str
    settings: Mapping[str, object]
    metric: str
    metric_label: str
    direction: str
    generated: bool
    samples: int
    rows: Sequence[ArmRow]
    verdicts: Sequence[Verdict]
    class_measure: str


def compression_studies(source: RecordSource, records: Mapping[str, Record]) -> list[CompressionStudy]:
    """Return the compression studies of a suite, from its records only.

    Args:
        source: where their arrays are.
        records: of the suite, by digest; those of other protocols are ignored.
    """
    own = {digest: record for digest, record in records.items() if record.key.protocol == PROTOCOL}
    studies = []
    for _, digests in sorted(grouped(own, lambda digest: _study_name(own[digest])).items(), key=str):
        members = {digest: own[digest] for digest in digests}
        teachers = sorted({record.key.model for record in members.values() if not _is_small(record)})
        for teacher in teachers:
            of_teacher = {d: r for d, r in members.items() if _is_small(r) or r.key.model == teacher}
            if any(record.status == "ok" for record in of_teacher.values()):
                studies.append(_study(source, teacher, of_teacher))
    return studies


def _arm(record: Record) -> tuple[str, str]:
    arm = record.facts["arm"]
    return str(arm["compression"]), str(arm["budget"])


def _is_small(record: Record) -> bool:
    return _arm(record)[0].startswith("small_")


def _shared_settings(record: Record) -> dict[str, object]:
    return {name: value for name, value in record.key.settings.items() if name not in OWN_SETTINGS}


def _study_name(record: Record) -> tuple[object, ...]:
    key = record.key
    return (key.task, key.fraction, key.split_hash, key.protocol_version, canonical(_shared_settings(record)))


def _study(source: RecordSource, teacher: str, records: Mapping[str, Record]) -> CompressionStudy:
    by_arm = grouped(records, lambda digest: _arm(records[digest]))
    groups = {}
    for name, digests in by_arm.items():
        ok = sorted((d for d in digests if records[d].status == "ok"), key=lambda d: records[d].key.seed)
        if ok:
            groups[name] = RunGroup(
                task=records[ok[0]].key.task,
                split="test",
                variant="",
                protocol_settings="",
                # Their curves are similarities to the teacher, not scores by layer, which `draw` takes curves for.
                records=tuple(replace(records[d], curves=()) for d in ok),
                digests=tuple(ok),
            )
    drawn = dict(zip(groups, draw(source, list(groups.values()), RESAMPLES), strict=True))
    rows = []
    reference: ArmRow | None = None
    for name in sorted(by_arm, key=_order):
        failed = tuple(records[d].error for d in by_arm[name] if records[d].status == "failed")
        if name not in groups:
            continue
        group, rule = groups[name], groups[name].rules[0]
        resampled = drawn[name].arm_draws.get(rule, [np.empty(0)] * len(group.digests))
        row = _row(
            name,
            group,
            [records[digest] for digest in group.digests],
            [np.asarray(each, np.float64) for each in resampled],
            reference,
            failed,
            drawn[name].details.get(rule),
        )
        reference = row if name[0] == "teacher" else reference
        rows.append(row)
    first = next(iter(groups.values()))
    small = sorted({record.key.model for record in records.values() if _is_small(record)})
    return CompressionStudy(
        suite=first.key.suite,
        task=first.key.task,
        teacher=teacher,
        small=", ".join(small),
        settings=_shared_settings(first.records[0]),
        metric=first.metric,
        metric_label=str(first.facts.get("metric_label", first.metric)),
        direction=str(first.facts["direction"]),
        generated=bool(first.facts.get("generated")),
        samples=max(each.samples for each in drawn.values()),
        rows=rows,
        verdicts=verdicts(rows, direction_sign(str(first.facts["direction"]))),
        class_measure=_class_measure(first),
    )


def _order(name: tuple[str, str]) -> tuple[int, float, str]:
    """Return the place of an arm: the teacher first, then its head alone, budgets from large to small, then others."""
    first = {"teacher": 0, "head_only": 1}.get(name[0], 3 if name[0].startswith("small_") else 2)
    return first, -float(name[1] or 0), name[0]


def _class_measure(group: RunGroup) -> str:
    return "iou" if group.facts["kind"] in ("segmentation", "change") else "recall"


def _row(
    name: tuple[str, str],
    group: RunGroup,
    records: Sequence[Record],
    resampled: Sequence[np.ndarray],
    teacher: ArmRow | None,
    failed: tuple[str, ...],
    details: object,
) -> ArmRow:
    """Return the row of an arm; `teacher` is that of the teacher, None for the teacher itself."""
    rule = group.rules[0]
    seeds = [record.key.seed for record in records]
    scores = dict(zip(seeds, group.values(rule), strict=True))
    draws = dict(zip(seeds, resampled, strict=True))
    whole, whole_draws = (teacher.scores, teacher.draws) if teacher else (scores, draws)
    shared = [seed for seed in scores if seed in whole]
    kept = SeedInterval(mean=np.nan, low=np.nan, high=np.nan, seeds=0)
    if shared and group.facts["direction"] == "max" and all(whole[seed] > 0 for seed in shared):
        ratios = np.array([scores[seed] / whole[seed] for seed in shared])
        drawn = all(len(draws[seed]) == len(whole_draws[seed]) for seed in shared)
        shares = [draws[seed] / np.maximum(whole_draws[seed], 1e-9) for seed in shared] if drawn else []
        kept = seed_interval(ratios, _joined(shares))
    names = sorted({cost for record in records for cost in record.cost})
    depths: dict[float, list[float]] = {}
    for record in records:
        for layer in record.curves:
            depths.setdefault(float(layer["depth"]), []).append(float(layer["cka"]))
    sums = getattr(details, "classes", None)
    by_class = class_scores(sums)[_class_measure(group)] if sums is not None else ()
    return ArmRow(
        arm=name[0],
        what=str(group.facts["arm"]["what"]),
        budget=name[1],
        records=tuple(records),
        scores=scores,
        draws=draws,
        interval=seed_interval(np.array(list(scores.values())), _joined(list(draws.values()))),
        kept=kept,
        validation=float(np.mean([record.choices[rule]["val"] for record in records])),
        costs={cost: float(np.mean([record.cost.get(cost, np.nan) for record in records])) for cost in names},
        ece=float(np.mean(group.values(rule, "ece"))),
        likeness=[(depth, float(np.mean(values))) for depth, values in sorted(depths.items())],
        classes=dict(zip(map(str, group.facts["classes"]), map(float, by_class), strict=False)),
        failed=failed,
    )


def _joined(draws: Sequence[np.ndarray]) -> np.ndarray:
    """Return draws of several seeds as columns; none where one has none."""
    return np.stack(draws, 1) if draws and all(len(each) for each in draws) else np.empty((0, len(draws)))


def verdicts(rows: Sequence[ArmRow], sign: float) -> list[Verdict]:
    """Return the verdict of every claim at every budget.

    Args:
        rows: of one study.
        sign: 1 where a higher score is better, -1 where a lower one is.
    """
    by_name = {(row.arm, row.budget): row for row in rows}
    budgets = sorted({row.budget for row in rows if row.budget}, key=float, reverse=True) or [""]
    results = []
    for claim, budget in product(CLAIMS, budgets):
        of_claim = _factors(claim, by_name, budget, sign)
        fixed = all(not by_name[name, ""].budget for name in of_claim if (name, "") in by_name)
        everywhere = fixed and all((name, "") in by_name for name in of_claim)
        if everywhere and budget != budgets[0]:
            continue
        results.append(_verdict(claim, "" if everywhere else budget, of_claim, by_name, sign))
    return results


def _factors(claim: Claim, by_name: Mapping[tuple[str, str], ArmRow], budget: str, sign: float) -> dict[str, float]:
    """Return a claim's factors with the best pruning method on validation in place of `RECOVERED` and `BARE`."""
    if RECOVERED not in claim.factors:
        return dict(claim.factors)
    recovered = [row for (arm, share), row in by_name.items() if arm.endswith("_recovered") and share == budget]
    if not recovered:
        return dict(claim.factors)
    best = max(recovered, key=lambda row: sign * row.validation).arm
    names = {RECOVERED: best, BARE: best.removesuffix("_recovered")}
    return {names.get(arm, arm): factor for arm, factor in claim.factors.items()}


def _verdict(
    claim: Claim,
    budget: str,
    factors: Mapping[str, float],
    by_name: Mapping[tuple[str, str], ArmRow],
    sign: float,
) -> Verdict:
    rows = {arm: by_name.get((arm, budget)) or by_name.get((arm, "")) for arm in factors}
    text = " ".join(f"{'+' if factor > 0 else '-'} {'' if abs(factor) == 1 else f'{abs(factor):g} '}{arm}"
                    for arm, factor in factors.items()).removeprefix("+ ")  # fmt: skip
    known = {arm: row for arm, row in rows.items() if row is not None}
    if missing := [arm for arm in factors if arm not in known]:
        named = ", ".join("a pruning method with recovery" if arm == RECOVERED else arm for arm in missing)
        return Verdict(
            claim=claim.text, budget=budget, arms=text, difference=None, text=f"not tested: no run of {named}"
        )
    seeds = sorted(set.intersection(*(set(row.scores) for row in known.values())))
    if len(seeds) < FEWEST_SEEDS:
        count = f"{len(seeds)} paired seed{'' if len(seeds) == 1 else 's'}, {FEWEST_SEEDS} are needed"
        return Verdict(claim=claim.text, budget=budget, arms=text, difference=None, text=f"not tested: {count}")
    values = np.array([sign * sum(factors[arm] * known[arm].scores[seed] for arm in known) for seed in seeds])
    draws = [
        np.sum([sign * factors[arm] * known[arm].draws[seed] for arm in known], axis=0)
        if all(len(known[arm].draws[seed]) for arm in known) else np.empty(0)
        for seed in seeds
    ]  # fmt: skip
    difference = seed_interval(values, _joined(draws))
    if difference.low > 0:
        answer = "supported"
    elif difference.high < 0:
        answer = "not supported: the opposite holds"
    else:
        answer = "not supported"
    return Verdict(claim=claim.text, budget=budget, arms=text, difference=difference, text=answer)
