"""Which figures a suite gets, each with its numbers: one only where it says something."""

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
from analysis.findings.designs import Design, components_frame
from analysis.gallery.classes_and_regions import classes, regions
from analysis.gallery.panels import (
    FEWEST_IN_BIN,
    calibration_charts,
    cost_panels,
    depth_panels,
    label_charts,
    profile_panels,
)
from analysis.gallery.picture import FigureSpec, base, file_name, headline_rows
from analysis.gallery.similarity import drift_pictures, similarity_pictures
from analysis.gallery.single_runs import panel_pictures, training_pictures
from analysis.statistics.ranking import ranks
from analysis.tables.build import Tables
from analysis.tables.columns import CONTROLS
from analysis.tables.formatting import metric_label
from analysis.tables.source import RecordSource


def pictures(
    made: Tables, source: RecordSource, agreed: Agreements | None, designs: Sequence[Design]
) -> list[FigureSpec]:
    """Return the figures of a suite, by task, those of the whole suite last.

    Args:
        made: its tables.
        source: where histories and panels of runs are read.
        agreed: see `analysis.findings.agreement.compare_settings`.
        designs: see `analysis.findings.designs.designs`.
    """
    found = [
        *profiles(made),
        *_depths(made),
        *_labels(made),
        *_costs(made),
        *_calibrations(made),
        *classes(made),
        *regions(made),
        *(FigureSpec(**one) for one in training_pictures(made, source)),
        *(FigureSpec(**one) for one in panel_pictures(made, source)),
    ]
    found.sort(key=lambda one: one.task)  # stable: within a task in the order above
    records = made.records.values()
    alike = [*similarity_pictures(made.suite, source, records), *drift_pictures(made.suite, source, records)]
    return [*found, *_settings(made, agreed), *_variances(made, designs), *alike]


def profiles(made: Tables) -> Iterator[FigureSpec]:
    """Yield the layer profiles of each task with a model of more than one layer."""
    deep = made.layers[made.layers["final_layer_regret"].notna()]
    for task in sorted({base(name) for name in deep["task"]}):
        rows = made.layers[made.layers["task"].map(base) == task]
        yield FigureSpec(
            stem=f"layer_profile_{task}",
            task=task,
            kind="layer profile",
            caption="Test score over relative depth with 95 % bands; the star is the layer chosen on validation, the "
            "dashed line the height of the last.",
            numbers=rows,
            render=partial(profile_of, made, rows, task),
        )


def profile_of(made: Tables, rows: pd.DataFrame, task: str) -> Figure:
    """Return the layer-profile figure of a task's rows of `Tables.layers`."""
    return profile_figure(
        profile_panels(rows),
        title=f"{made.suite} · {task}",
        label=metric_label(rows),
        direction=str(rows["direction"].iloc[0]),
        generated=made.generated,
    )


def _depths(made: Tables) -> Iterator[FigureSpec]:
    deep = made.layers[made.layers["final_layer_regret"].notna() & ~made.layers["origin"].isin(CONTROLS)]
    for task in sorted({base(name) for name in deep["task"]}):
        rows = deep[deep["task"].map(base) == task]
        panels = depth_panels(rows)
        if not panels:
            continue
        yield FigureSpec(
            stem=f"depth_{task}",
            task=task,
            kind="depth",
            caption="How much better each layer does on test than the last one (blue: better), at the most labels; the "
            "star is the layer chosen on validation.",
            numbers=rows,
            render=partial(
                depth_figure,
                panels,
                title=f"{made.suite} · {task}: gain over last layer",
                label=metric_label(rows),
                direction=str(rows["direction"].iloc[0]),
                generated=made.generated,
            ),
        )


def _labels(made: Tables) -> Iterator[FigureSpec]:
    for task, rows in headline_rows(made.leaderboard).groupby("task", sort=True):
        charts = label_charts(rows)
        if not charts:
            continue
        yield FigureSpec(
            stem=f"labels_{file_name(str(task))}",
            task=base(str(task)),
            kind="label efficiency",
            caption="Test score over the share of training labels (logarithmic), mean over label subsets with its 95 % "
            "interval over test blocks; few-shot subsets in panels of their own.",
            numbers=rows[[*_NUMBERS, "spread", "subsets"]],
            render=partial(
                label_figure,
                charts,
                title=f"{made.suite} · {task}: label efficiency",
                label=metric_label(rows),
                direction=str(rows["direction"].iloc[0]),
                generated=made.generated,
            ),
        )


_NUMBERS = ("model", "variant", "origin", "protocol", "decoder", "tuning", "layer", "fraction", "score", "low", "high")


def _costs(made: Tables) -> Iterator[FigureSpec]:
    for task, rows in headline_rows(made.leaderboard).groupby("task", sort=True):
        most = rows[rows["fraction"] == rows["fraction"].max()]
        panels = cost_panels(most)
        if not panels:
            continue
        columns = ["parameters", "flops", "image_seconds", "step_seconds", "device"]
        yield FigureSpec(
            stem=f"cost_{file_name(str(task))}",
            task=base(str(task)),
            kind="cost",
            caption="Test score against what the model costs, with 95 % intervals; nothing to the left of the steps is "
            "as good. Models without parameters are left out.",
            numbers=most[[*_NUMBERS, *columns]],
            render=partial(
                cost_figure,
                panels,
                title=f"{made.suite} · {task}: score against cost",
                label=metric_label(most),
                direction=str(most["direction"].iloc[0]),
                generated=made.generated,
            ),
        )


def _calibrations(made: Tables) -> Iterator[FigureSpec]:
    for task, rows in headline_rows(made.calibration).groupby("task", sort=True):
        charts = calibration_charts(rows, made.models)
        if not charts:
            continue
        yield FigureSpec(
            stem=f"calibration_{file_name(str(task))}",
            task=base(str(task)),
            kind="calibration",
            caption="Accuracy over confidence of the predicted class, 15 bins; marks are as large as the share of test "
            f"samples in them, those of fewer than {FEWEST_IN_BIN} are left out. Below the dotted line a model is too "
            "sure of itself.",
            numbers=rows,
            render=partial(
                calibration_figure, charts, title=f"{made.suite} · {task}: calibration", generated=made.generated
            ),
        )


def _settings(made: Tables, agreed: Agreements | None) -> Iterator[FigureSpec]:
    if agreed is None:
        return
    yield from settings_pictures(agreed, made.suite, generated=made.generated)


def settings_pictures(agreed: Agreements, title: str, *, generated: bool) -> list[FigureSpec]:
    """Return the bump chart and the matrix of tau of some settings."""
    place = ranks(agreed.scores)
    numbers = pd.DataFrame(place, index=pd.Index(agreed.flat, name="setting"), columns=list(agreed.models))
    return [
        FigureSpec(
            stem="ranks",
            task="",
            kind="ranks",
            caption="Rank of each model in each setting (task, way of adapting, labels); filled marks are the best, or "
            "not told apart from it.",
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
        ),
        FigureSpec(
            stem="agreement",
            task="",
            kind="agreement",
            caption="Kendall's τ-b between settings below the diagonal (n.s. or °: no more than chance); on grey the τ "
            "that test sets of this size would allow two settings that rank alike (split-half ceiling).",
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
        ),
    ]


def _variances(made: Tables, designs: Sequence[Design]) -> Iterator[FigureSpec]:
    known = [one for one in designs if one.components and np.isfinite([part.share for part in one.components]).any()]
    if not known:
        return
    yield FigureSpec(
        stem="variance",
        task="",
        kind="variance",
        caption="Share of the variance of fine-tuned scores that each choice accounts for. Thick: 95 % interval over "
        "the test samples, for these very levels; thin: over levels like these, which few levels make wide.",
        numbers=components_frame(known),
        render=partial(
            variance_figure,
            {f"{one.task}, {one.fraction:g}": one.components for one in known},
            title=f"{made.suite}: what fine-tuned scores vary with",
            generated=made.generated,
        ),
    )
