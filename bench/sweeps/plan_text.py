"""The plan as text: runs to do, stored runs, refused runs with their reasons. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from bench.catalogue.weights import TO_BE_FETCHED
from bench.core import label_fraction_text
from bench.core.wording import shortened
from bench.runs.plan import Plan, Run
from bench.sweeps.console import print_line
from bench.sweeps.listings import print_rows

NAMED = 4  # refused models that are listed per reason, unless all are
TWIN = ".random"


def show_plan(
    out: Console, plan: Plan, stored: Mapping[str, str], *, cost: str, notes: Sequence[str] = (), whole: bool = True
) -> None:
    """Print runs to do, stored runs, refused runs with their reasons, and unavailable models with their remedies.

    Args:
        out: console to print on.
        plan: the plan.
        stored: digest -> status of runs with a record.
        cost: estimated cost of the runs to do, in words.
        notes: printed at the end, e.g. that data are missing.
        whole: whether to list every refused model, or only the first few per reason.
    """
    done = [run for run in plan.runs if stored.get(run.key.digest) == "ok"]
    failed = sum(stored.get(run.key.digest) == "failed" for run in plan.runs)
    left = len(plan.runs) - len(done)
    parts = [f": {len(done)} stored", f"{left} to do"]
    parts += [f"{failed} of them failed before"] if failed else []
    parts += [f"{len(plan.refused)} refused"] if plan.refused else []
    parts += [f"{len(plan.unavailable)} models unavailable"] if plan.unavailable else []
    print_line(out, (f"{len(plan.runs)} runs", "bold"), ", ".join(parts))
    print_line(out, (f"bands: {' '.join(band.name for band in plan.bands)}", "dim"))
    if left and cost:
        print_line(out, (cost, "dim"))
    if plan.runs:
        print_rows(out, _rows(plan.runs, stored), keep=("model", "stored"), note="a wider terminal shows them")
    for reason, models in _reasons(plan).items():
        parents = [name for name in models if not (name.endswith(TWIN) and name.removesuffix(TWIN) in models)]
        named = [with_twin(name, models) for name in parents]
        most = len(named) if whole or len(named) <= NAMED + 1 else NAMED
        print_line(out, ("  refused ", "yellow"), f"{shortened(named, most, hint='--dry names them')}: {reason}")
    fetched = dict.fromkeys(run.entry.name for run in plan.runs if run.key.weights.startswith(TO_BE_FETCHED))
    if fetched:
        print_line(out, ("  to be fetched ", "yellow"), " ".join(fetched))
    for how in plan.unavailable.values():
        print_line(out, ("  unavailable ", "yellow"), how)
    for note in notes:
        print_line(out, (f"  {note}", "yellow"))


def with_twin(name: str, models: Sequence[str]) -> str:
    """Return a model's name, with a mark where its random twin is among the models too: ``dofa_base (+ .random)``."""
    return f"{name} (+ {TWIN})" if f"{name}{TWIN}" in models else name


def _reasons(plan: Plan) -> dict[str, list[str]]:
    """Return reason -> the models that are refused for it; the name of the model is left out of the reason."""
    grouped: dict[str, list[str]] = {}
    for refusal in plan.refused:
        reason = refusal.reason.removeprefix(f"{refusal.model} ")
        if not refusal.reason.startswith(refusal.model):
            reason = f"({refusal.protocol} on {refusal.task}) {reason}"
        models = grouped.setdefault(reason, [])
        if refusal.model not in models:
            models.append(refusal.model)
    return grouped


def _rows(runs: Sequence[Run], stored: Mapping[str, str]) -> list[dict[str, str]]:
    """Return one row per model and task; a random twin with the same input shares the row of its model."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        parent = run.entry.parent if run.entry.origin == "random" else run.entry.name
        alike = groups.get((parent, run.task.name), [])
        joins = bool(alike) and alike[0].recipe == run.recipe
        groups.setdefault((parent if joins else run.entry.name, run.task.name), []).append(run)
    rows = []
    for members in groups.values():
        keys = [run.key for run in members]
        names = list(dict.fromkeys(run.entry.name for run in members))
        parents = [name for name in names if not (name.endswith(TWIN) and name.removesuffix(TWIN) in names)]
        rows.append(
            {
                "model": " ".join(with_twin(name, names) for name in parents),
                "task": members[0].task.name,
                "protocols": " ".join(dict.fromkeys(key.protocol for key in keys)),
                "labels": " ".join(dict.fromkeys(label_fraction_text(key.fraction) for key in keys)),
                "stored": f"{sum(stored.get(key.digest) == 'ok' for key in keys)}/{len(keys)}",
                "input": members[0].recipe.summary(),
            }
        )
    return rows
