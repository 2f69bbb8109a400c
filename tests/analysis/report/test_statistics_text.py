"""The statistics in words and the choice of figures: what is compared, what is left out, what is not drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.findings.agreement import FEWEST_MODELS, compare_settings
from analysis.findings.designs import components_frame, designs
from analysis.gallery.suite_gallery import pictures
from analysis.report.contents import across_suites
from analysis.report.statistics_text import design_sentence, statistics
from analysis.report.write import build
from analysis.statistics.ranking import tau_b
from analysis.tables.build import tables
from bench.store import Store
from tests.builders.records import MODELS, TASKS, MemorySource, Model, make, make_arm, nursery

MANY = [Model(f"elm_{i}", 0.5 + 0.06 * i, 0.5, 8) for i in range(6)]


@pytest.fixture(scope="module")
def source():
    held = MemorySource()
    for model in (*MANY, MODELS[1], MODELS[5]):
        for task in TASKS[:2]:
            for fraction in (0.1, 1.0):
                held.put(*make(model, task, suite="grove", fraction=fraction))
    return held


@pytest.fixture(scope="module")
def grove(source):
    return tables(source, "grove")


@pytest.fixture(scope="module")
def agreed(grove):
    return compare_settings(grove.leaderboard, grove.row_draws)


def test_settings_are_compared_on_the_models_they_share_without_controls(agreed, grove):
    assert agreed.models == tuple(model.name for model in MANY)
    assert agreed.flat == (
        "biomass · probe · 100 %",
        "biomass · probe · 10 %",
        "landcover · probe · 100 %",
        "landcover · probe · 10 %",
    )
    board = grove.leaderboard.query("task=='biomass' and fraction==1 and layer=='best-on-val'").set_index("model")
    assert agreed.scores[0] == pytest.approx(-board.loc[list(agreed.models), "score"].to_numpy())  # less is better
    for i in range(4):
        for j in range(i):
            assert agreed.tau[i, j] == pytest.approx(float(tau_b(agreed.scores[i], agreed.scores[j])))
            assert agreed.low[i, j] <= agreed.tau[i, j] <= agreed.high[i, j]
    assert np.isfinite(agreed.shared).all() and (np.diag(agreed.shared) > 0.5).all()
    assert len(agreed.pairs()) == 6


def test_the_section_says_what_can_be_told_and_what_cannot(agreed):
    (part,) = statistics(agreed, [])
    words = " ".join(part.sentences)
    assert "6 models are ranked in 4 settings on 2 test sets" in words
    assert "Random twins and baselines are excluded" in words
    assert "10 tasks are needed" in words and "0.867" in words and "critical-difference diagram" in words
    assert "Split-half ceiling" in words and "Kendall's W" in words and "The top model differs in" in words
    assert len(part.rows) == 4 and all(len(row) == len(part.head) for row in part.rows)


def test_a_model_that_a_setting_lacks_is_left_out_by_name(source):
    held = MemorySource(dict(source.held))
    held.put(*make(Model("oak", 0.9, 0.5, 8), TASKS[0], suite="grove"))
    lacking = tables(held, "grove")
    again = compare_settings(lacking.leaderboard, lacking.row_draws)
    assert "oak" not in again.models
    assert again.models_left_out == ("oak",)
    (part,) = statistics(again, [])
    assert "Not ranked, because some settings lack them: oak." in part.sentences


def test_too_few_models_or_one_setting_are_not_compared():
    held = MemorySource()
    for model in MANY[: FEWEST_MODELS - 1]:
        for task in TASKS[:2]:
            held.put(*make(model, task, suite="grove"))
    few = tables(held, "grove")
    assert compare_settings(few.leaderboard, few.row_draws) is None
    assert not {"ranks", "agreement"} & {picture.stem for picture in pictures(few, held, None, [])}
    assert statistics(None, []) == []


def test_suites_are_compared_with_one_another(source, grove):
    other = MemorySource()
    for model in MANY:
        other.put(*make(model, TASKS[0], suite="meadow"))
    every = across_suites([grove, tables(other, "meadow")])
    assert {name.split()[0] for name in every.agreed.settings} == {"grove", "meadow"}
    assert np.isfinite(every.agreed.low[np.tril_indices(5, k=-1)]).all()
    assert [picture.stem for picture in every.pictures] == ["ranks", "agreement"]
    assert across_suites([grove]).agreed is None


def test_fine_tuned_scores_are_taken_apart_without_controls():
    orchard = tables(nursery(), "orchard")
    parts = designs(orchard.arms, orchard.arm_draws)
    assert [design.task for design in parts] == ["landcover", "water", "water@bolivia"]  # boxes have one arm
    first = parts[0]
    assert first.factors == ("model", "decoder", "tuning") and first.replicates == 3 and first.fixed == {"taps": "last"}
    assert "image_stats" not in first.levels["model"] and first.runs == 3 * 2 * 2 * 3 and first.left_out == 0
    assert sum(part.share for part in first.components) == pytest.approx(1)
    assert all(part.draw_low <= part.draw_high for part in first.components)
    assert set(components_frame(parts)["task"]) == {"landcover", "water", "water@bolivia"}


def test_an_unbalanced_design_loses_what_does_not_fit_and_says_so():
    held = MemorySource()
    for model in MODELS[0], MODELS[2], MODELS[4]:
        for decoder in ("linear", "upernet"):
            for seed in range(2 if model is MODELS[4] else 3):
                held.put(*make_arm(model, TASKS[0], decoder=decoder, seed=seed))
    held.put(*make_arm(MODELS[0], TASKS[0], decoder="fpn", taps="quarters"))
    orchard = tables(held, "orchard")
    (design,) = designs(orchard.arms, orchard.arm_draws)
    assert design.factors == ("model", "decoder") and design.replicates == 2
    assert design.left_out > 0 and f"{design.left_out} further runs do not fit" in design_sentence(design)


def test_a_report_of_arms_has_their_figures_and_names_damaged_ones(tmp_path):
    held = MemorySource()
    for model in MODELS[0], MODELS[2]:
        held.put(*make_arm(model, TASKS[2], decoder="upernet", suite="grove"))
    names = {file.rsplit(".")[0] for file in build(held, "grove").files}
    assert {"training_water", "panels_water", "cost_water", "classes_water"} <= names
    assert not any(name.startswith(("depth", "labels", "ranks", "variance", "layer_profile")) for name in names)
    store = Store(tmp_path)
    store.put(*make(MODELS[2], TASKS[2], suite="grove"))
    path = store.put(*make_arm(MODELS[0], TASKS[2], suite="grove"))
    path.with_suffix(".npz").write_bytes(b"not a file of arrays")
    text = build(store, "grove").files["leaderboard.md"].decode()
    assert "**1 records are left out" in text and path.stem in text and "panels_water" not in text


def test_models_without_a_second_one_are_not_drawn_against_each_other():
    held = MemorySource()
    record, arrays = make(MODELS[0], TASKS[0], suite="grove")
    held.put(replace(record, cost={}), arrays)
    stems = {picture.stem for picture in pictures(tables(held, "grove"), held, None, [])}
    assert stems == {"layer_profile_landcover", "calibration_landcover"}
