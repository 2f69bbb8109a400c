"""The report of the study of weight generation: tables of arms, spectra, verdicts in words, as Markdown and CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.findings.generation import chosen_arm, differences, error_overlap, paired_interval, verdicts
from bench.core import Record
from bench.store import Store, write_atomic


def write_report(folder: Path) -> Path:
    """Write ``report.md`` and ``arms.csv`` next to the records of a request and return the path of the report.

    Args:
        folder: ``<results>/generation/<request>``.
    """
    store = Store(folder.parent)
    records = [record for record in store.records(folder.name) if record.status == "ok"]
    frame = pd.DataFrame([_row(record, store) for record in records]).sort_values(["zoo", "tuning", "arm", "seed"])
    lines = [f"# Weight generation: {folder.name}", "", *_facts(records[0]), ""]
    for (zoo, tuning), rows in frame.groupby(["zoo", "tuning"]):
        lines += _section(str(zoo), str(tuning), rows)
    columns = ["zoo", "branch", "tuning", "arm", "seed", "val", "test", "novelty", "overlap"]
    frame["overlap"] = _overlaps(frame)
    table = frame.sort_values(["zoo", "tuning", "arm", "seed"])[columns].round(4)
    write_atomic(folder / "arms.csv", table.to_csv(index=False).encode())
    path = folder / "report.md"
    write_atomic(path, ("\n".join(lines).rstrip() + "\n").encode())
    return path


def _row(record: Record, store: Store) -> dict[str, object]:
    arrays = store.arrays(record)
    arm = record.facts["arm"]
    return {
        "zoo": record.key.model.removesuffix(f".{arm['arm']}"),
        "branch": record.facts["branch"],
        "arm": arm["arm"],
        "tuning": arm["tuning"],
        "seed": record.key.seed,
        "val": record.choices["last"]["val"],
        "test": record.scores["test"]["last"]["accuracy"],
        "novelty": record.facts["figures"]["novelty"],
        "figures": record.facts["figures"],
        "prediction": arrays["prediction"],
        "target": arrays["target"],
    }


def _facts(record: Record) -> list[str]:
    settings = record.key.settings
    return [
        f"Request `{record.facts['request']}` of {record.facts['title']}: {settings['shots']} labelled images per "
        f"class for training and as many for validation (another subset per seed), "
        f"at most {settings['test_images']} test images. Budget of every arm: "
        f"{settings['steps']} steps of {settings['batch']} images at each of {list(settings['learning_rates'])}, from "
        f"the frozen probe as head; batch norms measured on {settings['images']} unlabelled training images; "
        f"{settings['n']} candidates where an arm draws.",
        *(
            ["", "Generated data: these scores say nothing about satellite images."]
            if record.facts["generated"]
            else []
        ),
    ]


def _overlaps(frame: pd.DataFrame) -> list[float]:
    """Return the overlap of each row's errors with those of the nearest member, NaN where that was not run."""
    columns = ("zoo", "tuning", "seed", "arm", "prediction", "target")
    rows = list(zip(*(frame[column] for column in columns), strict=True))
    nearest = {row[:3]: row[4] for row in rows if row[3] == "nearest"}
    return [error_overlap(row[4], nearest[row[:3]], row[5]) if row[:3] in nearest else np.nan for row in rows]


def _section(zoo: str, tuning: str, rows: pd.DataFrame) -> list[str]:
    """Return the table of arms and the verdicts of one zoo and tuning."""
    figures = rows["figures"].iloc[0]
    best = chosen_arm(rows)
    rows = rows.assign(overlap=_overlaps(rows))
    count = len(rows["target"].iloc[0])
    lines = [
        f"## {zoo}, {tuning}",
        "",
        f"Spectrum: first eigenvalue over median {figures['first_over_median']:.2f}, effective-rank ratio "
        f"{figures['effective_rank']:.3f}, share of the mean delta {figures['mean_share']:.1%}. Dispersion ratios: "
        + ", ".join(
            f"{name.removeprefix('dispersion_')} {value:.2f}"
            for name, value in sorted(figures.items())
            if name.startswith("dispersion_")
        )
        + f". {rows['seed'].nunique()} seeds, {count} test images.",
        "",
        "| arm | accuracy | minus trunk (95 % interval) | novelty | error overlap |",
        "|---|---|---|---|---|",
    ]
    means = rows.groupby("arm")["test"].mean().sort_values(ascending=False)
    for arm in map(str, means.index):
        own = rows[rows["arm"] == arm]
        gap = "" if arm == "trunk" else _interval(differences(rows, arm, "trunk"))
        lines.append(
            f"| {arm} | {means[arm]:.3f} | {gap} | {own['novelty'].mean():.2f} | {own['overlap'].mean():.2f} |"
        )
    lines += [
        "",
        "Novelty is the distance to the nearest member over the median distance between nearest members; error overlap "
        "is with the nearest member to the request.",
        "",
        f"The generated arm, chosen on validation: {best}.",
        "",
        "| claim: the generated arm | hardest rival | difference (95 % interval) | verdict |",
        "|---|---|---|---|",
    ]
    for verdict in verdicts(rows):
        text = f"{verdict.difference:+.3f} ({verdict.low:+.3f}, {verdict.high:+.3f})" if verdict.against else ""
        lines.append(f"| {verdict.claim} | {verdict.against} | {text} | {verdict.words} |")
    return [*lines, ""]


def _interval(values: list[float]) -> str:
    mean, low, high = paired_interval(values)
    return f"{mean:+.3f} ({low:+.3f}, {high:+.3f})"
