"""A transformer block whose tokens attend to the visible ones only, for networks whose input has gaps."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Self-attention over visible tokens.

    Args:
        width: channels of a token.
        heads: number of heads.
        joint: one projection ``qkv`` for queries, keys and values, else ``q``, ``k`` and ``v``.
    """

    def __init__(self, width: int, heads: int, *, joint: bool) -> None:
        super().__init__()
        self.heads, self.joint = heads, joint
        if joint:
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, visible: Tensor | None) -> Tensor:
        """Return (B, N, D) -> (B, N, D); `visible` (B, N) says which tokens are attended to."""
        parts = self.qkv(tokens).chunk(3, 2) if self.joint else (self.q(tokens), self.k(tokens), self.v(tokens))
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        mask = None if visible is None else visible[:, None, None]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """A pre-norm transformer block with an MLP four times as wide; arguments as of `Attention`."""

    def __init__(self, width: int, heads: int, *, joint: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, joint=joint)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width))
        )

    def forward(self, tokens: Tensor, visible: Tensor | None) -> Tensor:
        """Return (B, N, D) -> (B, N, D)."""
        tokens = tokens + self.attn(self.norm1(tokens), visible)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out
