"""Shortened and narrowed networks compute what the kept parts of the whole one compute."""

from __future__ import annotations

import pytest
import torch

from bench.catalogue import models as model_catalogue
from bench.core import Incompatible, Structure
from bench.networks.reshaped import initialise, measured_channels, reshape, resize, structure_of

ENTRIES = model_catalogue.entries()


def images_of(entry, batch=2, seed=0):
    counts: dict[str, int] = {}
    for band in entry.bands:
        counts[band.sensor] = counts.get(band.sensor, 0) + 1
    generator = torch.Generator().manual_seed(seed)
    side = entry.image_size
    return {name: torch.randn(batch, 1, count, side, side, generator=generator) for name, count in counts.items()}


def network(name, seed=0):
    entry = ENTRIES[name]
    return entry, entry.load(entry, None, seed, entry.bands)


def test_the_first_blocks_are_those_of_the_whole_network():
    entry, whole = network("tiny_mae")
    _, other = network("tiny_mae")
    short = reshape(other, Structure(blocks=(1, 2, 3)))
    images = images_of(entry)
    names = [layer.name for layer in short.layers]
    assert names == ["embedding", "block_1", "block_2", "block_3", "norm"]
    assert [layer.depth for layer in short.layers][:4] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    with torch.inference_mode():
        for mine, full in zip(short(images, [0, 1, 2, 3]), whole(images, [0, 1, 2, 3]), strict=True):
            assert torch.equal(mine.grid, full.grid)
    assert sum(p.numel() for p in short.parameters()) < 0.6 * sum(p.numel() for p in whole.parameters())


def test_every_second_block_is_the_same_as_running_them_by_hand():
    entry, whole = network("tiny_dino")
    _, other = network("tiny_dino")
    short = reshape(other, Structure(blocks=(2, 4, 6)))
    images = images_of(entry)
    with torch.inference_mode():
        tokens = whole.embed(images["s2"][:, 0])
        for index in (1, 3, 5):
            tokens = whole.network.blocks[index](tokens)
        (tap,) = short(images, [3])
    assert torch.allclose(tap.cls, tokens[:, 0])
    assert set(short.modules_map) == {"block_1", "block_2", "block_3"}
    assert short.get_submodule(short.modules_map["block_2"]["fc1"]) is other.network.blocks[3].mlp.fc1


def test_a_block_that_changes_the_channels_cannot_be_removed():
    _, resnet = network("imagenet_resnet50")
    with pytest.raises(Incompatible, match=r"names no module|changes either"):
        reshape(resnet, Structure(blocks=(1, 2)))


@pytest.mark.parametrize("blocks", [(0, 1), (2, 1), (1, 9)])
def test_numbers_out_of_order_or_range_are_refused(blocks):
    _, vit = network("tiny_mae")
    with pytest.raises(Incompatible, match="ascending numbers from 1 to 6"):
        reshape(vit, Structure(blocks=blocks))


def test_a_narrower_mlp_is_described_and_built_again():
    entry, narrow = network("tiny_mae")
    _, whole = network("tiny_mae")
    for block in narrow.network.blocks:
        half = block.mlp.fc1.out_features // 2
        weights = (block.mlp.fc1.weight[:half], block.mlp.fc1.bias[:half], block.mlp.fc2.weight[:, :half])
        modules = (block.mlp.fc1, block.mlp.fc1, block.mlp.fc2)
        for module, name, value in zip(modules, ("weight", "bias", "weight"), weights, strict=True):
            setattr(module, name, torch.nn.Parameter(value.clone(), requires_grad=False))
    structure = structure_of(narrow, whole)
    assert set(structure.shapes) == {
        f"network.blocks.{i}.mlp.{name}" for i in range(6) for name in ("fc1.weight", "fc1.bias", "fc2.weight")
    }
    _, fresh = network("tiny_mae", seed=5)
    again = reshape(fresh, structure)
    again.load_state_dict(narrow.state_dict())
    assert again.network.blocks[0].mlp.fc1.out_features == again.network.blocks[0].mlp.fc2.in_features == half
    images = images_of(entry)
    with torch.inference_mode():
        assert torch.equal(
            again(images, [-1 % len(again.layers)])[0].grid, narrow(images, [len(narrow.layers) - 1])[0].grid
        )
    assert measured_channels(again, images) == tuple(layer.channels for layer in whole.layers)


def test_a_random_init_of_a_narrow_network_is_finite_and_follows_the_seed():
    structure = Structure(shapes={"network.blocks.0.mlp.fc1.weight": (10, 96), "network.blocks.0.mlp.fc1.bias": (10,)})
    _, first = network("tiny_mae")
    width = first.network.blocks[0].mlp.fc1.in_features
    structure = Structure(
        shapes={
            "network.blocks.0.mlp.fc1.weight": (10, width),
            "network.blocks.0.mlp.fc1.bias": (10,),
            "network.blocks.0.mlp.fc2.weight": (width, 10),
        }
    )
    drawn = []
    for seed in (0, 0, 1):
        _, narrow = network("tiny_mae")
        narrow = reshape(narrow, structure)
        initialise(narrow, structure, seed)
        drawn.append(narrow.network.blocks[0].mlp.fc1.weight.clone())
    assert torch.isfinite(drawn[0]).all() and torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_unknown_parameters_are_named():
    _, vit = network("tiny_mae")
    with pytest.raises(Incompatible, match=r"no parameter network.blocks\.0\.mlp\.fc1\.scale"):
        resize(vit, "network.blocks.0.mlp.fc1.scale", (3,))
    with pytest.raises(Incompatible, match=r"no module network\.trunk"):
        resize(vit, "network.trunk.weight", (3,))
