"""Weights to tokens and back: bit for bit, on every architecture, and padding never comes back as a weight."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.catalogue import models as model_catalogue
from bench.catalogue.weights import lacks
from bench.core import BadSetting, Incompatible
from bench.foundry.tokens.codec import detokenise, tokenise
from bench.foundry.tokens.deltas import difference, restored
from bench.foundry.tokens.dense import dense_count, dense_tokens, from_dense
from bench.foundry.tokens.layout import layout_of, position_features, positions
from bench.foundry.tokens.roles import ROLES, roles_of
from tests.builders.families import moved, random_state

HEAVY, AGAIN = 50e6, 30e6


def bits(tensor):
    """Return what a tensor is made of, so that signed zeros and payloads of NaN count."""
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.contiguous().view(-1).view(kinds[tensor.element_size()])


def assert_same(first, second):
    assert list(first) == list(second) or first.keys() == second.keys()
    for name, tensor in first.items():
        other = second[name]
        assert tensor.dtype == other.dtype and tensor.shape == other.shape, name
        assert torch.equal(bits(tensor), bits(other)), name


def awkward():
    """A network with every type, shape and kind of number that occurs."""
    state = random_state(0)
    noise = torch.Generator().manual_seed(1)
    state |= {
        "scalar": torch.tensor(3.25),
        "half.weight": torch.randn(7, 5, generator=noise).half(),
        "brain.weight": torch.randn(7, 5, generator=noise).bfloat16(),
        "double.weight": torch.randn(7, 5, generator=noise, dtype=torch.float64),
        "zeros.weight": torch.zeros(3, 4),
        "signed.weight": torch.tensor([[0.0, -0.0, torch.inf, -torch.inf]]),
        "tiny.weight": torch.tensor([[1e-42, 1.0, 3e38], [1e-38, 2e5, -1e-45]]),
        "wide.weight": torch.randn(2, 1000, generator=noise) * 1e4,
        "empty": torch.zeros(0, 3),
        "mask": torch.tensor([True, False]),
    }
    return state


@pytest.mark.parametrize("scale", ["none", "power"])
@pytest.mark.parametrize("size", [1, 7, 230, 4096])
def test_the_round_trip_is_bit_exact(scale, size):
    state = awkward()
    tokens = tokenise(state, size=size, scale=scale)
    assert tokens.values.shape == (tokens.layout.tokens, size)
    assert_same(state, detokenise(tokens))
    assert set(tokens.aside) == {"empty", "mask", "blocks.0.norm.num_batches_tracked"}


def test_powers_of_two_bring_rows_to_magnitude_one():
    state = {
        "a.weight": torch.randn(50, 40, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 4, 50)[:, None]
    }
    tokens = tokenise(state, size=40, scale="power")
    spread = tokens.values.square().mean(1).sqrt()
    assert bool(((spread >= 0.49) & (spread < 1.0)).all())


def test_moments_come_back_up_to_rounding_and_exactly_for_halves():
    state = {name: value for name, value in awkward().items() if name.split(".")[0] not in ("signed", "tiny", "double")}
    tokens = tokenise(state, scale="moments")
    back = detokenise(tokens)
    for name, value in state.items():
        if value.dtype == torch.float32 and value.numel():
            largest = float(value.abs().amax())
            assert float((back[name] - value).abs().max()) <= 4 * torch.finfo(torch.float32).eps * largest, name
    assert_same({"half.weight": state["half.weight"]}, {"half.weight": back["half.weight"]})
    for slot in tokens.layout.slots:
        if slot.columns > 2 and float(state[slot.name].float().std()) > 0:
            start = slot.start * tokens.layout.size
            rows = tokens.values.view(-1)[start : start + slot.values].view(slot.rows, slot.columns)
            assert torch.allclose(rows.mean(1), torch.zeros(slot.rows), atol=1e-5), slot.name
            assert torch.allclose(rows.std(1, correction=0), torch.ones(slot.rows), atol=1e-4), slot.name


def test_constant_rows_have_no_shape():
    """Folded batch norms have a variance of 1 - eps throughout: its rounding must not be scaled up to a spread of 1."""
    state = {"norm.running_var": torch.full((999,), 1 - 1e-5), "norm.running_mean": torch.zeros(999)}
    tokens = tokenise(state, scale="moments")
    assert float(tokens.values.abs().max()) < 1e-6
    assert torch.allclose(detokenise(tokens)["norm.running_var"], state["norm.running_var"], rtol=3e-7, atol=0)


def test_padding_never_becomes_a_weight_and_weights_never_padding():
    state = {name: value for name, value in awkward().items() if value.dtype != torch.float64}
    tokens = tokenise(state, size=100)
    mask = tokens.layout.mask()
    assert int(mask.sum()) == tokens.layout.values == sum(v.numel() for v in state.values() if v.is_floating_point())
    assert bool((tokens.values[~mask] == 0).all())
    spoilt = torch.where(mask, tokens.values, torch.nan)
    assert_same(state, detokenise(tokens, spoilt))
    with pytest.raises(Incompatible, match="layout has"):
        detokenise(tokens, spoilt[1:])
    with pytest.raises(BadSetting, match="no floating-point"):
        tokenise({"count": torch.tensor(3)})


def test_what_comes_back_shares_no_memory():
    tokens = tokenise(random_state(0))
    kept = tokens.values.clone()
    for value in detokenise(tokens).values():
        value.zero_()
    assert torch.equal(tokens.values, kept)


def test_positions_are_unique_and_their_features_too():
    layout = layout_of(random_state(0), 64)
    table = positions(layout)
    assert len(torch.unique(table, dim=0)) == len(torch.unique(table[:, :4], dim=0)) == layout.tokens
    assert len(torch.unique(position_features(table), dim=0)) == layout.tokens
    swapped = table[:, [0, 2, 1, 3, 4]]  # sums of equal sines could not tell these apart
    other = (swapped != table).any(1)
    assert bool((position_features(swapped)[other] != position_features(table)[other]).any(1).all())
    far = torch.tensor([[0, 0, 0, 0, number] for number in (0, 1, 10_000, 10_001, 1_299_999, 1_300_000)])
    assert len(torch.unique(position_features(far), dim=0)) == 6


def test_roles_of_networks_of_several_kinds():
    import timm

    vit = roles_of({k: v.shape for k, v in timm.create_model("vit_tiny_patch16_224").state_dict().items()})
    assert (vit["cls_token"], vit["pos_embed"]) == ("class_token", "position")
    assert (vit["patch_embed.proj.weight"], vit["blocks.0.attn.qkv.weight"]) == ("conv", "linear")
    assert (vit["blocks.0.norm1.weight"], vit["blocks.0.norm1.bias"]) == ("norm", "bias")
    swin = roles_of({k: v.shape for k, v in timm.create_model("swin_tiny_patch4_window7_224").state_dict().items()})
    assert swin["layers.0.blocks.0.attn.relative_position_bias_table"] == "relative_position"
    convnext = roles_of({k: v.shape for k, v in timm.create_model("convnext_atto").state_dict().items()})
    assert convnext["stages.0.blocks.0.gamma"] == "layer_scale"
    resnet = roles_of({k: v.shape for k, v in timm.create_model("resnet18").state_dict().items()})
    assert (resnet["bn1.running_mean"], resnet["bn1.weight"], resnet["fc.weight"]) == (
        "batch_norm_mean",
        "norm",
        "linear",
    )
    table = roles_of({"embed.weight": (10, 8), "latlon_embed.weight": (8, 3), "latlon_embed.bias": (8,)})
    assert table == {"embed.weight": "embedding", "latlon_embed.weight": "linear", "latlon_embed.bias": "bias"}
    assert set(vit.values()) | set(swin.values()) <= set(ROLES)


def test_deltas_restore_the_child_bit_for_bit():
    base = random_state(0)
    child = moved(base, 1, 0.3) | {"head.weight": torch.randn(5, 64)}
    child["blocks.1.conv.weight"][0] *= 1e-7  # far smaller than the ancestor's: the sum would round
    delta = difference(child, base)
    assert "blocks.1.conv.weight" in delta.corrections and "head.weight" in delta.own
    assert_same(child, restored(delta, base))
    zeros = restored(delta, base, {name: torch.zeros_like(value) for name, value in delta.values.items()})
    assert torch.equal(zeros["stem.weight"], base["stem.weight"])
    with pytest.raises(Incompatible, match="no ancestor"):
        restored(delta, {})
    with pytest.raises(Incompatible, match="share no tensor"):
        difference({"a": torch.ones(2)}, {"b": torch.ones(2)})


@pytest.mark.parametrize(("name", "count"), [("resnet18", 50_848), ("mobilenetv2_100", 15_295), ("resnet50", 111_173)])
def test_published_tokens_are_as_many_as_published(name, count):
    import timm

    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    assert dense_count(state) == count


def test_published_tokens_hold_weights_and_biases_and_list_the_rest():
    state = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5, bias=False)).state_dict()
    state["token"] = torch.ones(3)
    dense = dense_tokens(state, 50)
    assert dense.layers == (("0.weight", True), ("1.weight", True), ("3.weight", False))
    assert set(dense.uncovered) == {"1.running_mean", "1.running_var", "1.num_batches_tracked", "token"}
    first = torch.cat([state["0.weight"].flatten(1), state["0.bias"][:, None]], 1).flatten()
    assert torch.equal(dense.values.flatten()[: len(first)], first) and int(dense.mask[:5].sum()) == len(first)
    assert dense.positions.tolist()[4:7] == [[4, 0, 4], [5, 1, 0], [6, 2, 0]]
    assert_same(state, from_dense(dense, state, torch.where(dense.mask, dense.values, torch.nan)))


def cases():
    for name, entry in model_catalogue.entries().items():
        if entry.weights and not entry.vectors and not lacks(entry):
            marks = [pytest.mark.heavy] if entry.parameters > HEAVY else []
            yield pytest.param(entry, marks=marks or [pytest.mark.again] * (entry.parameters > AGAIN), id=name)


@pytest.mark.parametrize("entry", cases())
def test_every_architecture_of_the_registry_comes_back_bit_for_bit(entry):
    network = entry.load(entry, None, 0, entry.bands)
    state = network.state_dict()
    for scale in ("none", "power"):
        tokens = tokenise(state, scale=scale)
        back = detokenise(tokens)
        assert_same(state, back)
    named = {slot.name for slot in tokens.layout.slots}
    assert {name for name, value in state.items() if value.is_floating_point() and value.numel()} == named
    table = positions(tokens.layout)
    assert int(table[:, 1].max()) == tokens.layout.slots[-1].depth or tokens.layout.depth == int(table[:, 1].max()) + 1
    network.load_state_dict(back)
