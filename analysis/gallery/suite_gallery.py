"""The figures of a suite with their numbers; a figure without anything to compare is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.cost import cost_figure
from analysis.figures.curves import calibration_figure, label_figure
from analysis.figures.depth import depth_figure
from analysis.figures.matrix import agreement_figure
from analysis.figures.profiles import profile_figure
from analysis.figures.ranks import bump_figure
from analysis.figures.variance import variance_figure
from analysis.findings.agreement import Agreements
from analysis.findings.compression import CompressionStudy
from analysis.findings.designs import Design, components_frame
from analysis.gallery.alt_text import (
    agreement_alt,
    costs_alt,
    depth_alt,
    lines_alt,
    profiles_alt,
    ranks_alt,
    shares_alt,
)
from analysis.gallery.classes_and_regions import classes, regions
from analysis.gallery.compression import compression_pictures
from analysis.gallery.panels import (
    FEWEST_IN_BIN,
    calibration_charts,
    cost_panels,
    depth_panels,
    label_charts,
    profile_panels,
)
from analysis.gallery.picture import FigureSpec, base, file_name, headline_rows, with_distinct_stems
from analysis.gallery.similarity import drift_pictures, similarity_pictures
from analysis.gallery.single_runs import panel_pictures, training_pictures
from analysis.statistics.ranking import ranks
from analysis.tables.build import Tables
from analysis.tables.columns import CONTROLS, SETTING, first_row, label_amount
from analysis.tables.formatting import metric_label
from analysis.tables.source import RecordSource


def pictures(
    tables: Tables,
    source: RecordSource,
    agreed: Agreements | None,
    designs: Sequence[Design],
    studies: Sequence[CompressionStudy] = (),
) -> list[FigureSpec]:
    """Return the figures of a suite by task, followed by those of the whole suite.

    Args:
        tables: tables of the suite.
        source: store of training histories and images of runs.
        agreed: see `analysis.findings.agreement.compare_settings`.
        designs: see `analysis.findings.designs.designs`.
        studies: see `analysis.findings.compression.compression_studies`.
    """
    of_tasks = [
        *profiles(tables),
        *_depths(tables),
        *_labels(tables),
        *_costs(tables),
        *_calibrations(tables),
        *classes(tables),
        *regions(tables),
        *training_pictures(tables, source),
        *panel_pictures(tables, source),
        *compression_pictures(studies),
    ]
    of_tasks.sort(key=lambda picture: picture.task)  # stable: within a task in the order above
    records = tables.records.values()
    of_suite = [
        *(settings_pictures(agreed, tables.suite, generated=tables.generated) if agreed else ()),
        *_variances(tables, designs),
        *similarity_pictures(tables.suite, source, records),
        *drift_pictures(tables.suite, source, records),
    ]
    return with_distinct_stems([*of_tasks, *of_suite])


def profiles(tables: Tables) -> Iterator[FigureSpec]:
    """Yield the layer profiles of each task with a model of more than one layer."""
    deep = tables.layers[tables.layers["final_layer_regret"].notna()]
    for task in sorted({base(name) for name in deep["task"]}):
        rows = tables.layers[tables.layers["task"].map(base) == task]
        yield FigureSpec(
            stem=f"layer_profile_{file_name(task)}",
            task=task,
            kind="layer profile",
            caption="Test score over relative depth with 95 % bands. Star: the layer chosen on validation; dashed line "
            "from it: the score of the last layer.",
            numbers=rows,
            render=partial(profile_of, tables, rows, task),
            alt=profiles_alt(profile_panels(rows), metric_label(first_row(rows))),
        )


def profile_of(tables: Tables, rows: pd.DataFrame, task: str) -> Figure:
    """Return the layer-profile figure of a task's rows of `Tables.layers`."""
    first = first_row(rows)
    return profile_figure(
        profile_panels(rows),
        title=f"{tables.suite} · {task}",
        label=metric_label(first),
        direction=str(first["direction"]),
        generated=tables.generated,
    )


def _depths(tables: Tables) -> Iterator[FigureSpec]:
    deep = tables.layers[tables.layers["final_layer_regret"].notna() & ~tables.layers["origin"].isin(CONTROLS)]
    for task in sorted({base(name) for name in deep["task"]}):
        rows = deep[deep["task"].map(base) == task]
        panels = depth_panels(rows)
        if not panels:
            continue
        first = first_row(rows)
        yield FigureSpec(
            stem=f"depth_{file_name(task)}",
            task=task,
            kind="depth",
            caption="Test score of each layer minus that of the last layer (blue: better), at the most labels. Star: "
            "the layer chosen on validation.",
            numbers=rows,
            render=partial(
                depth_figure,
                panels,
                title=f"{tables.suite} · {task}: gain over the last layer",
                label=metric_label(first),
                direction=str(first["direction"]),
                generated=tables.generated,
            ),
            alt=depth_alt(panels, metric_label(first)),
        )


def _labels(tables: Tables) -> Iterator[FigureSpec]:
    for task, rows in headline_rows(tables.leaderboard).groupby("task", sort=True):
        charts = label_charts(rows)
        if not charts:
            continue
        first = first_row(rows)
        yield FigureSpec(
            stem=f"labels_{file_name(str(task))}",
            task=base(str(task)),
            kind="label efficiency",
            caption="Test score over the share of training labels (logarithmic axis), mean over label subsets, with "
            "its 95 % interval over test blocks. Few-shot subsets are in separate panels.",
            numbers=rows[[*_NUMBERS, "spread", "subsets"]],
            render=partial(
                label_figure,
                charts,
                title=f"{tables.suite} · {task}: label efficiency",
                label=metric_label(first),
                direction=str(first["direction"]),
                generated=tables.generated,
            ),
            alt=lines_alt(charts, f"test {metric_label(first)}", "the share of training labels"),
        )


_NUMBERS = ("model", "variant", "origin", *SETTING, "fraction", "score", "low", "high")


def _costs(tables: Tables) -> Iterator[FigureSpec]:
    for task, rows in headline_rows(tables.leaderboard).groupby("task", sort=True):
        most = rows[rows["fraction"] == max(rows["fraction"], key=label_amount)]
        panels = cost_panels(most)
        if not panels:
            continue
        first = first_row(most)
        yield FigureSpec(
            stem=f"cost_{file_name(str(task))}",
            task=base(str(task)),
            kind="cost",
            caption="Test score over the cost of the model, with 95 % intervals. Steps: the best score at or below "
            "each cost. Models without parameters are not shown.",
            numbers=most[[*_NUMBERS, "parameters", "flops", "image_seconds", "step_seconds", "device"]],
            render=partial(
                cost_figure,
                panels,
                title=f"{tables.suite} · {task}: score over cost",
                label=metric_label(first),
                direction=str(first["direction"]),
                generated=tables.generated,
            ),
            alt=costs_alt(panels, metric_label(first), str(first["direction"])),
        )


def _calibrations(tables: Tables) -> Iterator[FigureSpec]:
    for task, rows in headline_rows(tables.calibration).groupby("task", sort=True):
        charts = calibration_charts(rows, tables.models)
        if not charts:
            continue
        yield FigureSpec(
            stem=f"calibration_{file_name(str(task))}",
            task=base(str(task)),
            kind="calibration",
            caption="Accuracy over confidence of the predicted class, 15 bins. The area of a mark is the share of test "
            f"samples in the bin; bins with fewer than {FEWEST_IN_BIN} samples are not shown. Below the dotted line a "
            "model is overconfident.",
            numbers=rows,
            render=partial(
                calibration_figure, charts, title=f"{tables.suite} · {task}: calibration", generated=tables.generated
            ),
            alt=lines_alt(charts, "accuracy", "confidence"),
        )


def settings_pictures(agreed: Agreements, title: str, *, generated: bool) -> list[FigureSpec]:
    """Return the bump chart and the matrix of tau of the settings compared."""
    place = ranks(agreed.scores)
    numbers = pd.DataFrame(place, index=pd.Index(agreed.flat, name="setting"), columns=list(agreed.models))
    return [
        FigureSpec(
            stem="ranks",
            task="",
            kind="ranks",
            caption="Rank of each model in each setting (task, adaptation, labels). Filled marks: the best model and "
            "those statistically tied with it.",
            numbers=numbers.reset_index(),
            render=partial(
                bump_figure,
                place,
                agreed.settings,
                agreed.models,
                agreed.leading,
                title=f"{title}: ranks across settings",
                generated=generated,
            ),
            alt=ranks_alt(place, agreed.models),
        ),
        FigureSpec(
            stem="agreement",
            task="",
            kind="agreement",
            caption="Below the diagonal: Kendall's τ-b between settings (n.s. or °: p ≥ .05). On grey: the split-half "
            "ceiling, the τ to be expected of two settings that rank alike, given the size of their test sets.",
            numbers=agreed.pairs(),
            render=partial(
                agreement_figure,
                agreed.flat,
                agreed.tau,
                agreed.p,
                agreed.shared,
                title=f"{title}: agreement on {len(agreed.models)} models",
                generated=generated,
            ),
            alt=agreement_alt(agreed.tau),
        ),
    ]


def _variances(tables: Tables, designs: Sequence[Design]) -> Iterator[FigureSpec]:
    known = [each for each in designs if np.isfinite([part.share for part in each.components]).any()]
    if not known:
        return
    first = known[0]
    yield FigureSpec(
        stem="variance",
        task="",
        kind="variance",
        caption="Share of the variance of fine-tuned scores due to each choice. Thick: 95 % interval over test "
        "samples, levels fixed. Thin: for a new sample of levels and seeds, wide with few levels.",
        numbers=components_frame(known),
        render=partial(
            variance_figure,
            {f"{each.task}, {each.fraction:g}": each.components for each in known},
            title=f"{tables.suite}: variance of fine-tuned scores",
            generated=tables.generated,
        ),
        alt=f"{first.task}: {shares_alt((part.effect, part.share) for part in first.components)}",
    )
