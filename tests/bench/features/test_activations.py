"""Activations of layers and sub-modules: a planted change is found where it was planted, and no hook is left."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from analysis.similarity.measures import linear_cka
from bench.core.errors import Incompatible, UnknownName
from bench.features.activations import activations, hooked, parts_of, pooled, relative
from tests.builders.arms import ENTRY, a_workbench, load_tiny
from tests.builders.suite_and_model import BANDS, load_toy


@pytest.fixture
def network(tmp_path):
    return a_workbench(tmp_path)


def test_a_perturbed_part_drifts_where_it_is_and_nowhere_else(network):
    before, examples = network.own_backbone(), network.images("val")
    after = copy.deepcopy(before)
    parts = parts_of(before, ["*"])
    noise = torch.randn(128, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        after.get_submodule(parts["block_3.fc1"]).weight.add_(noise)
    means = activations(before, examples, network.recipe, parts, batch=8, other=after)
    # A block's own output holds its parts: those of block 3 that contain fc1 change with it.
    moved = {name for name in parts if not np.array_equal(means[name], means[f"local/{name}"])}
    assert moved == {"block_3.fc1", "block_3.out"}
    later = activations(after, examples, network.recipe, parts, batch=8)
    for layer in ("embedding", "block_1", "block_2"):
        assert np.array_equal(means[layer], later[layer])
        assert linear_cka(means[layer], later[layer]) == pytest.approx(1)
    assert linear_cka(means["block_3.fc1"], later["block_3.fc1"]) < 0.9999
    assert not np.array_equal(means["block_4"], later["block_4"])


@pytest.mark.parametrize("width", [12, 300])
def test_what_is_kept_has_the_same_similarity_however_large_the_mean(width):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, width))
    y = x @ rng.normal(size=(width, width)) + rng.normal(size=(40, width))
    x[:, 0] += 3000  # float16 knows this to 2
    kept = relative(x), relative(y)
    assert all(rows.dtype == np.float16 and rows.shape == (40, min(40, width)) for rows in kept)
    assert linear_cka(*(rows.astype(float) for rows in kept)) == pytest.approx(linear_cka(x, y), abs=1e-4)
    raw = x.astype(np.float16).astype(float)
    assert abs(linear_cka(raw, y) - linear_cka(x, y)) > 1e-3


def test_hooks_change_no_output_and_leave_none(network):
    backbone = network.own_backbone()
    given = network.images("val").read([0, 1])[0].given
    bare = backbone(given.images, [4])[0].grid
    heard = []
    with pytest.raises(RuntimeError), hooked(backbone, parts_of(backbone, ["fc1"]), lambda *a: heard.append(a[0])):
        assert torch.equal(backbone(given.images, [4])[0].grid, bare)
        raise RuntimeError
    assert heard == ["block_1.fc1", "block_2.fc1", "block_3.fc1", "block_4.fc1"]
    assert not any(module._forward_hooks for module in backbone.modules())
    assert torch.equal(backbone(given.images, [4])[0].grid, bare)


def test_layers_are_the_means_of_the_taps_in_any_batches(network):
    backbone, examples = network.own_backbone(), network.images("val")
    whole = activations(backbone, examples, network.recipe, {}, batch=5)
    other = activations(backbone, examples, network.recipe, {}, batch=24)
    with torch.no_grad():
        tap = backbone(examples.read(range(24))[0].given.images, [2])[0]
    for name in whole:
        np.testing.assert_allclose(whole[name], other[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(whole["block_2"], tap.grid.mean((2, 3)).numpy(), rtol=1e-4, atol=1e-5)


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
        parts_of(load_toy(ENTRY, None, 0, BANDS), ["fc1"])
