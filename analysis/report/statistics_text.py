"""The statistics of a report in words and tables: the one place that turns findings into English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.agreement import Agreements
from analysis.findings.designs import Design
from analysis.findings.drift import DriftAnswer
from analysis.findings.final_layer import FinalLayer
from analysis.findings.overall import Overall
from analysis.statistics.power import RankPower
from analysis.statistics.ranking import tau_tail
from analysis.statistics.variance_components import RESIDUAL
from analysis.tables.columns import SETTING, as_rows, first_row, label_amount, model_label
from analysis.tables.formatting import HEADLINE, adaptation, interval, metric_label, number
from bench.core import label_fraction_text
from bench.core.wording import shortened

DRIFT = "drift under fine-tuning"
MOST_IN_TEXT = 8  # settings; a larger matrix is in the figure and its CSV only


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the statistics: a heading, sentences, and a table of text."""

    heading: str
    sentences: Sequence[str]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def statistics(
    agreed: Agreements | None,
    designs: Sequence[Design] = (),
    drifts: Sequence[DriftAnswer] = (),
    scales: pd.DataFrame | None = None,
    areas: pd.DataFrame | None = None,
    whole: Overall | None = None,
    *,
    decimals: Mapping[str, int] | None = None,
) -> list[Section]:
    """Return the sections on statistics; empty if there is nothing to report.

    Args:
        agreed: agreement of settings on the order of models; None if there is nothing to compare.
        designs: variance components of fine-tuned scores.
        drifts: drift under fine-tuning.
        scales: see `analysis.findings.multiscale.multi_scale`.
        areas: see `analysis.findings.label_efficiency.label_areas`.
        whole: models over several tasks.
        decimals: of each task's scores, see `analysis.tables.formatting.task_digits`.
    """
    sections = []
    if agreed is not None:
        sections.append(_agreement(agreed))
    if whole is not None:
        sections.append(_overall(whole))
    if areas is not None:
        by_task = areas.groupby("task", sort=True)
        sections += [_efficiency(str(task), rows, (decimals or {}).get(str(task), 3)) for task, rows in by_task]
    sections += [_variance(design) for design in designs]
    if scales is not None and len(scales):
        sections.append(_multi_scale(scales))
    if drifts:
        sections.append(Section(heading=DRIFT, sentences=[drift_sentence(each) for each in drifts]))
    return sections


def _agreement(agreed: Agreements) -> Section:
    heading = "agreement between settings"
    names = agreed.flat
    sentences = agreement_sentences(agreed)
    if len(names) > MOST_IN_TEXT:
        return Section(heading=heading, sentences=[*sentences, "All pairs are in agreement.csv."])
    rows = []
    for i, name in enumerate(names):
        cells = []
        for j in range(len(names)):
            if j < i:
                mark = "" if agreed.p[i, j] < 0.05 else " n.s."
                low, high = agreed.low[i, j], agreed.high[i, j]
                bounds = f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) else ""
                cells.append(f"{agreed.tau[i, j]:.2f}{mark}{bounds}" if np.isfinite(agreed.tau[i, j]) else "")
            else:
                cells.append(f"({agreed.shared[i, j]:.2f})" if np.isfinite(agreed.shared[i, j]) else "")
        rows.append([f"{i + 1} {name}", *cells])
    key = (
        "Below the diagonal: Kendall's τ-b with its 95 % bootstrap interval (n.s.: p ≥ .05). In parentheses, on and "
        "above the diagonal: the τ to be expected of settings that rank alike, given the size of their test sets."
    )
    head = ["setting", *(str(place + 1) for place in range(len(names)))]
    return Section(heading=heading, sentences=[*sentences, key], head=head, rows=rows)


def agreement_sentences(agreed: Agreements) -> list[str]:
    """Return the agreement between settings in words."""
    upper = np.triu_indices(len(agreed.settings), k=1)
    tau, p, ceiling, high = (part[upper] for part in (agreed.tau, agreed.p, agreed.shared, agreed.high))
    sentences = [
        f"{len(agreed.models)} models are ranked in {len(agreed.settings)} settings on "
        f"{_count(agreed.tasks, 'test set')}. Random twins and baselines are excluded.",
        f"Kendall's τ-b between two settings: median {np.nanmedian(tau):.2f}, range {np.nanmin(tau):.2f} to "
        f"{np.nanmax(tau):.2f}; {int((p < 0.05).sum())} of {len(tau)} pairs agree significantly (p < .05, not "
        "corrected for the number of pairs).",
    ]
    if np.isfinite(ceiling).any():
        known = np.isfinite(ceiling) & np.isfinite(high)
        sentences.append(
            f"Split-half ceiling: with test sets of this size, two settings that rank alike would reach a median τ of "
            f"{np.nanmedian(ceiling):.2f}; the interval of τ lies below its ceiling in "
            f"{int((high[known] < ceiling[known]).sum())} of {int(known.sum())} pairs."
        )
    if np.isfinite(agreed.w):
        sentences.append(
            f"Kendall's W over all settings: {agreed.w:.2f} (permutation p = {agreed.w_p:.2g}); 1 means one order "
            "everywhere. Settings that share a test set are not independent, so this p is too small."
        )
    top = agreed.top
    bounds = f" [{_percent(top.low)}, {_percent(top.high)}]" if np.isfinite(top.low) else ""
    order = np.argsort(-top.wins, kind="stable")
    leaders = ", ".join(f"{agreed.models[i]} in {top.wins[i]:g}" for i in order if top.wins[i] > 0)
    sentences.append(f"The top model differs in {_percent(top.share)}{bounds} of pairs of settings: {leaders}.")
    sentences += power_sentences(agreed.power)
    if agreed.settings_found > len(agreed.settings) + len(agreed.settings_left_out):
        compared = len(agreed.settings) + len(agreed.settings_left_out)
        sentences.append(f"Of {agreed.settings_found} settings, the {compared} with the most labels are compared.")
    if agreed.settings_left_out:
        sentences.append(f"Excluded, because they share too few models: {shortened(agreed.settings_left_out)}.")
    if agreed.models_left_out:
        sentences.append(f"Not ranked, because some settings lack them: {shortened(agreed.models_left_out)}.")
    return sentences


def power_sentences(power: RankPower) -> list[str]:
    """Return in words what rankings of a number of models over a number of tasks can show."""
    smallest = f"the smallest possible p of {power.pairs} pairs after Holm's correction is {power.smallest_p:.2g}"
    sentences = [f"With {power.models} models on {_count(power.tasks, 'task')}, {smallest} (signed-rank tests)."]
    if power.smallest_p >= power.alpha:
        sentences.append(f"No pair can therefore differ significantly; {power.wilcoxon_tasks} tasks are needed.")
    sentences.append(
        f"Mean ranks differ by at most {power.widest:g}; a difference above {power.critical_difference:.2f} is "
        "significant (Nemenyi)."
    )
    if power.critical_difference >= power.widest:
        sentences.append("A critical-difference diagram cannot separate any two models.")
    elif not power.separates:
        sentences.append("A critical-difference diagram could separate extreme models only; it is not drawn.")
    if np.isnan(power.smallest_tau):
        sentences.append(f"With {power.models} models, even equal orders in two settings are not significant.")
    else:
        p = tau_tail(power.smallest_tau, power.models)
        sentences.append(f"Two settings agree significantly from τ = {power.smallest_tau:.3f} on (exact p = {p:.3g}).")
    return sentences


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _overall(whole: Overall) -> Section:
    """Return the table of the headline setting if there is one, else of the setting with most labels and models."""
    by_key = list(whole.table.groupby([*SETTING, "fraction"], sort=True))

    def preference(pair: tuple[object, pd.DataFrame]) -> tuple[bool, float, int]:
        first = first_row(pair[1])
        return (adaptation(first), first["layer"]) == HEADLINE, label_amount(first["fraction"]), len(pair[1])

    key, chosen = max(by_key, key=preference)
    first = first_row(chosen)
    pooled = first["iqm_tasks"] > 0
    rows = [
        [row["model"], f"{row['mean_rank']:.2f}", interval({"low": row["rank_low"], "high": row["rank_high"]}, 2)]
        + ([number(row["iqm"], 3), interval({"low": row["iqm_low"], "high": row["iqm_high"]}, 3)] if pooled else [])
        for row in as_rows(chosen)
    ]
    setting = ", ".join([adaptation(first), first["layer"], _labels(first["fraction"])])
    sentences = [
        f"Mean rank over {first['tasks']} tasks ({setting}), 1 is the best, among the {len(chosen)} models that all of "
        "these tasks have, controls included. Interval: 95 % of resamples of the test sets. Ranks do not show the size "
        "of a difference. All settings are in overall.csv."
    ]
    if pooled:
        sentences.append(
            f"IQM: interquartile mean of the scores on {first['iqm_tasks']} of these tasks, on the frozen ranges "
            f"{first['normaliser']}: 0 is the worst and 1 the best run of the ranges' authors."
        )
    if chosen["rank_low"].isna().all():
        sentences.append("No interval, because one of the test sets has none.")
    left_out = whole.left_out[tuple(key)]
    for noun, names in (("tasks", left_out.tasks), ("models", left_out.models)):
        if names:
            sentences.append(f"Excluded {noun}, because not all share them: {', '.join(names)}.")
    head = ["model", "mean rank", "95 %", *(("IQM", "95 %") if pooled else ())]
    return Section(heading="over all tasks", sentences=sentences, head=head, rows=rows)


def _labels(fraction: object) -> str:
    return label_fraction_text(float(str(fraction)), sentence=True)


def _efficiency(task: str, rows: pd.DataFrame, decimals: int) -> Section:
    """Return the areas of a task in the headline setting if there is one, else in the setting with most models."""
    by_setting = [part for _, part in rows.groupby(list(SETTING), sort=True)]

    def preference(part: pd.DataFrame) -> tuple[bool, int]:
        first = first_row(part)
        return (adaptation(first), first["layer"]) == HEADLINE, len(part)

    chosen = max(by_setting, key=preference)
    first = first_row(chosen)
    table = [[model_label(row), number(row["area"], decimals), interval(row, decimals)] for row in as_rows(chosen)]
    text = (
        f"Area under the label-efficiency curve: mean {metric_label(first)} over the logarithm of the label fraction "
        f"({first['fractions'].replace(' ', ', ')}; {adaptation(first)}, {first['layer']}). Each doubling of labels "
        "has equal weight. Interval: 95 %, over test samples. All settings are in label_efficiency.csv."
    )
    head = ["model", "area", "95 %"]
    return Section(heading=f"label efficiency: {task}", sentences=[text], head=head, rows=table)


def _variance(design: Design) -> Section:
    rows = []
    for part in design.components:
        over_test = f"[{part.draw_low:.2f}, {part.draw_high:.2f}]" if np.isfinite(part.draw_low) else ""
        over_levels = f"[{part.low:.2f}, {part.high:.2f}]" if np.isfinite(part.low) else ""
        omega = f"{part.omega:.3f}" if np.isfinite(part.omega) else ""
        share = f"{part.share:.3f}" if np.isfinite(part.share) else "-"
        rows.append([part.effect, f"{part.degrees}", share, over_test, over_levels, f"{part.eta:.3f}", omega])
    sentences = [design_sentence(design)]
    if rows:
        sentences.append(
            "Share: variance component divided by the sum of all components, corrected for noise. First interval: "
            "bootstrap over test samples, levels fixed. Second interval: for a new sample of levels and seeds, wide "
            "with few levels. η², ω²: share of the sum of squares, without and with a correction for noise."
        )
    else:
        sentences.append("With one factor and one run per cell, the effect cannot be separated from noise.")
    if all(part.effect != RESIDUAL or not part.degrees for part in design.components):
        sentences.append("There is no residual, because there are no replicates.")
    head = ["effect", "df", "share", "95 % (test)", "95 % (levels)", "η²", "ω²"]
    return Section(heading=f"variance of fine-tuned scores: {design.task}", sentences=sentences, head=head, rows=rows)


def design_sentence(design: Design) -> str:
    """Return a balanced design in words."""
    plural = {"taps": "taps", "tuning": "kinds of tuning"}
    crossed = " x ".join(f"{len(design.levels[name])} {plural.get(name, f'{name}s')}" for name in design.factors)
    fixed = "".join(f", {name} = {level}" for name, level in design.fixed.items())
    runs = f"{design.replicates} runs per cell" if design.replicates > 1 else "one run per cell"
    text = f"{crossed}, {runs}, {_labels(design.fraction)}{fixed}: {design.runs} runs."
    if design.left_out:
        text += f" {design.left_out} further runs do not fit into a balanced design."
    return text


def _multi_scale(scales: pd.DataFrame) -> Section:
    sentences = []
    for row in as_rows(scales):
        verdict, bounds = "", " (no interval)"
        if np.isfinite(row["low"]):
            bounds = f" [{row['low']:+.3f}, {row['high']:+.3f}]"
            verdict = ", better" if row["low"] > 0 else ", worse" if row["high"] < 0 else ", not significant"
        sentences.append(
            f"{row['task']}, {row['model']}, {row['tuning']}, {label_fraction_text(row['fraction'])}: "
            f"{row['several']} ({row['several_layer']}) minus {row['single']} ({row['single_layer']}): "
            f"{row['gain']:+.3f}{bounds}{verdict}."
        )
    key = "Each side is the arm with the best validation score. Interval: paired difference, 95 %, over test samples."
    return Section(heading="decoders of several layers against decoders of one", sentences=[*sentences, key])


def drift_sentence(answer: DriftAnswer) -> str:
    """Return in words which sub-module of a model tuning changes most."""
    parts = [
        f"{answer.model} on {answer.task}: the largest local drift is in {answer.largest} ({answer.largest_drift:.2g})"
    ]
    ahead = ""
    if answer.second:
        adverb = "clearly" if answer.clear else "not clearly"
        ahead = f", {adverb} ahead of {answer.second} ({answer.second_drift:+.2g})"
    if answer.controlled:
        parts.append(
            f"minus the drift of a random step of equal relative size, it is largest in {answer.first} "
            f"({answer.first_drift:+.2g}){ahead}"
        )
    else:
        parts.append(f"no random step of equal relative size is stored as a control{ahead}")
    if not np.isnan(answer.shuffled_drift):
        parts.append(f"tuned on shuffled labels, {answer.first} drifts by {answer.shuffled_drift:.2g}")
    verdict = "yes" if answer.mlp_first else "no"
    return f"{'; '.join(parts)}. Largest drift in the first linear map of the MLP, after controls: {verdict}."


def final_layer_sentence(summary: FinalLayer | None) -> str:
    """Return in words how often the last layer is the wrong one to read; empty without a summary."""
    if summary is None:
        return ""
    return (
        f"In {_count(summary.groups, 'run group')} (task x model x protocol x label fraction, without random twins) "
        f"the layer chosen on validation has a median relative depth of {summary.median_depth:.2f}. The interval of "
        f"the final-layer regret excludes 0 in {summary.excluding_zero}, and the last layer is significantly worse in "
        f"{summary.worse} (p < .05, Holm's correction over all groups)."
    )
