"""Write every generated table of the repository anew: ``make tables``.

A Markdown file holds a table between the markers ``<!-- table: NAME -->`` and ``<!-- end -->``. Beside the listings of
``geobench-list`` these are tables of the repository itself: its rooms, and the scores committed below ``results/``.
"""

from __future__ import annotations

import ast
import csv
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from statistics import fmean

from bench.catalogue import suites as suite_catalogue
from bench.cli import markdown
from bench.cli.listing_rows import Rows
from bench.core import lookup

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "bench", "analysis", "suites", "tests", "results")
ALL_LABELS = 1.0
WAYS = ("probe, last", "probe, best-on-val", "knn, last", "fine-tuned")  # columns of the committed scores


def rooms(package: str) -> Rows:
    """Return one row per folder of a package, from the top floor of its import contract to the lowest."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = next(
        contract["layers"]
        for contract in contracts
        if contract["type"] == "layers" and contract["containers"] == [package]
    )
    rows = []
    for height, floor in enumerate(floors):
        for name in floor.split(" | "):
            path = ROOT / package / name
            source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if source.is_file():
                title = (ast.get_docstring(ast.parse(source.read_text())) or "").partition("\n")[0].replace("``", "`")
                room = f"{package}/{name}/" if path.is_dir() else f"{package}/{name}.py"
                rows.append({"room": room, "floor": len(floors) - height, "holds": title})
    return rows


def contents() -> Rows:
    """Return one row per kind of thing that is looked up by name: how many there are, and where their files lie."""
    counted = {
        "models": (len(markdown.entries()), "bench/models/"),
        "suites": (len(suite_catalogue.shipped()), "suites/"),
        "decoders": (len(lookup.names("bench.decoders")), "bench/decoders/"),
        "protocols": (len(lookup.names("bench.protocols")), "bench/protocols/"),
        "recipes": (len(lookup.names("bench.foundry")), "bench/foundry/"),
        "studies": (len(lookup.names("bench.studies")), "bench/studies/"),
        "metrics": (len(markdown.metrics()), "bench/metrics/scores.py"),
    }
    return [
        {"what": name, "there are": count, "their files": f"`{place}`", "list them with": f"`geobench-list {name}`"}
        for name, (count, place) in counted.items()
    ]


def committed_scores() -> Rows:
    """Return one row per suite, task and model committed below ``results/``: scores with all labels, 95 % intervals.

    Suites of generated data are left out, and models that differ in a setting share a row.
    """
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for path in sorted((ROOT / "results").glob("*/leaderboard.csv")):
        with path.open(newline="") as stream:
            lines = [line for line in csv.DictReader(stream) if line["generated"] != "True"]
        for line in lines:
            if float(line["fraction"]) != ALL_LABELS:
                continue
            task = f"{line['task']}: {line['metric_label']}"
            row = rows.setdefault((path.parent.name, task, line["model"]), dict.fromkeys(WAYS, ""))
            way = f"{line['protocol']}, {line['layer']}"
            text = f"{float(line['score']):.3f}" + (
                f" [{float(line['low']):.3f}, {float(line['high']):.3f}]" if line["low"] else ""
            )
            if line["decoder"]:
                way, text = WAYS[-1], f"{line['decoder']}, {line['tuning']}, {line['taps']}: {text}"
            if way in row:
                row[way] = "; ".join(part for part in (row[way], text) if part)
    return [
        {"suite": suite, "task": task, "model": model, **row}
        for (suite, task, model), row in sorted(rows.items())
        if any(row.values())
    ]


def committed_board() -> Rows:
    """Return the first table of the committed leaderboard of EuroSAT RGB, as its Markdown file has it."""
    lines = (ROOT / "results" / "eurosat_rgb" / "leaderboard.md").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| model "))
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in takewhile(bool, lines[first:])]
    return [dict(zip(table[0], row, strict=True)) for row in table[2:]]


def committed_cka() -> Rows:
    """Return one row per pair of models of the committed EuroSAT RGB runs: debiased CKA of their last layers."""
    with (ROOT / "results" / "eurosat_rgb" / "cka_models.csv").open(newline="") as stream:
        return [
            {
                "model": line["model"],
                "other": line["other"],
                "CKA of last layers": f"{float(line['cka']):.2f} [{float(line['low']):.2f}, {float(line['high']):.2f}]",
                "with shuffled rows": f"{float(line['shuffled']):.4f}",
                "images": int(line["images"]),
            }
            for line in csv.DictReader(stream)
        ]


def committed_drift() -> Rows:
    """Return one row per type of sub-module: mean local drift of the committed EuroSAT RGB runs, with its controls."""
    with (ROOT / "results" / "eurosat_rgb" / "drift_landuse_galileo_nano.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    columns = {"tuned": "local", "tuned on shuffled labels": "shuffled_local", "equal random step": "step_local"}
    means = {
        part: {
            title: fmean(float(line[column]) for line in lines if line["part"] == part and line[column])
            for title, column in columns.items()
        }
        for part in dict.fromkeys(line["part"] for line in lines)
    }
    ordered = sorted(means.items(), key=lambda pair: -pair[1]["tuned"])
    return [{"sub-module": part, **{title: f"{mean:.1e}" for title, mean in own.items()}} for part, own in ordered]


TABLES: dict[str, Callable[[], Rows]] = {
    **markdown.TABLES,
    **{f"rooms_{package}": partial(rooms, package) for package in ("bench", "analysis", "suites")},
    "contents": contents,
    "committed_scores": committed_scores,
    "committed_board": committed_board,
    "committed_cka": committed_cka,
    "committed_drift": committed_drift,
}
"""Tables that files hold between markers, by name."""


def marked_files() -> Iterator[Path]:
    """Yield the Markdown files of the repository that hold a table between markers."""
    paths = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    yield from (path for path in sorted(paths) if markdown.MARKED.search(path.read_text()))


def refreshed(path: Path) -> str:
    """Return the text of a file with every table between markers as it is now."""
    return markdown.refreshed(path.read_text(), TABLES)


def main() -> None:
    """Write every table between markers anew, and name the files that changed."""
    for path in marked_files():
        if (fresh := refreshed(path)) != path.read_text():
            path.write_text(fresh)
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
