"""The sub-modules of transformer blocks: canonical names, and the paths under which each architecture keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SUBMODULES = (
    *("norm1", "qkv", "q", "k", "v", "proj"),
    *("cross_norm", "cross_q", "cross_k", "cross_v", "cross_proj"),
    *("norm2", "fc1", "fc3", "act", "fc2", "out"),
)
"""Every canonical name, in the order of computation.

``norm1``, ``qkv`` and ``proj`` belong to the self-attention; a network that projects queries, keys and values
separately has ``q``, ``k`` and ``v`` instead of ``qkv``. The names that start with ``cross_`` belong to a
cross-attention. ``norm2``, ``fc1``, ``act`` and ``fc2`` belong to the feed-forward network; a gated one has a second
first layer, ``fc3``. ``out`` is the module whose output is the output of the block.
"""

_FEED_FORWARD = {"norm2": "norm2", "fc1": "mlp.fc1", "act": "mlp.act", "fc2": "mlp.fc2", "out": ""}
TIMM_BLOCK = {"norm1": "norm1", "qkv": "attn.qkv", "proj": "attn.proj", **_FEED_FORWARD}
"""Paths within timm's ``Block``, which torchgeo and terratorch use too; the empty path is the block itself."""
SPLIT_BLOCK = {"norm1": "norm1", "q": "attn.q", "k": "attn.k", "v": "attn.v", "proj": "attn.proj", **_FEED_FORWARD}
"""Paths within a block that differs from timm's in projecting queries, keys and values separately."""
TORCHVISION_SWIN_BLOCK = TIMM_BLOCK | {"fc1": "mlp.0", "act": "mlp.1", "fc2": "mlp.3"}
"""Paths within torchvision's ``SwinTransformerBlock`` and ``SwinTransformerBlockV2``."""


def map_modules(blocks: Sequence[str], submodules: Mapping[str, str], *, first: int = 1) -> dict[str, dict[str, str]]:
    """Return the part of a backbone's `bench.core.ModulesMap` for consecutive blocks of one kind.

    Args:
        blocks: path of each block below the backbone, shallow to deep.
        submodules: canonical name -> path below the block, such as `TIMM_BLOCK`.
        first: number of the first block.
    """
    return {
        f"block_{number}": {name: f"{block}.{path}".rstrip(".") for name, path in submodules.items()}
        for number, block in enumerate(blocks, first)
    }
