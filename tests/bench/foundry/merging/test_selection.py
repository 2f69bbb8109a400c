"""Weight selection takes evenly spaced elements, the documented ones."""

from __future__ import annotations

import pytest
import torch

from bench.catalogue import models as model_catalogue
from bench.core import Incompatible
from bench.foundry.merging.selection import select_elements, select_state, spaced


def test_indices_are_every_nth_or_evenly_spaced():
    assert spaced(8, 4).tolist() == [0, 2, 4, 6]
    assert spaced(8, 8).tolist() == list(range(8))
    assert spaced(7, 3).tolist() == [0, 3, 6]
    assert spaced(10, 4).tolist() == [0, 3, 6, 9]


def test_half_width_takes_every_second_element_along_every_dimension():
    value = torch.arange(32.0).reshape(4, 8)
    assert select_elements(value, (2, 4)).tolist() == [[0, 2, 4, 6], [16, 18, 20, 22]]


def test_queries_keys_and_values_are_selected_one_by_one():
    """Of two heads' maps in one matrix, 5 rows each, three rows are taken of each and none is mixed up."""
    fused = torch.arange(15.0)
    assert select_elements(fused, (9,), parts=3).tolist() == [0, 2, 4, 5, 7, 9, 10, 12, 14]
    larger, smaller = {"attn.qkv.bias": fused}, {"attn.qkv.bias": torch.zeros(9)}
    assert select_state(larger, smaller)["attn.qkv.bias"].tolist() == [0, 2, 4, 5, 7, 9, 10, 12, 14]


def test_the_same_size_is_the_identity():
    entry = model_catalogue.entries()["tiny_mae"]
    state = entry.load(entry, None, 0, entry.bands).state_dict()
    selected = select_state(state, {name: torch.zeros_like(value) for name, value in state.items()})
    assert all(torch.equal(selected[name], value) for name, value in state.items())


def test_the_blocks_of_a_vision_transformer_are_the_first_ones():
    import timm

    sizes = {"patch_size": 8, "img_size": 32, "num_classes": 0}
    larger = timm.create_model("vit_tiny_patch16_224", embed_dim=48, depth=4, num_heads=4, **sizes).state_dict()
    smaller = timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=2, num_heads=2, **sizes).state_dict()
    selected = select_state(larger, smaller)
    assert torch.equal(selected["blocks.1.mlp.fc1.weight"], larger["blocks.1.mlp.fc1.weight"][::2, ::2])
    assert torch.equal(selected["blocks.0.attn.qkv.weight"], larger["blocks.0.attn.qkv.weight"][::2, ::2])
    assert torch.equal(selected["pos_embed"], larger["pos_embed"][..., ::2])


def test_blocks_of_a_convolutional_network_are_matched_by_stage():
    import timm

    larger = timm.create_model("resnet26", num_classes=0, block_args={}).state_dict()
    smaller = {name: value for name, value in larger.items() if not name.startswith(("layer1.1", "layer3.1"))}
    selected = select_state(larger, smaller)
    assert torch.equal(selected["layer4.0.conv1.weight"], larger["layer4.0.conv1.weight"])


@pytest.mark.parametrize(
    ("smaller", "text"),
    [
        ({"c": torch.zeros(2)}, "no counterpart"),
        ({"a": torch.zeros(5, 2)}, "nowhere larger"),
        ({"a": torch.zeros(2)}, "nowhere larger"),
    ],
)
def test_students_of_another_family_are_refused(smaller, text):
    with pytest.raises(Incompatible, match=text):
        select_state({"a": torch.zeros(4, 4)}, smaller)
