"""The networks of the tiny zoo, built of timm's and torchgeo's parts at random init."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torchgeo.models import CROMA
from torchgeo.models.croma import BaseTransformer, BaseTransformerCrossAttn

from bench.core import Band, ModelEntry


def vision_transformer(*, channels: int, width: int, depth: int, heads: int, image_size: int, patch: int) -> Any:
    """Return a timm ``VisionTransformer`` without a head, for images of any size in whole patches.

    Its position embedding starts from the two-dimensional sine-cosine one (He et al. 2022, appendix A.1), zero for the
    class token, and is interpolated for other image sizes.

    Args:
        channels: number of input bands.
        width: channels of a token, a multiple of 4 and of `heads`.
        depth: number of blocks.
        heads: of the attention.
        image_size: side in pixels whose grid the position embedding has.
        patch: side of a patch in pixels.
    """
    network = VisionTransformer(
        img_size=image_size,
        patch_size=patch,
        in_chans=channels,
        num_classes=0,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        dynamic_img_size=True,
    )
    grid = (image_size // patch, image_size // patch)
    network.pos_embed.data.zero_()
    network.pos_embed.data[0, 1:] = build_sincos2d_pos_embed(list(grid), dim=width, interleave_sin_cos=True)
    return network


def croma(sensors: Collection[str], *, width: int, depth: int, heads: int, image_size: int) -> CROMA:
    """Return torchgeo's ``CROMA`` with the parts that `sensors` need, at another number of heads than its sixteen.

    Args:
        sensors: ``s2`` (12 bands), ``s1`` (2 bands), or both.
        width: channels of a token, a multiple of `heads`.
        depth: blocks of the optical encoder; the radar and the joint encoder have half as many.
        heads: of the attention, a power of two.
        image_size: side in pixels.
    """
    names = {"s1": "sar", "s2": "optical"}
    # torchgeo fixes sixteen heads for the encoders of one sensor: make the network without blocks, then give it some.
    network = CROMA(
        [names[sensor] for sensor in sorted(sensors)],
        encoder_dim=width,
        encoder_depth=0,
        num_heads=heads,
        image_size=image_size,
    )
    network.encoder_depth = depth
    for sensor, blocks in (("s2", depth), ("s1", depth // 2)):
        if sensor in sensors:
            encoder: Any = network.get_submodule(f"{sensor}_encoder")
            encoder.depth, encoder.num_heads = blocks, heads
            encoder.transformer = BaseTransformer(width, blocks, num_heads=heads)
    if len(sensors) == 2:
        network.joint_encoder = BaseTransformerCrossAttn(width, depth // 2, num_heads=heads)
    del network.attn_bias  # follows from the grid; not a weight
    return network


def network(entry: ModelEntry, bands: tuple[Band, ...]) -> Any:
    """Return an entry's network for `bands`, at random init drawn from torch's default generator."""
    if entry.objective == "multimodal":
        # An entry counts the blocks of the longest way: the optical encoder's, then the joint one's, half as many.
        sensors = {band.sensor for band in bands}
        return croma(sensors, width=entry.width, depth=entry.depth * 2 // 3, heads=4, image_size=entry.image_size)
    return vision_transformer(
        channels=len(bands),
        width=entry.width,
        depth=entry.depth,
        heads=3,
        image_size=entry.image_size,
        patch=entry.patch,
    )
