"""The Statistics section in words and tables, as rows of text that Markdown and HTML both print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.agreement import Agreements
from analysis.findings.designs import Design
from analysis.findings.label_efficiency import WAY
from analysis.findings.overall import WAY as OVERALL_WAY
from analysis.findings.overall import Overall
from analysis.statistics.variance_components import RESIDUAL
from analysis.tables.columns import as_rows, label_amount, model_label
from analysis.tables.formatting import HEADLINE, digits, interval, metric_label, number
from bench.core import label_fraction_text

DRIFT = "what tuning changes"
MOST_IN_TEXT = 8  # settings; a larger matrix is left to the figure and its file


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the section: a heading, sentences, and a table of text."""

    heading: str
    sentences: Sequence[str]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def statistics(
    agreed: Agreements | None,
    designs: Sequence[Design] = (),
    drifts: Sequence[str] = (),
    scales: Sequence[str] = (),
    areas: pd.DataFrame | None = None,
    whole: Overall | None = None,
) -> list[Section]:
    """Return the parts of the Statistics section; empty where there is nothing to say.

    Args:
        agreed: how settings agree on models; None where there is nothing to compare.
        designs: variance components of fine-tuned scores.
        drifts: what tuning changes, a sentence a model.
        scales: what decoders of several levels gain over one, a sentence a setting.
        areas: see `analysis.findings.label_efficiency.label_areas`.
        whole: models over several tasks.
    """
    found = []
    if agreed is not None:
        found.append(_agreement(agreed))
    if whole is not None:
        found.append(_overall(whole))
    if areas is not None:
        found += [_efficiency(str(task), rows) for task, rows in areas.groupby("task", sort=True)]
    found += [_variance(one) for one in designs]
    if scales:
        told = "Of each side the arm that validation prefers; 95 % interval of the paired difference over test samples."
        found.append(Section(heading="several levels against one", sentences=[*scales, told]))
    if drifts:
        found.append(Section(heading=DRIFT, sentences=drifts))
    return found


def _agreement(agreed: Agreements) -> Section:
    heading = "agreement between settings"
    names = agreed.flat
    if len(names) > MOST_IN_TEXT:
        return Section(heading=heading, sentences=[*agreed.sentences(), "All pairs are in agreement.csv."])
    rows = []
    for i, name in enumerate(names):
        cells = []
        for j in range(len(names)):
            if i == j:
                own = agreed.ceilings[i]
                cells.append("" if own is None or np.isnan(own.full) else f"({own.full:.2f})")
            elif j < i:
                mark = "" if agreed.p[i, j] < 0.05 else " n.s."
                low, high = agreed.low[i, j], agreed.high[i, j]
                bounds = f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) else ""
                cells.append(f"{agreed.tau[i, j]:.2f}{mark}{bounds}" if np.isfinite(agreed.tau[i, j]) else "")
            else:
                cells.append(f"({agreed.shared[i, j]:.2f})" if np.isfinite(agreed.shared[i, j]) else "")
        rows.append([f"{i + 1} {name}", *cells])
    told = (
        "Kendall's τ-b below the diagonal with its 95 % bootstrap interval; in brackets, on and above it, the τ to be "
        "expected of settings that rank alike, given the size of their test sets."
    )
    head = ["setting", *(str(place + 1) for place in range(len(names)))]
    return Section(heading=heading, sentences=[*agreed.sentences(), told], head=head, rows=rows)


def _overall(whole: Overall) -> Section:
    """Return the table of the way of reading that most models and tasks went, the headline's where there is one."""
    ways = [(way, rows) for way, rows in whole.table.groupby(list(OVERALL_WAY), sort=True)]
    way, mine = max(
        ways,
        key=lambda pair: ((pair[0][0], pair[0][3]) == HEADLINE, label_amount(float(str(pair[0][4]))), len(pair[1])),
    )
    first = mine.iloc[0]
    pooled = first["iqm_tasks"] > 0
    rows = [
        [row["model"], f"{row['mean_rank']:.2f}", interval({"low": row["rank_low"], "high": row["rank_high"]}, 2)]
        + ([number(row["iqm"], 3), interval({"low": row["iqm_low"], "high": row["iqm_high"]}, 3)] if pooled else [])
        for row in as_rows(mine)
    ]
    how = ", ".join(str(part) for part in way[:4] if part)
    labels = label_fraction_text(float(str(way[4])), sentence=True)
    told = [
        f"Mean rank over {first['tasks']} tasks ({how}, {labels}), 1 the best, "
        f"among the {len(mine)} models that all of them have, controls too; 95 % of resamples of the test sets. "
        "A rank tells who is ahead, not by how much. Every way of reading is in overall.csv."
    ]
    if pooled:
        told.append(
            f"IQM: interquartile mean over {first['iqm_tasks']} of the tasks of scores on the frozen ranges "
            f"{first['normaliser']}, in which 0 and 1 are the worst and best run its authors had."
        )
    if mine["rank_low"].isna().all():
        told.append("No interval: one of the test sets has none.")
    if whole.left_out.get(tuple(way)):
        told.append(f"Left out: {whole.left_out[tuple(way)]}.")
    head = ["model", "mean rank", "95 %", *(("IQM", "95 %") if pooled else ())]
    return Section(heading="over all tasks", sentences=told, head=head, rows=rows)


def _efficiency(task: str, rows: pd.DataFrame) -> Section:
    """Return the areas of a task under the way of reading that most models went, the headline's where there is one."""
    ways = list(rows.groupby(list(WAY), sort=True))
    name, mine = max(ways, key=lambda pair: ((pair[0][0], pair[0][3]) == HEADLINE, len(pair[1])))
    decimals, first = digits(mine["area"]), mine.iloc[0]
    table = [
        [
            model_label(row),
            number(row["area"], decimals),
            interval(row, decimals),
        ]
        for row in as_rows(mine)
    ]
    told = (
        f"Mean {metric_label(mine)} over the logarithm of the label fraction ({first['fractions'].replace(' ', ', ')}; "
        f"{', '.join(str(part) for part in name if part)}), so that each doubling of the labels weighs the same; 95 % "
        "interval over test samples. Every way of reading is in label_efficiency.csv."
    )
    return Section(heading=f"label efficiency: {task}", sentences=[told], head=["model", "area", "95 %"], rows=table)


def _variance(design: Design) -> Section:
    rows = []
    for part in design.components:
        drawn = f"[{part.draw_low:.2f}, {part.draw_high:.2f}]" if np.isfinite(part.draw_low) else ""
        wide = f"[{part.low:.2f}, {part.high:.2f}]" if np.isfinite(part.low) else ""
        omega = f"{part.omega:.3f}" if np.isfinite(part.omega) else ""
        share = f"{part.share:.3f}" if np.isfinite(part.share) else "-"
        rows.append([part.effect, f"{part.degrees}", share, drawn, wide, f"{part.eta:.3f}", omega])
    sentences = [
        design.sentence(),
        "Share: variance component over the sum of all, noise taken out. First interval: bootstrap over test samples, "
        "these levels given. Second: over levels and seeds like these, which few levels make wide. η², ω²: shares of "
        "the sum of squares as it is, and without the noise.",
    ]
    if not rows:
        sentences = [design.sentence(), "One run a cell and one factor: nothing can be told from noise."]
    if all(part.effect != RESIDUAL or not part.degrees for part in design.components):
        sentences.append("There is no residual: replicates are missing.")
    head = ["effect", "df", "share", "95 % (test)", "95 % (levels)", "η²", "ω²"]
    return Section(
        heading=f"what fine-tuned scores vary with: {design.task}", sentences=sentences, head=head, rows=rows
    )
