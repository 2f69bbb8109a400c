"""Lineage across libraries: real architectures under the names that timm, torchvision and others give them."""

from __future__ import annotations

import torch

from bench.foundry.collection.lineage import likeness, relation_of
from bench.foundry.collection.sketches import sketch


def relation(first, second, folder):
    measured = likeness(sketch(first, folder / "a"), sketch(second, folder / "b"))
    return relation_of(measured), measured


def test_a_mobilenet_of_timm_is_that_of_torchvision(tmp_path):
    import timm
    import torchvision

    torch.manual_seed(0)
    given = torchvision.models.mobilenet_v2().state_dict()
    torch.manual_seed(1)
    other = timm.create_model("mobilenetv2_100").state_dict()
    assert relation(given, other, tmp_path)[0] == "unrelated"
    copied = dict(zip(other, given.values(), strict=True))  # both libraries list the same tensors in the same order
    assert all(value.shape == other[name].shape for name, value in copied.items())
    assert relation(given, copied, tmp_path)[0] == "duplicate"
    noise = torch.Generator().manual_seed(2)
    child = {
        name: value + 0.5 * value.std() * torch.randn(value.shape, generator=noise) if value.ndim > 1 else value
        for name, value in copied.items()
    }
    named, measured = relation(given, child, tmp_path)
    assert named == "lineage" and 0.8 < measured.cosine < 0.95


def test_fused_queries_keys_and_values_are_those_stored_apart(tmp_path):
    import timm

    torch.manual_seed(0)
    given = timm.create_model("vit_tiny_patch16_224", depth=3, num_classes=0).state_dict()
    apart = {}
    for name, value in given.items():
        if ".qkv." in name:
            stem, _, leaf = name.partition("qkv.")
            apart |= {f"{stem}{part}.{leaf}": piece for part, piece in zip("qkv", value.chunk(3), strict=True)}
        else:
            apart[name.replace("blocks", "encoder.layer")] = value
    assert relation(given, apart, tmp_path)[0] == "duplicate"


def test_a_backbone_within_a_larger_network_is_recognised(tmp_path):
    import timm

    torch.manual_seed(0)
    given = timm.create_model("resnet10t", num_classes=1000).state_dict()
    within = {f"model.encoder.{name}": value for name, value in given.items() if not name.startswith("fc")}
    within |= {f"model.decoder.{place}.weight": torch.randn(256, 256, 3, 3) for place in range(3)}
    assert relation(given, within, tmp_path)[0] == "duplicate"
