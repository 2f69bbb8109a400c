"""Activations and drift: a planted change is found where it was planted, and nothing is left behind."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from analysis.similarity.measures import linear_cka
from bench.config import RunConfig
from bench.core.errors import Incompatible, UnknownName
from bench.features.activations import activations, hooked, parts_of, pooled, relative
from bench.finetuning.weight_change import effective_rank, put_back, rewind, stepped, weight_change
from bench.protocols import drift, embed
from bench.runs import plan as planning
from bench.runs.carry_out import carry_out
from bench.runs.context import open_context
from bench.runs.open_workbench import first_by_hash
from tests.builders.arms import COUNTS, ENTRY, SUITE, TASKS, a_run, load_tiny, new_session
from tests.builders.suite_and_model import BANDS, toy_entry

QUICK = {"steps": 12, "learning_rates": (3e-3,), "batch": 12, "backbone_rate": 0.5, "evaluations": 2}


def a_drift(task="kind", protocol=drift, **settings):
    made = {**QUICK, **settings} if protocol is drift else settings
    run = a_run(task, protocol=protocol, **made)
    return run if protocol is embed else dataclasses.replace(run, settings=drift.arms(run.settings, run.task)[0])


@pytest.fixture
def network(tmp_path):
    return open_context(a_run(), new_session(tmp_path), {"passes": 0.0, "extraction_seconds": 0.0}, {}).network


def both(network):
    before = network.load(False)
    return before, copy.deepcopy(before), network.images("val", ())


def test_a_perturbed_part_drifts_where_it_is_and_nowhere_else(network):
    before, after, examples = both(network)
    parts = parts_of(before, ["*"])
    noise = torch.randn(128, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        after.get_submodule(parts["block_3.fc1"]).weight.add_(noise)
    found = activations(before, examples, network.recipe, parts, batch=8, other=after)
    # A block's own output holds its parts: those of block 3 that contain fc1 change with it.
    moved = {name for name in parts if not np.array_equal(found[name], found[f"local/{name}"])}
    assert moved == {"block_3.fc1", "block_3.out"}
    later = activations(after, examples, network.recipe, parts, batch=8)
    for layer in ("embedding", "block_1", "block_2"):
        assert np.array_equal(found[layer], later[layer])
        assert linear_cka(found[layer], later[layer]) == pytest.approx(1)
    assert linear_cka(found["block_3.fc1"], later["block_3.fc1"]) < 0.9999
    assert not np.array_equal(found["block_4"], later["block_4"])


def test_an_unchanged_copy_has_no_drift_at_all(network):
    before, after, examples = both(network)
    parts = parts_of(before, ["*"])
    found = activations(before, examples, network.recipe, parts, batch=8, other=after)
    later = activations(after, examples, network.recipe, parts, batch=8)
    for name in parts:
        assert np.array_equal(found[name], found[f"local/{name}"]) and np.array_equal(found[name], later[name])
    rows = weight_change(before, after, parts)
    assert all(row["relative_change"] == 0 and math.isnan(row["effective_rank"]) for row in rows)


@pytest.mark.parametrize("width", [12, 300])
def test_what_is_kept_has_the_same_similarity_however_large_the_mean(width):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, width))
    y = x @ rng.normal(size=(width, width)) + rng.normal(size=(40, width))
    x[:, 0] += 3000  # float16 knows this to 2
    kept = relative(x), relative(y)
    assert all(one.dtype == np.float16 and one.shape == (40, min(40, width)) for one in kept)
    assert linear_cka(*(one.astype(float) for one in kept)) == pytest.approx(linear_cka(x, y), abs=1e-4)
    raw = x.astype(np.float16).astype(float)
    assert abs(linear_cka(raw, y) - linear_cka(x, y)) > 1e-3


def test_hooks_change_no_output_and_leave_none(network):
    backbone = network.load(False)
    given = network.images("val", ()).read([0, 1])[0].given
    bare = backbone(given.images, [4])[0].grid
    heard = []
    with pytest.raises(RuntimeError), hooked(backbone, parts_of(backbone, ["fc1"]), lambda *a: heard.append(a[0])):
        assert torch.equal(backbone(given.images, [4])[0].grid, bare)
        raise RuntimeError
    assert heard == ["block_1.fc1", "block_2.fc1", "block_3.fc1", "block_4.fc1"]
    assert not any(module._forward_hooks for module in backbone.modules())
    assert torch.equal(backbone(given.images, [4])[0].grid, bare)


def test_layers_are_the_means_of_the_taps_in_any_batches(network):
    backbone, examples = network.load(False), network.images("val", ())
    one = activations(backbone, examples, network.recipe, {}, batch=5)
    other = activations(backbone, examples, network.recipe, {}, batch=24)
    with torch.no_grad():
        tap = backbone(examples.read(range(24))[0].given.images, [2])[0]
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(one["block_2"], tap.grid.mean((2, 3)).numpy(), rtol=1e-4, atol=1e-5)


def test_what_runs_apart_is_averaged_by_image():
    values = torch.arange(24.0).reshape(6, 2, 2)  # two images, each three times
    assert pooled(values, 2).tolist() == [[5.0, 6.0], [17.0, 18.0]]
    assert pooled(torch.ones(2, 3, 4, 4), 2).shape == (2, 3)
    with pytest.raises(Incompatible, match="5 rows for 2 images"):
        pooled(torch.ones(5, 3), 2)


def test_unknown_parts_are_named():
    backbone = load_tiny(ENTRY, None, 0, BANDS)
    with pytest.raises(UnknownName, match="fc1"):
        parts_of(backbone, ["fc9"])
    with pytest.raises(Incompatible, match="names no sub-modules"):
        parts_of(torch.nn.Identity(), ["fc1"])


def test_the_images_are_the_same_whoever_asks():
    ids = [f"image {i}" for i in range(50)]
    rows = first_by_hash(ids, np.arange(50), 10)
    order = np.random.default_rng(0).permutation(50)
    again = first_by_hash([ids[i] for i in order], np.arange(50), 10)
    assert {ids[i] for i in rows} == {ids[order[i]] for i in again}
    assert set(rows) < set(first_by_hash(ids, np.arange(50), 20))


def test_embedding_keeps_every_layer_and_the_parts_asked_for(tmp_path):
    session = new_session(tmp_path)
    record = carry_out(a_run(protocol=embed, samples=20, modules=("fc1",)), session)
    assert record.status == "ok", record.error
    arrays = session.store.arrays(record)
    names = [row["layer"] for row in record.curves]
    assert names == ["embedding", "block_1", "block_2", "block_3", "block_4", "norm"]
    assert {name for name in arrays if name.startswith("layer/")} == {
        *(f"layer/{name}" for name in names), *(f"layer/block_{i}.fc1" for i in range(1, 5))
    }  # fmt: skip
    assert arrays["layer/block_2"].shape == (20, 32) and arrays["layer/block_2.fc1"].shape == (20, 128)
    other = carry_out(
        a_run(protocol=embed, samples=20, entry=toy_entry(name="another", load=load_tiny, width=32)), session
    )
    assert list(session.store.arrays(other)["ids"]) == list(arrays["ids"])
    assert embed.refuses(ENTRY, SUITE, TASKS["mask"], embed.Settings()).startswith("the images are those of kind")
    assert record.facts["board"] is False


def test_a_plan_embeds_once_whatever_the_labels():
    config = RunConfig(suite="toy", protocols=("embed",), tasks=("kind",), fractions=(0.1, 1.0), seeds=(0, 1))
    made = planning.make(
        config,
        SUITE,
        [ENTRY],
        {"embed": embed.PROTOCOL},
        explicit=True,
        split_hash=lambda task: "x",
        weights=lambda e: "abc",
    )
    assert [(run.key.fraction, run.key.seed) for run in made.runs] == [(1.0, 0)]


def test_drift_of_tuning_with_its_controls(tmp_path):
    session = new_session(tmp_path)
    record = carry_out(a_drift(samples=24), session)
    assert record.status == "ok", record.error
    arrays = session.store.arrays(record)
    for name in ("before/block_2", "after/block_2", "before/block_2.fc1", "after/block_2.fc1", "local/block_2.fc1",
                 "shuffled/block_2.fc1", "shuffled_local/block_2.fc1", "step_local/block_2.fc1"):  # fmt: skip
        assert arrays[name].shape[0] == COUNTS["val"] == len(arrays["ids"]), name
    assert not np.array_equal(arrays["before/block_4.fc1"], arrays["after/block_4.fc1"])
    parts = {row["part"] for row in record.curves}
    assert parts == {"norm1", "qkv", "proj", "norm2", "fc1", "fc2"} and len(record.curves) == 4 * 6
    assert all(row["relative_change"] > 0 and row["shuffled_relative_change"] > 0 for row in record.curves)
    rules = set(record.scores["test"])
    assert rules == {"tuned", "rewound all", *(f"rewound {part}" for part in parts)}
    assert any("random step of" in note for note in record.notes)


def test_no_steps_no_drift(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.optim.AdamW.step", lambda self: None)
    session = new_session(tmp_path)
    record = carry_out(a_drift(samples=24, controls=("shuffled",)), session)
    assert record.status == "ok", record.error
    arrays = session.store.arrays(record)
    for name in arrays:
        if name.startswith(("after/", "shuffled/")):
            assert np.array_equal(arrays[name], arrays[f"before/{name.partition('/')[2]}"]), name
        if name.startswith(("local/", "shuffled_local/")):
            assert np.array_equal(arrays[name], arrays[f"before/{name.partition('/')[2]}"]), name
    assert {row["relative_change"] for row in record.curves} == {0.0}
    tuned = record.scores["test"]["tuned"]
    assert all(scores == tuned for scores in record.scores["test"].values())


def test_rewinding_is_undone(network):
    before, after, _ = both(network)
    parts = parts_of(before, ["fc1"])
    stepped(after, parts, 0.1, torch.Generator().manual_seed(0))
    changed = {name: value.clone() for name, value in after.state_dict().items()}
    assert all(row["relative_change"] == pytest.approx(0.1, rel=1e-3) for row in weight_change(before, after, parts))
    kept = rewind(after, before, parts)
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in after.state_dict().items())
    put_back(after, kept)
    assert all(torch.equal(value, changed[name]) for name, value in after.state_dict().items())


def test_effective_rank_of_equal_singular_values_is_their_number():
    basis = torch.linalg.qr(torch.randn(20, 7, generator=torch.Generator().manual_seed(0)))[0]
    assert effective_rank(basis @ basis.T) == pytest.approx(7, rel=1e-4)
    assert math.isnan(effective_rank(torch.zeros(3, 3)))


def test_what_has_no_weights_before_and_after_is_refused():
    def reason(**settings):
        return drift.refuses(ENTRY, SUITE, TASKS["kind"], drift.Settings(**settings))

    assert "use full, or one type of module" in reason(tuning="lora")
    assert not reason(tuning="fc1")
    assert reason(split="moon") == "toy has no split moon; known: train, val, test"
