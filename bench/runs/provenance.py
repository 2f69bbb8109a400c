"""Where a number comes from: the facts of suite, task and model, the software and the machine."""

from __future__ import annotations

import functools
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bench
from bench.core import Suite
from bench.metrics import metric
from bench.runs.plan import Run


def facts(run: Run, suite: Suite) -> dict[str, Any]:
    """Return what a record says of its suite, task, model and input."""
    task, entry = run.task, run.entry
    measure = metric(task.metric)
    arm = run.protocol.arm_facts(run.settings)
    exposed = "yes" if suite.dataset and suite.dataset in entry.trained_on else "no"
    if entry.origin not in ("random", "baseline") and not entry.trained_on:
        exposed = "unknown"
    return {
        "title": suite.title,
        "generated": suite.generated,
        "suite_licence": suite.licence,
        "suite_notes": suite.notes,
        "kind": task.kind,
        "metric": task.metric,
        "metric_label": measure.label,
        "direction": measure.direction,
        "classes": list(task.classes),
        "quantity": task.quantity,
        "unit": task.unit,
        "origin": entry.origin,
        "objective": entry.objective,
        "parent": entry.parent,
        "parameters": entry.parameters,
        "depth": entry.depth,
        "reference": entry.reference,
        "licence": entry.weights.licence if entry.weights else "",
        "trained_on_this": exposed,
        "input": run.recipe.summary(),
        **({} if run.protocol.on_board else {"board": False}),
        **({"arm": arm} if arm else {}),
    }


@functools.lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "geobench_run": bench.__version__}
    for package in ("torch", "torchvision", "torchgeo", "timm", "numpy", "scikit-learn", "torchmetrics", "rasterio"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if commit := _git("describe", "--always"):
        # Only code that makes numbers counts: results lie in the same repository, and change while it works.
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "bench", "suites")
        found["commit"] = f"{commit}-dirty" if changed else commit
    return found


def _git(*words: str) -> str:
    """Return what git says of the repository this file lies in, nothing where there is none."""
    root = Path(__file__).parents[2]
    try:
        answer = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def environment() -> dict[str, Any]:
    """Return what a record says of the machine and the software that made it."""
    return {**_versions(), "platform": platform.platform(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
