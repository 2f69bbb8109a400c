"""Pruning: units are removed exactly, budgets are met as counted, and what is left runs, reloads and prunes again."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, read_card
from bench.config import validate
from bench.core import BadSetting, Incompatible
from bench.foundry.prune import RECIPE
from bench.foundry.pruning import masks, structured
from bench.foundry.pruning.budgets import example_images, multiply_adds, parameters, ratio_for, read_budget
from bench.foundry.pruning.groups import keep_units, transformer_groups, unit_scores
from bench.foundry.pruning.variational import divergence
from bench.foundry.pruning.width import slice_width

ENTRIES = model_catalogue.entries()
TRANSFORMERS = (
    "tiny_mae",
    "tiny_croma",
    "galileo_nano",
    "presto",
    "imagenet_vit_tiny",
    "imagenet_swin_tiny",
    "satlas_swin_tiny",
)
CONVOLUTIONS = ("imagenet_resnet18", "imagenet_mobilenet_small", "imagenet_convnext_tiny")


def network(name, seed=0):
    entry = ENTRIES[name]
    backbone = entry.load(entry, None, seed, entry.bands)
    return backbone, example_images(entry, entry.bands, batch=2)


def last(backbone, images):
    with torch.inference_mode():
        return backbone(images, [len(backbone.layers) - 1])[0].grid


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_removed_unit_is_a_silenced_one(name):
    """Before recovery a sliced network computes what the whole one computes with the same units silenced."""
    backbone, images = network(name)
    silenced = copy.deepcopy(backbone)
    values = dict(silenced.named_parameters())
    count = 0
    for group in transformer_groups(backbone):
        if group.name.endswith("heads") and not structured.removable(backbone, [group], images):
            continue
        gone = list(range(0, group.units, 2))[: group.units - 1]
        outgoing = next(part for part in group.slices if part.dim == 1)
        values[outgoing.name].data.index_fill_(1, outgoing.places[gone].flatten(), 0.0)
        keep_units(backbone, group, [unit for unit in range(group.units) if unit not in gone])
        count += len(gone)
    assert count > 10
    expected = last(silenced, images)
    assert torch.allclose(last(backbone, images), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_half_of_the_units_go_and_the_rest_runs_at_two_sizes(name):
    backbone, images = network(name)
    before, whole = parameters(backbone), multiply_adds(backbone, images)
    structured.prune_transformer(backbone, 0.5, images)
    assert parameters(backbone) < 0.9 * before and multiply_adds(backbone, images) < 0.9 * whole
    for count in (1, 3):
        some = {sensor: torch.cat([values] * 2)[:count] for sensor, values in images.items()}
        assert torch.isfinite(last(backbone, some)).all()


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_channels_go_along_the_dependency_graph(name):
    pytest.importorskip("torch_pruning")
    backbone, images = network(name)
    before = multiply_adds(backbone, images)
    structured.prune_convolutions(backbone, 0.5, images)
    assert multiply_adds(backbone, images) < 0.5 * before
    with torch.inference_mode():
        taps = backbone(images, list(range(len(backbone.layers))))
    assert [tap.grid.shape[1] for tap in taps] == [layer.channels for layer in backbone.layers]


def test_the_least_important_units_go_first():
    backbone, _ = network("tiny_mae")
    group = next(group for group in transformer_groups(backbone) if group.name == "block_2.mlp")
    weights = dict(backbone.named_parameters())
    for part in group.slices:
        weights[part.name].data.index_fill_(part.dim, part.places[[3, 7]].flatten(), 0.0)
    scores = unit_scores(backbone, group)
    assert set(scores.argsort()[:2].tolist()) == {3, 7} and scores[3] == 0


@pytest.mark.parametrize(
    ("text", "quantity", "limit", "relative"),
    [("flops:.5", "flops", 0.5, True), ("params:5e6", "params", 5e6, False), ("latency:20ms", "latency", 0.02, False)],
)
def test_budgets_are_read(text, quantity, limit, relative):
    budget = read_budget(text)
    assert (budget.quantity, budget.limit, budget.relative) == (quantity, limit, relative)


@pytest.mark.parametrize(
    "text", ["flops", "flops:", "size:3", "flops:-1", "flops:nan", "flops:1", "params:5ms", "latency:20"]
)
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(BadSetting, match="budget="):
        read_budget(text)


@pytest.mark.parametrize("text", ["flops:.5", "params:.6"])
def test_a_budget_is_met_as_counted_and_not_by_far(text):
    backbone, images = network("tiny_mae")
    budget = read_budget(text)
    count = parameters if budget.quantity == "params" else (lambda net: multiply_adds(net, images))

    def prune(ratio):
        pruned = copy.deepcopy(backbone)
        structured.prune_transformer(pruned, ratio, images)
        return pruned

    share = count(prune(ratio_for(budget, prune, backbone, images))) / count(backbone)
    assert budget.limit - 0.15 < share <= budget.limit


def test_impossible_budgets_say_what_is_left():
    backbone, images = network("tiny_mae")

    def prune(ratio):
        pruned = copy.deepcopy(backbone)
        structured.prune_transformer(pruned, ratio, images)
        return pruned

    with pytest.raises(Incompatible, match="no ratio meets the budget"):
        ratio_for(read_budget("params:.01"), prune, backbone, images)
    with pytest.raises(Incompatible, match="already meets"):
        ratio_for(read_budget("params:1e9"), prune, backbone, images)


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_the_smallest_weights_are_set_to_zero_and_counted(scope):
    backbone, _ = network("tiny_mae")
    weights = {name: value.detach().clone() for name, value in masks.prunable(backbone).items()}
    masks.apply_masks(backbone, masks.masks_for(backbone, 0.7, scope=scope))
    assert masks.sparsity(backbone) == pytest.approx(0.7, abs=1e-3)
    kept = torch.cat([weights[name][value != 0].abs() for name, value in masks.prunable(backbone).items()])
    gone = torch.cat([weights[name][value == 0].abs() for name, value in masks.prunable(backbone).items()])
    assert scope == "layerwise" or kept.min() >= gone.max()


def test_a_ratio_that_empties_a_layer_is_refused():
    toy = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with torch.no_grad():
        toy[0].weight.fill_(1e-3)
        toy[1].weight.fill_(1.0)
    with pytest.raises(Incompatible, match=r"every weight of 0\.weight"):
        masks.masks_for(toy, 0.5)


def test_width_slices_are_the_first_channels():
    backbone, images = network("imagenet_vit_tiny")
    first = backbone.network.blocks[0].attn.qkv.weight.clone()
    slice_width(backbone, 0.5, images)
    width = backbone.layers[-1].channels
    assert width == 96 and torch.equal(backbone.network.blocks[0].attn.qkv.weight, first[:, :width])
    assert last(backbone, images).shape[1] == width
    galileo, images = network("galileo_nano")
    with pytest.raises(Incompatible, match="use structured"):
        slice_width(galileo, 0.5, images)


def test_taylor_importance_is_weight_times_gradient():
    toy = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        toy.weight.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    x = torch.tensor([[2.0, 1.0, 0.0]])
    computed = structured.taylor_values(toy, (toy(x).sum() for _ in range(2)))
    assert torch.equal(computed["weight"], torch.tensor([[4.0, 4.0, 0.0]]))  # 2 batches x |w| x
    with pytest.raises(Incompatible, match="not finite"):
        structured.taylor_values(toy, (toy(x).sum() * factor for factor in (float("nan"),)))


def test_the_divergence_falls_with_noise_to_a_known_constant():
    """Equation 14 of Molchanov et al. 2017: -KL is near -0.63576 ... 0 for log alpha from -8 to 8 plus the log term."""
    weak, strong = (float(divergence(torch.tensor([value]))) for value in (-8.0, 8.0))
    assert weak == pytest.approx(0.5 * 8.0, abs=0.65) and strong == pytest.approx(0.0, abs=1e-3) and weak > strong


def make(tmp_path, **words):
    settings = validate(RECIPE.settings, {"model": "tiny_mae", **words})
    return RECIPE.run(settings, data=tmp_path, out=tmp_path / "entries")


def test_an_entry_is_left_that_loads_and_is_pruned_again(tmp_path):
    path = make(tmp_path, method="structured", ratio=0.5, name="tiny_mae.half")
    card = read_card(path.with_name(CARD))
    assert (card.origin, card.parents, card.base) == ("pruned", ("tiny_mae",), "tiny_mae")
    assert card.trained_on == ("geobench-demo-unlabelled",) and card.licence == "Apache-2.0"
    again = make(
        tmp_path,
        model="tiny_mae.half",
        method="depth",
        ratio=0.5,
        name="tiny_mae.quarter",
        entries=[tmp_path / "entries"],
    )
    (entry,), _ = model_catalogue.select(["tiny_mae.quarter"], [tmp_path / "entries"])
    assert (entry.parent, entry.depth) == ("tiny_mae.half", 3)
    backbone = entry.load(entry, again, 0, entry.bands)
    assert parameters(backbone) == entry.parameters < card.parameters
    first = make(tmp_path, model="tiny_mae.quarter", method="depth", ratio=0.34, entries=[tmp_path / "entries"])
    assert read_card(first.with_name(CARD)).shape.blocks == (1, 2)


@pytest.mark.parametrize("method", ["structured", "taylor", "magnitude", "dropout"])
def test_seeds_govern_everything_and_pruned_weights_stay_zero(tmp_path, method):
    words = {
        "method": method, "suite": "demo", "task": "landcover", "labels": 0.1, "batches": 1,
        "recovery": {"steps": 2, "evaluations": 1, "batch": 4},
    }  # fmt: skip
    torch.rand(7)
    first = make(tmp_path / "a", **words).read_bytes()
    torch.rand(3)
    assert make(tmp_path / "b", **words).read_bytes() == first
    if method in ("magnitude", "dropout"):
        (entry,), _ = model_catalogue.select([f"tiny_mae.{method}_50"], [tmp_path / "a" / "entries"])
        path = tmp_path / "a" / "entries" / entry.name / "model.safetensors"
        assert masks.sparsity(entry.load(entry, path, 0, entry.bands)) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"method": "magnitude", "budget": "flops:.5"}, "zeros leave the shape"),
        ({"method": "taylor"}, "give suite="),
        ({"method": "structured", "budget": "flops:.5", "rounds": 2}, "one round"),
        ({"recovery": {"tuning": ["frozen"]}}, "recovery trains the network"),
        ({"model": "image_stats"}, "no parameters"),
        ({"model": "tiny_*"}, "derives from one"),
        ({"suite": "demo", "method": "taylor"}, "name one with task="),
    ],
)
def test_requests_that_make_no_sense_are_named(tmp_path, words, text):
    with pytest.raises((BadSetting, Incompatible), match=text):
        make(tmp_path, **words)
