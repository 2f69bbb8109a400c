"""The compression study in words and tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.findings.compression import FEWEST_SEEDS, ArmRow, CompressionStudy
from analysis.report.statistics_text import Section
from analysis.statistics.paired_seeds import SeedInterval
from analysis.tables.formatting import count, digits, number

HEAD = (
    *(
        "arm",
        "budget",
        "seeds",
        "score",
        "share of the teacher's",
        "weights",
        "multiply-adds",
        "batch 1, p50 / p95 (ms)",
    ),
    *("batch 32, p50 / p95 (ms)", "speed at batch 32", "peak memory", "file / compressed", "ECE", "CKA, last layer"),
)


def compression_sections(studies: Sequence[CompressionStudy]) -> list[Section]:
    """Return three sections per study: its arms, its verdicts, and its classes."""
    return [section for study in studies for section in (_arms(study), _verdicts(study), *_classes(study))]


def _title(study: CompressionStudy) -> str:
    mark = " (generated data)" if study.generated else ""
    return f"compression of {study.teacher} on {study.task}{mark}"


def _bounded(value: SeedInterval, decimals: int, *, percent: bool = False) -> str:
    if np.isnan(value.mean):
        return "-"
    factor = 100 if percent else 1
    bounds = (
        ""
        if np.isnan(value.low)
        else f" [{number(factor * value.low, decimals)}, {number(factor * value.high, decimals)}]"
    )
    return f"{number(factor * value.mean, decimals)}{' %' if percent else ''}{bounds}"


def _arms(study: CompressionStudy) -> Section:
    decimals = digits(study.metric, [row.interval.mean for row in study.rows])
    most = [row.costs for row in study.rows if row.costs.get("teacher_steps")]
    teacher = f"{most[0]['teacher_steps']:g}" if most else "no"
    steps = max(row.costs.get("arm_steps", 0.0) for row in study.rows)
    sentences = [
        f"Budget: {steps:g} optimiser steps for every arm and learning rate; {teacher} steps for the teacher, trained "
        "once per seed. Arms without recovery train the head alone, under the same steps. "
        f"Score: {study.metric_label} on {study.samples} test samples, mean over seeds.",
        "Intervals (95 %) hold the noise of the test set and that of the seeds (Student's quantile); the share kept is "
        "paired by seed and sample. Weights: those other than zero. Costs are those of the backbone; latencies were "
        "measured on the machine of the runs, and its load shows in them. Speed: the teacher's median over the arm's, "
        "both timed in turns in one run.",
    ]
    if study.generated:
        sentences.insert(
            0, "Generated data: these scores show that the study works, not what compression does to a model."
        )
    if small := study.small:
        sentences.append(f"Small network: {small}.")
    failed = sorted({f"{row.arm} {row.budget}: {error}" for row in study.rows for error in row.failed})
    sentences += [f"Failed: {text}" for text in failed]
    return Section(
        heading=_title(study), sentences=sentences, head=HEAD, rows=[_cells(row, decimals) for row in study.rows]
    )


def _cells(row: ArmRow, decimals: int) -> list[str]:
    costs = row.costs

    def milliseconds(batch: int) -> str:
        values = [costs.get(f"latency_{batch}_p{share}", np.nan) for share in (50, 95)]
        return " / ".join(f"{1000 * value:.3g}" for value in values)

    speed = costs.get("reference_latency_32_p50", np.nan) / costs.get("latency_32_p50", np.nan)
    return [
        row.arm,
        row.budget or "-",
        str(len(row.records)),
        _bounded(row.interval, decimals),
        _bounded(row.kept, 1, percent=True),
        count(costs.get("weights_left", np.nan)),
        count(costs.get("network_flops", np.nan)),
        milliseconds(1),
        milliseconds(32),
        f"{speed:.2f} x" if speed == speed else "-",
        f"{costs.get('network_peak_bytes', np.nan) / 1e6:.3g} MB",
        f"{costs.get('file_bytes', np.nan) / 1e6:.3g} / {costs.get('file_bytes_compressed', np.nan) / 1e6:.3g} MB",
        number(row.ece, 3),
        number(row.likeness[-1][1], 2) if row.likeness else "-",
    ]


def _verdicts(study: CompressionStudy) -> Section:
    decimals = digits(study.metric, [row.interval.mean for row in study.rows])
    rows = [
        [
            verdict.claim,
            verdict.budget or "-",
            verdict.arms,
            "-" if verdict.difference is None else _bounded(verdict.difference, decimals),
            verdict.text,
        ]
        for verdict in study.verdicts
    ]
    sentences = [
        "A claim is supported if the paired 95 % interval of its difference lies above 0, and not tested with fewer "
        f"than {FEWEST_SEEDS} paired seeds. Positive differences speak for the claim, whatever the metric's direction. "
        "The intervals are not corrected for the number of claims. Pruning with recovery is the method with the best "
        "score on validation.",
    ]
    if study.generated:
        sentences.insert(0, "Generated data: the verdicts hold for these data alone.")
    head = ("claim", "budget", "difference of", "difference", "verdict")
    return Section(heading=f"verdicts: {_title(study)}", sentences=sentences, head=head, rows=rows)


def _classes(study: CompressionStudy) -> list[Section]:
    teacher = next((row for row in study.rows if row.arm == "teacher"), None)
    if teacher is None or len(teacher.classes) < 2:
        return []
    names = list(teacher.classes)
    rows = [["teacher", "-", *(number(teacher.classes[name], 3) for name in names)]]
    for row in study.rows:
        if row is not teacher and row.classes:
            changes = [row.classes[name] - teacher.classes[name] for name in names]
            rows.append([row.arm, row.budget or "-", *(f"{change:+.3f}" for change in changes)])
    measure = {"iou": "intersection over union", "recall": "recall"}[study.class_measure]
    sentence = f"First row: {measure} of the teacher. Other rows: what an arm gains or loses, mean over seeds."
    return [
        Section(heading=f"classes: {_title(study)}", sentences=[sentence], head=("arm", "budget", *names), rows=rows)
    ]
