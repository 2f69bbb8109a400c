"""Each way of tuning changes the parameters it names, and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.core.errors import BadSetting, Incompatible
from bench.finetuning.fit import fit
from bench.finetuning.tuning import depths, parameter_groups, recompute_blocks, tune
from tests.builders.arms import ENTRY, an_arm, load_tiny, outcome
from tests.builders.suite_and_model import BANDS


def states(backbone):
    return {name: value.clone() for name, value in backbone.state_dict().items()}


def changed(arm):
    """Return the names of the backbone's parameters that training changes, and the state after it."""
    before = states(arm.workbench.own_backbone(scratch=arm.tuning == "scratch"))
    after = states(fit(arm, 0, 3e-3).task_model.backbone)
    base = {name.replace(".base_layer", ""): value for name, value in after.items() if "lora_" not in name}
    assert base.keys() == before.keys()
    return {name for name in before if not torch.equal(before[name], base[name])}, after


def test_frozen_leaves_the_backbone_bit_identical(tmp_path):
    # Augmented, so that the network is run; still it does not change.
    moved, _ = changed(an_arm(tmp_path, augment=("flips",)))
    assert moved == set()


def test_lora_touches_only_its_own(tmp_path):
    moved, after = changed(an_arm(tmp_path, tuning="lora"))
    assert moved == set()
    second = [value for name, value in after.items() if "lora_B" in name]
    assert len(second) == 4 * 4 and all(bool(value.any()) for value in second)  # qkv, proj, fc1, fc2 of four blocks


@pytest.mark.parametrize(
    ("tuning", "parts"), [("fc1", ("mlp.fc1",)), ("norms", ("norm1", "norm2")), ("attention", ("attn.",))]
)
def test_one_type_of_module_is_tuned_alone(tmp_path, tuning, parts):
    moved, _ = changed(an_arm(tmp_path, tuning=tuning))
    assert moved and all(any(part in name for part in parts) for name in moved)
    assert {name.split(".")[2] for name in moved} == {"0", "1", "2", "3"}


def test_full_tuning_reaches_every_block_and_the_head_comes_first_where_asked(tmp_path):
    moved, _ = changed(an_arm(tmp_path / "full", tuning="full"))
    assert {name.split(".")[2] for name in moved if ".blocks." in name} == {"0", "1", "2", "3"}
    alone, _ = changed(an_arm(tmp_path / "head", tuning="head-then-full", head_share=1.0))
    assert alone == set()
    later, _ = changed(an_arm(tmp_path / "both", tuning="head-then-full", head_share=0.5))
    assert later == moved


def test_lower_blocks_learn_slower_and_what_lies_before_them_slowest():
    backbone = load_tiny(ENTRY, None, 0, BANDS)
    tune(backbone, "full")
    depth = depths(backbone)
    assert depth["network.pos_embed"] == 0 and depth["network.blocks.0.attn.qkv.weight"] == 0.25
    assert depth["network.blocks.3.mlp.fc2.weight"] == depth["network.norm.weight"] == 1
    groups = parameter_groups(backbone, [], rate=1.0, backbone_rate=0.1, decay=0.5, weight_decay=0.05)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    named = dict(backbone.named_parameters())
    assert rate[id(named["network.blocks.3.attn.qkv.weight"])] == pytest.approx(0.1)
    assert rate[id(named["network.blocks.0.attn.qkv.weight"])] == pytest.approx(0.1 * 0.5**3)
    assert rate[id(named["network.patch_embed.proj.weight"])] == pytest.approx(0.1 * 0.5**4)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(named["network.norm.weight"])] == 0 and decay[id(named["network.blocks.3.attn.qkv.weight"])] == 0.05


def test_networks_without_such_modules_are_refused_by_name():
    class Plain(torch.nn.Module):
        layers, modules_map = (), {}

    with pytest.raises(Incompatible, match="tuning=lora: the network names no such modules"):
        tune(Plain(), "lora")


def test_from_scratch_starts_at_random_and_differs_with_the_seed(tmp_path):
    arms = [an_arm(tmp_path / str(seed), tuning="scratch", seed=seed) for seed in (0, 1)]
    first, second = (arm.build().backbone.state_dict() for arm in arms)
    name = "network.blocks.0.attn.qkv.weight"
    assert not torch.equal(first[name], second[name])
    moved, _ = changed(arms[0])
    assert "network.patch_embed.proj.weight" in moved


def test_recomputing_blocks_changes_no_number(tmp_path, monkeypatch):
    from timm.layers import Mlp

    settings = {"tuning": "full", "steps": 5, "augment": ("none",)}
    seen, real = [], Mlp.forward
    monkeypatch.setattr(Mlp, "forward", lambda self, x: seen.append(torch.is_grad_enabled()) or real(self, x))
    _, plain = outcome(tmp_path / "kept", **settings)
    once = sum(seen)
    seen.clear()
    _, recomputed = outcome(tmp_path / "again", checkpointing=True, **settings)
    assert once == 5 * 4 and sum(seen) == 2 * once, "each of the four blocks is computed twice a step"
    np.testing.assert_allclose(plain["history"], recomputed["history"], rtol=1e-4, atol=1e-5)


def test_a_network_without_blocks_of_its_own_cannot_recompute_them():
    class Plain(torch.nn.Module):
        layers, modules_map = (), {}

    with pytest.raises(BadSetting, match="toy_small has no blocks that can be computed again"):
        recompute_blocks(Plain(), "toy_small")
