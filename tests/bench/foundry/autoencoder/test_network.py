"""Sizes as published, nothing leaks through padding, and the published state is imported whole or not at all."""

from __future__ import annotations

import pytest
import torch

from bench.core.errors import MissingWeights
from bench.foundry.autoencoder.losses import contrast, masked_error, normalised_error
from bench.foundry.autoencoder.network import WeightAutoencoder, parameter_groups, summed_sines
from bench.foundry.autoencoder.published import load_renamed
from bench.foundry.autoencoder.settings import SIZES, Size
from bench.foundry.autoencoder.sources import TokenSource, batch_of, draw
from tests.builders.families import random_state

SMALL = Size(token=10, latent=4, width=16, blocks=2, heads=2, window=12, projection=6, published=True)


@pytest.mark.parametrize("name", SIZES)
def test_counts_are_those_of_the_network(name):
    with torch.device("meta"):
        network = WeightAutoencoder(SIZES[name])
    decayed, others = ([value.numel() for value in group["params"]] for group in parameter_groups(network, 0.0))
    assert (sum(decayed), sum(others)) == SIZES[name].counts()
    if name == "paper":
        assert (sum(decayed), sum(others), len(decayed), len(others)) == (909_036_420, 101_854, 134, 72)


def source(seed, size, **changes):
    state = random_state(seed) | changes
    return TokenSource(f"net{seed}", f"net{seed}", lambda: state, size)


@pytest.mark.parametrize("preset", ["tiny", "tiny-paper"])
def test_padding_of_tokens_and_windows_never_leaks(preset):
    size = SIZES[preset]
    model = source(0, size)
    network = WeightAutoencoder(size).eval()
    short = batch_of([(model, 0, 20)], 20)
    long = batch_of([(model, 0, 20)], 50)
    spoilt = torch.where(long.mask, long.values, torch.full((), 1e6))
    with torch.no_grad():
        expected, codes = network(short.values, short.mask, short.positions)
        output, padded = network(spoilt, long.mask, long.positions)
        assert torch.allclose(output[:, :20], expected, atol=1e-5) and torch.allclose(padded[:, :20], codes, atol=1e-5)
        projected = network.project(padded, long.mask)
        assert torch.allclose(projected, network.project(codes, short.mask), atol=1e-4)
    noise = torch.where(long.mask, output, torch.full((), 7.0))
    for loss in (masked_error, normalised_error):
        assert torch.allclose(loss(output, long.values, long.mask), loss(noise, spoilt, long.mask))


@pytest.mark.parametrize("preset", ["tiny", "tiny-paper"])
def test_ranges_read_alone_are_those_of_the_whole(preset):
    model = source(0, SIZES[preset])
    whole = model.read(0, model.layout.tokens)
    for first, last in ((0, 1), (3, 40), (model.layout.tokens - 5, model.layout.tokens)):
        for part, all_ in zip(model.read(first, last), whole, strict=True):
            assert torch.equal(part, all_[first:last])
    assert int(whole[1].sum()) - (0 if SIZES[preset].published else 2 * model.layout.tokens) == model.layout.values


def test_models_are_drawn_with_equal_chance_whatever_their_size():
    size = SIZES["tiny"]
    large = source(0, size)
    small = TokenSource("small", "small", lambda: {"a.weight": torch.full((4, 64), 3.0)}, size)
    batch = draw([large, small], 400, size.window, torch.Generator().manual_seed(0))
    share = float((batch.mask.any(-1).sum(1) == small.layout.tokens).float().mean())
    assert 0.4 < share < 0.6
    again = draw([large, small], 400, size.window, torch.Generator().manual_seed(0))
    assert torch.equal(batch.values, again.values)


def test_losses_are_as_defined():
    target = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    output, mask = torch.zeros_like(target), torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(1)) > 0.3
    real = target[mask]
    assert torch.isclose(masked_error(output, target, mask), real.square().mean())
    standard = (
        (0 - real.mean()) / (real.std(correction=0) + 1e-4),
        (real - real.mean()) / (real.std(correction=0) + 1e-4),
    )
    assert torch.isclose(normalised_error(output, target, mask), (standard[0] - standard[1]).square().mean())
    views = torch.eye(4)
    alike = contrast(views, views, 0.1)
    assert torch.isclose(alike, torch.log1p(6 * torch.exp(torch.tensor(-10.0))), atol=1e-6)
    assert contrast(views, views.roll(1, 0), 0.1) > 5


def published_state():
    """Return a state of the published kind of names with values of its own."""
    shapes = {"tokenizer": (16, 10), "encoder_comp": (4, 16), "decoder_comp": (16, 4), "detokenizer": (10, 16)}
    generator = torch.Generator().manual_seed(0)
    state = {f"{name}.weight": torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    state |= {f"{name}.bias": torch.randn(shape[0], generator=generator) for name, shape in shapes.items()}
    inner = {"ln_1": (16,), "attn.c_attn": (48, 16), "attn.c_proj": (16, 16), "ln_2": (16,)}
    inner |= {"mlp.c_fc": (64, 16), "mlp.c_proj": (16, 64)}
    for side in ("transformer_encoder", "transformer_decoder"):
        for block in range(2):
            for name, shape in inner.items():
                state[f"{side}.transformer.{block}.{name}.weight"] = torch.randn(shape, generator=generator)
    for place, shape in {0: (6, 48), 1: (6,), 3: (6, 6), 4: (6,)}.items():
        state[f"projection_head.head.{place}.weight"] = torch.randn(shape, generator=generator)
    for place in (1, 4):
        state[f"projection_head.head.{place}.bias"] = torch.randn(6, generator=generator)
    return state


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "module._orig_mod."])
def test_a_published_state_is_imported_by_its_names(prefix):
    network, state = WeightAutoencoder(SMALL), published_state()
    load_renamed(network, {prefix + key: value for key, value in state.items()}, "state")
    assert torch.equal(network.embed.weight, state["tokenizer.weight"])
    assert torch.equal(network.decoder[1].qkv.weight, state["transformer_decoder.transformer.1.attn.c_attn.weight"])
    assert torch.equal(network.projection[4].bias, state["projection_head.head.4.bias"])
    given = {value.data_ptr(): key for key, value in state.items()}
    assert len(given) == len(network.state_dict())


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
def test_a_partial_load_is_an_error_and_changes_nothing(fault):
    network, state = WeightAutoencoder(SMALL), published_state()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    if fault == "missing":
        del state["transformer_encoder.transformer.1.ln_2.weight"]
    elif fault == "unknown":
        state["pe.weight"] = torch.zeros(3)
    else:
        state["tokenizer.weight"] = torch.zeros(16, 11)
    with pytest.raises(MissingWeights, match="no state of this autoencoder"):
        load_renamed(network, state, "state")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_published_positions_cannot_tell_swapped_coordinates_apart():
    """Why the default concatenates them."""
    assert torch.allclose(summed_sines(torch.tensor([5, 2, 9]), 16), summed_sines(torch.tensor([9, 5, 2]), 16))
