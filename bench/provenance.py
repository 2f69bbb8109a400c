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
from bench.plan import Run


def facts(run: Run, suite: Suite) -> dict[str, Any]:
    """Return what a record says of its suite, task, model and input."""
    task, entry = run.task, run.entry
    measure = metric(task.metric)
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
    }


@functools.lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "geobench_run": bench.__version__}
    for package in ("torch", "torchvision", "torchgeo", "timm", "numpy", "scikit-learn", "torchmetrics", "rasterio"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    try:
        here = Path(__file__).parent
        answer = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=10
        )
        if answer.returncode == 0:
            found["commit"] = answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return found


def environment() -> dict[str, Any]:
    """Return what a record says of the machine and the software that made it."""
    return {**_versions(), "platform": platform.platform(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
