"""Building networks with or without a file, reading their input, and taking taps along their layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bench.core import Band, Tap
from bench.core.errors import Incompatible, MissingWeights
from bench.networks import backbones
from bench.networks.backbones import (
    built,
    frozen,
    grid_of,
    outputs_along,
    seeded,
    stack_sensors,
    stacking_order,
    tap_along,
    transformer_layers,
)
from tests.builders.networks import S1, S2, TINY_VIT, assert_close, assert_same_weights, normal, tiny_vit

pytestmark = pytest.mark.usefixtures("no_gradients")


def build() -> VisionTransformer:
    return VisionTransformer(**TINY_VIT)


# Building a network


def test_the_seed_decides_every_bit_and_the_callers_generator_is_kept() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first, same, other = (seeded(lambda: nn.Linear(5, 5), seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.weight, same.weight) and not torch.equal(first.weight, other.weight)
    assert not first.training and not first.weight.requires_grad


def test_weights_of_a_file_are_held_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file the network is not built in memory of its own, unless it computes what the file does not hold."""
    path, published = tmp_path / "vit.safetensors", tiny_vit()
    save_file(published.state_dict(), path)
    seeds = []
    monkeypatch.setattr(backbones, "seeded", lambda build, seed: (seeds.append(seed), frozen(build()))[1])
    again = built(build, path, seed=3, entry="vit")
    assert not seeds and not any(parameter.is_meta for parameter in again.parameters())
    assert_same_weights(again, published)
    pixels = normal(1, 3, 32, 32)
    assert_close(again(pixels), published(pixels))

    class Coded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)
            self.register_buffer("code", torch.arange(2.0), persistent=False)

    save_file(Coded().state_dict(), tmp_path / "coded.safetensors")
    coded = built(Coded, tmp_path / "coded.safetensors", seed=3, entry="coded")
    assert seeds == [3] and coded.code.tolist() == [0.0, 1.0]


def test_a_norm_that_a_publisher_leaves_out_is_plain(tmp_path: Path) -> None:
    state = {key: value + 1 for key, value in tiny_vit().state_dict().items()}
    path = tmp_path / "lacking.safetensors"
    save_file({key: value for key, value in state.items() if not key.startswith("norm.")}, path)
    network = built(build, path, seed=0, entry="vit", plain_norm="norm")
    assert (network.norm.weight == 1).all() and (network.norm.bias == 0).all()
    with pytest.raises(MissingWeights, match=r"2 missing from the file \(norm\.weight, norm\.bias\)"):
        built(build, path, seed=0, entry="vit")
    del state["norm.bias"]
    save_file(state, path)
    with pytest.raises(MissingWeights, match=r"1 missing from the file \(norm\.bias\)"):
        built(build, path, seed=0, entry="vit", plain_norm="norm")


def test_values_that_are_not_finite_are_refused_with_their_number(tmp_path: Path) -> None:
    state, path = tiny_vit().state_dict(), tmp_path / "vit.safetensors"
    for index, key in enumerate(["cls_token", "norm.bias", *(f"blocks.{i}.norm1.bias" for i in range(3))]):
        state[key] = state[key].clone()
        state[key].flatten()[: index + 1] = torch.nan if index % 2 else torch.inf
    save_file(state, path)
    with pytest.raises(MissingWeights) as caught:
        built(build, path, seed=0, entry="my_vit")
    message = str(caught.value)
    assert message.startswith(f"{path} does not hold usable weights of my_vit: 15 values are NaN or infinite (")
    assert "(1 of 48 in cls_token, 3 of 48 in blocks.0.norm1.bias, " in message
    assert "5 of 48 in blocks.2.norm1.bias, and 1 more)" in message


def test_large_finite_values_are_accepted(tmp_path: Path) -> None:
    """Their sum overflows, but each of them is finite."""
    state = {key: torch.full_like(value, 3e38) * value.sign() for key, value in nn.Linear(9, 9).state_dict().items()}
    state["bias"] = torch.full((9,), 3e38)
    save_file(state, tmp_path / "large.safetensors")
    network = built(lambda: nn.Linear(9, 9), tmp_path / "large.safetensors", seed=0, entry="large")
    assert torch.equal(network.bias, state["bias"])


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_state_of_constants_is_refused(tmp_path: Path, value: float) -> None:
    state = {key: torch.full_like(tensor, value) for key, tensor in tiny_vit().state_dict().items()}
    save_file(state, tmp_path / "vit.safetensors")
    with pytest.raises(
        MissingWeights, match=rf"my_vit: every matrix in it is constant, e\.g\. cls_token is {value:g} th"
    ):
        built(build, tmp_path / "vit.safetensors", seed=0, entry="my_vit")
    state["blocks.2.mlp.fc2.weight"] = normal(48, 192)
    save_file(state, tmp_path / "vit.safetensors")
    built(build, tmp_path / "vit.safetensors", seed=0, entry="my_vit")


def test_a_network_without_parameters_takes_no_file(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(1)}, tmp_path / "mine.safetensors")
    with pytest.raises(MissingWeights, match=r"control: its network has no parameters, so the weights in .*mine\.safe"):
        built(nn.ReLU, tmp_path / "mine.safetensors", seed=0, entry="control")
    assert isinstance(built(nn.ReLU, None, seed=0, entry="control"), nn.ReLU)


# Reading the input


def test_sensors_are_stacked_in_the_order_of_the_bands() -> None:
    s1, s2 = normal(2, 1, 2, 4, 4, seed=1), normal(2, 1, 12, 4, 4, seed=2)
    stacked = stack_sensors({"s1": s1, "s2": s2}, (*S2, *S1))
    assert torch.equal(stacked, torch.cat([s2[:, 0], s1[:, 0]], 1))


def test_the_order_of_the_channels_groups_bands_by_sensor() -> None:
    bands = [Band(name=name, unit="dn") for name in ("s2.b04", "s1.vv", "s2.b02", "dem.height", "s1.vh")]
    names = [band.name for band in stacking_order(bands)]
    assert names == ["s2.b04", "s2.b02", "s1.vv", "s1.vh", "dem.height"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"s2": normal(1, 1, 2, 4, 4)}, "loaded for s1; the images have s2"),
        ({}, "loaded for s1; the images have none"),
        ({"s1": normal(1, 3, 2, 4, 4)}, r"s1: images of shape \(1, 3, 2, 4, 4\); expected \(B, 1, 2, H, W\)"),
        ({"s1": normal(1, 1, 5, 4, 4)}, r"s1: images of shape \(1, 1, 5, 4, 4\)"),
        ({"s1": normal(1, 2, 4, 4)}, r"s1: images of shape \(1, 2, 4, 4\)"),
    ],
)
def test_other_images_are_refused(images: dict[str, Tensor], message: str) -> None:
    with pytest.raises(Incompatible, match=message):
        stack_sensors(images, S1)


def test_the_grid_counts_whole_patches() -> None:
    assert grid_of(torch.zeros(1, 3, 32, 48), 16) == (2, 3)
    with pytest.raises(Incompatible, match=r"\(32, 40\) pixels; the network takes multiples of its patch, 16"):
        grid_of(torch.zeros(1, 3, 32, 40), 16)


# Taking taps


def test_states_are_computed_only_up_to_the_deepest_layer() -> None:
    computed = []

    def step(state: Tensor) -> Tensor:
        computed.append(int(state))
        return state + 1

    states = outputs_along(torch.zeros(1, 1, 1, 1), [step] * 3)
    layers = transformer_layers(3, 1, 1, norm=False)
    taps = tap_along(states, [2, 0, 2], layers, lambda index, state: Tap(state, state.flatten(1)))
    assert [tap.vector.item() for tap in taps] == [2, 0, 2] and computed == [0, 1]


def test_a_layer_that_does_not_exist_is_refused() -> None:
    def states() -> Iterator[Tensor]:
        yield torch.zeros(1)

    layers = transformer_layers(2, 8, 4, norm=True)
    for index in (4, -1):
        with pytest.raises(IndexError, match=rf"no layer {index}; there are 0\.\.3 \(embedding\.\.norm\)"):
            tap_along(states(), [0, index], layers, lambda _, state: Tap(state, state))


def test_layers_of_a_transformer_have_relative_depths() -> None:
    layers = transformer_layers(2, 8, 4, norm=True)
    assert [(layer.name, layer.depth) for layer in layers] == [
        ("embedding", 0.0), ("block_1", 0.5), ("block_2", 1.0), ("norm", 1.0),
    ]  # fmt: skip
    assert {(layer.channels, layer.stride) for layer in layers} == {(8, 4)}
