"""Similarity: one small record per model, on the same rows for every model, from the features of the usual pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.similarity.cka_maps import cka_map
from bench.config import RunConfig
from bench.protocols import probe, similarity
from bench.protocols.similarity import cell_weights, cells_per_side
from bench.runs import plan as planning
from bench.runs.carry_out import carry_out
from bench.store.companded import expand
from tests.builders.sessions import ENTRY, SUITE, a_run, new_session
from tests.builders.suite_and_model import DEPTH, ToySplit, toy_entry, toy_suite


def stored(run, session):
    record = carry_out(run, session)
    assert record.status == "ok", record.error
    return record, session.store.arrays(record)


def test_it_reads_the_features_of_the_pass_and_no_label(tmp_path, monkeypatch):
    session = new_session(tmp_path)
    carry_out(a_run(0, probe), session)
    monkeypatch.setattr(ToySplit, "targets", lambda self: pytest.fail("a label was read"))
    record, arrays = stored(a_run(0, similarity), session)
    assert record.cost["passes"] == 0 and record.facts["board"] is False and not record.scores
    names = [row["layer"] for row in record.curves]
    assert names == ["embedding", *(f"block_{i}" for i in range(1, DEPTH + 1))]
    assert len(arrays["ids"]) == 120 and arrays["cells"].tolist() == [1]
    features, _ = session.features(a_run(0), "train")
    order = [features.ids.index(name) for name in arrays["ids"]]
    layers = [np.asarray(features[f"{name}.mean"], np.float32)[order] for name in names]
    np.testing.assert_allclose(arrays["cka"], cka_map(layers), atol=1e-4)
    for name, rows in zip(names, layers, strict=True):
        values = expand(arrays[f"codes/{name}"], arrays[f"peak/{name}"])
        assert values.shape[0] == 120 and values.shape[1] <= rows.shape[1]
        # Distances between rows are kept, up to the unit.
        true, kept = (np.linalg.norm(each[:1] - each[1:20], axis=1) for each in (rows, values))
        assert np.corrcoef(true, kept)[0, 1] > 0.99
    assert {"width", "kept", "components", "rankme", "participation_ratio", "twonn"} <= set(record.curves[0])


def test_every_model_gets_the_same_images(tmp_path):
    session = new_session(tmp_path)
    _, first = stored(a_run(0, similarity, samples=30), session)
    other = toy_entry(name="another", load=lambda entry, path, seed, bands: ENTRY.load(entry, path, 7, bands))
    _, second = stored(a_run(0, similarity, samples=30, entry=other), session)
    assert len(first["ids"]) == 30 and first["ids"].tolist() == second["ids"].tolist()
    assert not np.array_equal(first["codes/block_1"], second["codes/block_1"])


def test_few_images_with_grids_are_taken_cell_by_cell_and_few_blocks_are_said(tmp_path):
    session = new_session(tmp_path)
    record, arrays = stored(a_run(2, similarity), session)  # 120 images of 4 x 4 tokens in 40 blocks
    assert arrays["cells"].tolist() == [16] and arrays["codes/block_2"].shape[0] == 120 * 16
    assert record.notes[-1] == "similarity: 120 images in 40 independent blocks, a rough estimate"
    features, _ = session.features(a_run(2), "train")
    place = features.ids.index(str(arrays["ids"][5]))
    tokens = np.asarray(features["block_2.grid"][place], np.float32)  # one token per cell
    rows = expand(arrays["codes/block_2"], arrays["peak/block_2"])[5 * 16 : 6 * 16]
    true = np.linalg.norm(tokens[:, :1, :1] - tokens, axis=0).reshape(-1)
    assert np.corrcoef(true, np.linalg.norm(rows[:1] - rows, axis=1))[0, 1] > 0.99


def test_cells_lie_at_the_same_place_whatever_the_patch_size():
    assert cell_weights(4, 1.0, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    np.testing.assert_allclose(cell_weights(3, 1.0, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], rtol=1e-6)
    # A quarter of the grid is padding: the cells divide the image alone.
    np.testing.assert_allclose(cell_weights(4, 0.75, 3), np.eye(4)[:3], atol=1e-6)
    np.testing.assert_allclose(cell_weights(1, 1.0, 4), np.ones((4, 1)))
    ramp = np.linspace(0, 1, 12)
    fine, coarse = cell_weights(12, 1.0, 4) @ ramp, cell_weights(6, 1.0, 4) @ ramp.reshape(6, 2).mean(1)
    np.testing.assert_allclose(fine, coarse, atol=0.03)
    assert [cells_per_side(images) for images in (4, 127, 128, 511, 512, 2048)] == [4, 4, 2, 2, 1, 1]


def test_too_few_images_fail_by_name_and_an_unknown_split_is_refused(tmp_path):
    counts = {"train": 3, "val": 3, "test": 3}
    suite = toy_suite(splits=counts, open=lambda root, task, split, bands: ToySplit(task, split, 3, bands))
    record = carry_out(a_run(0, similarity, suite=suite), new_session(tmp_path, suite))
    assert record.status == "failed" and "similarity needs 4 usable images; train has 3" in record.error
    reason = similarity.refuses(ENTRY, SUITE, SUITE.tasks[0], similarity.Settings(split="moon"))
    assert reason == "toy has no split moon; known: train, val, test"


def plan(**words):
    return planning.make(
        RunConfig(suite="toy", **words),
        SUITE,
        [toy_entry(name="toy_small.random", origin="random")],
        {"probe": probe.PROTOCOL, "similarity": similarity.PROTOCOL},
        bands=SUITE.bands,
        explicit=True,
        split_hash=lambda task: "x",
        weights=lambda entry: "random",
    )


def test_a_plan_has_one_run_per_model_whatever_the_tasks_and_labels():
    runs = [run for run in plan(fractions=(0.1, 1.0)).runs if run.key.protocol == "similarity"]
    assert [(run.task.name, run.key.fraction, run.key.seed) for run in runs] == [("kind", 1.0, 0)]
    runs = [run for run in plan(tasks=("mask",), seeds=(0, 1)).runs if run.key.protocol == "similarity"]
    assert [(run.task.name, run.key.seed) for run in runs] == [("mask", 0), ("mask", 1)]
    assert not plan().refused


def test_the_default_run_has_it_and_old_digests_stand():
    assert RunConfig(suite="toy").protocols == ("probe", "knn", "similarity")
    assert RunConfig(suite="toy").replay() == "geobench-run suite=toy"
    assert dataclasses.replace(a_run(0).key).digest == a_run(0).key.digest


def test_the_record_is_small(tmp_path):
    """Thirteen layers of 2,048 images whose spectra fall slowly take less than half a megabyte."""
    from bench.features.representations import summarise
    from bench.store import Store
    from bench.store.companded import compand

    rng = np.random.default_rng(0)
    layer = (rng.normal(size=(2048, 192)) * np.arange(1, 193) ** -0.7).astype(np.float32)
    summaries, _ = summarise([layer] * 13, components=similarity.Settings().components)
    arrays = {}
    for place, summary in enumerate(summaries):
        arrays[f"codes/block_{place}"], arrays[f"peak/block_{place}"] = compand(summary.coordinates)
    session = new_session(tmp_path)
    record, _ = stored(a_run(0, similarity), session)
    Store(tmp_path / "other").put(record, arrays)
    (path,) = (tmp_path / "other").rglob("*.npz")
    assert 200_000 < path.stat().st_size < 500_000
