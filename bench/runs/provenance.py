"""Provenance of a record: the facts of suite, task and model, the software and the machine."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bench
from bench.catalogue.cards import UNKNOWN_DATA
from bench.core import Suite
from bench.metrics import metric
from bench.runs.plan import Run


def facts(run: Run, suite: Suite, *, network: str = "") -> dict[str, Any]:
    """Return the facts of a run's suite, task, model and input that its record states.

    Args:
        run: the run.
        suite: its suite.
        network: fingerprint of the network at random init, see `bench.runs.fingerprint`; entries that differ in name
            alone have random twins with equal fingerprints, which are one row of a table.
    """
    task, entry = run.task, run.entry
    measure = metric(task.metric)
    arm = run.protocol.arm_facts(run.settings)
    exposed = "yes" if suite.dataset and suite.dataset in entry.trained_on else "no"
    if entry.origin not in ("random", "baseline") and exposed == "no":
        exposed = "unknown" if not entry.trained_on or UNKNOWN_DATA in entry.trained_on else "no"
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
        **({"network": network} if network else {}),
    }


@functools.lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "geobench_run": bench.__version__}
    for package in ("torch", "torchvision", "torchgeo", "timm", "numpy", "scikit-learn", "torchmetrics", "rasterio"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    if commit := _git("describe", "--always"):
        # Only code that computes numbers counts: results are in the same repository, and change during a sweep.
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "bench", "suites")
        versions["commit"] = f"{commit}-dirty" if changed else commit
    return versions


def _git(*words: str) -> str:
    """Return the output of git in the repository of this file, ``""`` where there is none."""
    root = Path(__file__).parents[2]
    try:
        answer = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


@functools.lru_cache(maxsize=1)
def machine() -> str:
    """Return the processor of this machine and the number of its cores: ``AMD EPYC 7B13, 2 cores``."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(named, platform.processor() or platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def environment() -> dict[str, object]:
    """Return the software and the machine that a record was made with, and the time."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {**_versions(), "platform": platform.platform(), "machine": machine(), "time": now}
