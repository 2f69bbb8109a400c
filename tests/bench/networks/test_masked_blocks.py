"""Masked tokens do not influence visible ones, and blocks without a mask are those of timm."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import Block as TimmBlock

from bench.networks.backbones import seeded
from bench.networks.masked_blocks import Block, mean_of_visible
from tests.builders.networks import assert_close, differ, normal

pytestmark = pytest.mark.usefixtures("no_gradients")
VISIBLE = torch.tensor([[True, True, False, True, False], [True] * 5])


@pytest.mark.parametrize("joint", [True, False])
def test_masked_tokens_do_not_influence_visible_ones(joint: bool) -> None:
    block, tokens = seeded(lambda: Block(16, 4, joint=joint), 0), normal(2, 5, 16)
    changed = torch.where(VISIBLE[..., None], tokens, tokens + 1)
    expected = block(tokens, VISIBLE)
    assert_close(block(changed, VISIBLE)[VISIBLE], expected[VISIBLE])
    assert differ(block(changed)[VISIBLE], expected[VISIBLE])
    assert_close(block(tokens[1:])[0], expected[1])
    shorter = block(tokens[:1, VISIBLE[0]])
    assert_close(shorter[0], expected[0, VISIBLE[0]])


def test_a_block_without_a_mask_is_timms() -> None:
    block, published = seeded(lambda: Block(16, 4, joint=True, eps=1e-6), 0), TimmBlock(16, 4, qkv_bias=True).eval()
    published.norm1.eps = published.norm2.eps = 1e-6
    published.load_state_dict(block.state_dict())
    tokens = normal(2, 5, 16)
    assert_close(block(tokens), published(tokens))


def test_the_mean_is_over_visible_tokens() -> None:
    tokens = normal(2, 5, 3)
    mean = mean_of_visible(tokens, VISIBLE)
    assert_close(mean[0], tokens[0, [0, 1, 3]].mean(0))
    assert_close(mean[1], tokens[1].mean(0))
    assert_close(mean_of_visible(tokens, None), tokens.mean(1))
