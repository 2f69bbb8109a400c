"""The networks of the tiny zoo, built of timm's and torchgeo's parts at random init."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torchgeo.models import CROMA
from torchgeo.models.croma import BaseTransformer, BaseTransformerCrossAttn

from bench.core import Band, ModelEntry

VIT_HEADS = 3
CROMA_HEADS = 4


def tiny_network(entry: ModelEntry, bands: tuple[Band, ...]) -> Any:
    """Return the network of an entry for `bands`, at random init drawn from torch's default generator.

    Args:
        entry: an entry of `bench.models.tiny`.
        bands: the bands that will be fed, all bands of each sensor among them.
    """
    if entry.objective == "multimodal":
        # The depth of the entry counts the longest path: the optical encoder, then the joint encoder, half as deep.
        return croma(
            {band.sensor for band in bands},
            width=entry.width,
            depth=entry.depth * 2 // 3,
            heads=CROMA_HEADS,
            image_size=entry.image_size,
        )
    return vision_transformer(
        channels=len(bands),
        width=entry.width,
        depth=entry.depth,
        heads=VIT_HEADS,
        image_size=entry.image_size,
        patch=entry.patch,
    )


def vision_transformer(*, channels: int, width: int, depth: int, heads: int, image_size: int, patch: int) -> object:
    """Return a timm ``VisionTransformer`` without a head, for images of any size in whole patches.

    Its position embedding starts from the two-dimensional sine-cosine embedding (He et al. 2022, appendix A.1), with
    zeros for the class token, and is interpolated for other image sizes.

    Args:
        channels: number of input bands.
        width: channels of a token, a multiple of 4 and of `heads`.
        depth: number of blocks.
        heads: number of attention heads.
        image_size: side in pixels of the images for whose grid the position embedding is made.
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
    side = image_size // patch
    network.pos_embed.data.zero_()
    network.pos_embed.data[0, 1:] = build_sincos2d_pos_embed([side, side], dim=width, interleave_sin_cos=True)
    return network


def croma(sensors: Collection[str], *, width: int, depth: int, heads: int, image_size: int) -> CROMA:
    """Return torchgeo's ``CROMA`` with the parts that `sensors` need, and with a number of heads other than sixteen.

    Args:
        sensors: ``s2`` (12 bands), ``s1`` (2 bands), or both.
        width: channels of a token, a multiple of `heads`.
        depth: number of blocks of the optical encoder; the radar and the joint encoder have half as many.
        heads: number of attention heads, a power of two.
        image_size: side in pixels.
    """
    names = {"s1": "sar", "s2": "optical"}
    # torchgeo fixes sixteen heads for the encoders of single sensors. Therefore the network is made without blocks, and
    # its encoders are replaced.
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
    del network.attn_bias  # it follows from the grid and is no weight
    return network
