"""Figures of the compression study with their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from analysis.figures.cost import Costs, Point
from analysis.figures.pareto import likeness_figure, pareto_figure
from analysis.findings.compression import ArmRow, CompressionStudy
from analysis.gallery.alt_text import costs_alt
from analysis.gallery.picture import FigureSpec, file_name

COSTS = {
    "weights_left": "weights other than zero",
    "network_flops": "multiply-adds per image",
    "latency_1_p50": "seconds at batch 1 (median)",
    "latency_32_p50": "seconds at batch 32 (median)",
    "network_peak_bytes": "peak memory of a pass (bytes)",
    "file_bytes_compressed": "file, compressed (bytes)",
}
"""Cost of a record -> label of its axis."""


def family(row: ArmRow) -> str:
    """Return the family of an arm, which gives its points their colour."""
    if row.arm in ("teacher", "head_only"):
        return "whole teacher"
    if row.arm.startswith("small_"):
        return "small network"
    if row.arm.startswith(("student", "weight_selection")):
        return "student"
    return "pruned, with recovery" if row.arm.endswith("_recovered") else "pruned, no recovery"


def arm_label(row: ArmRow) -> str:
    """Return the name of a row: its arm, and its budget where it has one."""
    return f"{row.arm} {row.budget}".strip()


def compression_pictures(studies: Sequence[CompressionStudy]) -> Iterator[FigureSpec]:
    """Yield the Pareto figure of every study, and the similarity to its teacher by depth."""
    for study in studies:
        panels = [costs for name, label in COSTS.items() if (costs := _panel(study, name, label)).points]
        title = f"{study.suite} · {study.task} · {study.teacher}"
        if panels:
            yield FigureSpec(
                stem=f"pareto_{file_name(study.task)}_{file_name(study.teacher)}",
                task=study.task,
                kind="Pareto front",
                caption="Test score over the cost of the network, mean over seeds with 95 % intervals. Steps: the best "
                "score at or below each cost. Backbones alone; latencies on the machine of the runs.",
                numbers=numbers(study),
                render=partial(
                    pareto_figure,
                    panels,
                    title=f"{title}: score over cost",
                    label=study.metric_label,
                    direction=study.direction,
                    generated=study.generated,
                ),
                alt=costs_alt(panels, study.metric_label, study.direction),
            )
        curves = [(arm_label(row), row.likeness) for row in study.rows if row.likeness and row.arm != "teacher"]
        if curves:
            last = ", ".join(f"{name} {points[-1][1]:.2f}" for name, points in curves[:8])
            yield FigureSpec(
                stem=f"teacher_cka_{file_name(study.task)}_{file_name(study.teacher)}",
                task=study.task,
                kind="similarity to the teacher",
                caption="Debiased linear CKA of each layer with the layer of nearest relative depth of the fine-tuned "
                "teacher, on validation images, mean over seeds.",
                numbers=pd.DataFrame(
                    [(name, depth, value) for name, points in curves for depth, value in points],
                    columns=["arm", "depth", "cka"],
                ),
                render=partial(
                    likeness_figure, curves, title=f"{title}: similarity to the teacher", generated=study.generated
                ),
                alt=f"CKA with the teacher over relative depth, {len(curves)} lines. At the last layer: {last}.",
            )


def _panel(study: CompressionStudy, name: str, label: str) -> Costs:
    points = [
        Point(
            model=arm_label(row),
            setting=family(row),
            cost=row.costs[name],
            score=row.interval.mean,
            low=row.interval.mean if np.isnan(row.interval.low) else row.interval.low,
            high=row.interval.mean if np.isnan(row.interval.high) else row.interval.high,
        )
        for row in study.rows
        if row.costs.get(name, 0) > 0
    ]
    return Costs(label=label, points=points)


def numbers(study: CompressionStudy) -> pd.DataFrame:
    """Return the table of a study as a frame: one row per arm and budget, with every cost."""
    return pd.DataFrame(
        [
            {
                "arm": row.arm,
                "what": row.what,
                "budget": row.budget,
                "seeds": len(row.records),
                "score": row.interval.mean,
                "low": row.interval.low,
                "high": row.interval.high,
                "kept": row.kept.mean,
                "kept_low": row.kept.low,
                "kept_high": row.kept.high,
                "validation": row.validation,
                "ece": row.ece,
                "cka_last": row.likeness[-1][1] if row.likeness else np.nan,
                "generated": study.generated,
                **row.costs,
            }
            for row in study.rows
        ]
    )
