"""The plan says what will be done and what is refused, within the width of the terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.runs.plan import Plan, Refusal
from bench.sweeps.plan_text import show_plan
from tests.builders.sessions import a_run


def shown(plan: Plan, width: int = 160, **more) -> str:
    out = Console(width=width, markup=False)
    with out.capture() as captured:
        show_plan(out, plan, **{"stored": {}, "cost": "2 passes", **more})
    return captured.get()


def plan(*refused: Refusal, **more) -> Plan:
    return Plan(**{"runs": (a_run(0), a_run(1)), "refused": refused, "unavailable": {}, "bands": (), **more})


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_a_plan_keeps_models_and_counts_at_any_width(width):
    text = shown(plan(), width)
    assert "2 runs: 0 stored, 2 to do" in text and "toy_small" in text and text.count("0/1") == 2 and "…" not in text
    table = [line for line in text.splitlines() if line.startswith(("model", "toy"))]
    assert all(len(line) <= width for line in table)
    assert ("left out at" in text) == ("input" not in table[0])


def test_refusals_of_one_reason_are_one_line_and_shortened():
    names = [name for i in range(9) for name in (f"m{i}", f"m{i}.random")]
    refusals = [Refusal(model=name, task="t", protocol="probe", reason=f"{name} lacks [/b] bands") for name in names]
    text = shown(plan(*refusals), whole=False)
    assert (
        "refused m0 (+ .random), m1 (+ .random), m2 (+ .random), m3 (+ .random) and 5 more (--dry names them)" in text
    )
    assert text.count("lacks [/b] bands") == 1
    assert "m8 (+ .random): lacks [/b] bands" in shown(plan(*refusals), whole=True)


def test_what_is_stored_and_unavailable_is_counted():
    runs = (a_run(0), a_run(1))
    stored = {runs[0].key.digest: "ok", runs[1].key.digest: "failed"}
    text = shown(plan(unavailable={"x": "x: fetch [red] it"}), stored=stored, notes=["note [/]"])
    assert "2 runs: 1 stored, 1 to do, 1 of them failed before, 1 models unavailable" in text
    assert "unavailable x: fetch [red] it" in text and "note [/]" in text
