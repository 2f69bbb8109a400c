"""A transformer block whose tokens attend to visible tokens only, for networks whose input has gaps.

A mask of visible tokens is a boolean tensor (B, N), or None where all tokens are visible.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Self-attention over visible tokens.

    Args:
        width: channels of a token.
        heads: number of heads.
        joint: whether queries, keys and values have one projection, ``qkv``, instead of three, ``q``, ``k`` and ``v``.
    """

    def __init__(self, width: int, heads: int, *, joint: bool) -> None:
        super().__init__()
        self.heads, self.joint = heads, joint
        if joint:
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return the attention's output (B, N, D) for tokens (B, N, D); attended are the `visible` ones (B, N)."""
        parts = self.qkv(tokens).chunk(3, 2) if self.joint else (self.q(tokens), self.k(tokens), self.v(tokens))
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        mask = None if visible is None else visible[:, None, None]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class Block(nn.Module):
    """A transformer block with norms before its parts and a feed-forward network four times as wide as its tokens.

    Args:
        width: see `Attention`.
        heads: see `Attention`.
        joint: see `Attention`.
        eps: added to the variance in the norms.
    """

    def __init__(self, width: int, heads: int, *, joint: bool, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads, joint=joint)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width))
        )

    def forward(self, tokens: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return tokens (B, N, D) of tokens (B, N, D); only those where `visible` (B, N) is true are attended to."""
        tokens = tokens + self.attn(self.norm1(tokens), visible)
        updated: Tensor = tokens + self.mlp(self.norm2(tokens))
        return updated


def mean_of_visible(tokens: Tensor, visible: Tensor | None) -> Tensor:
    """Return the mean (B, D) over the visible ones of tokens (B, N, D)."""
    if visible is None:
        return tokens.mean(1)
    weight = visible[..., None].to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1)
