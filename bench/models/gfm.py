"""GFM (Mendieta et al. 2023, arXiv:2302.04476): a Swin-B trained to reconstruct GeoPile and follow an ImageNet teacher.

Facts are from mmendiet/GFM at 4dd248e (README, ``configs/simmim_pretrain__swin_base__img192_window6__100ep.yaml``,
``data/``, ``models/``). Pretraining used photographs of 0.1 to 30 m and 192 pixels. The bands are red, green and blue
on the scale 0..255, normalised with the ImageNet moments times 255. The network is timm's Swin with patches of 4 and
windows of 6, which fit 192 pixels, so images are resized to this size.

The model is the student, ``encoder`` in the file; its mask token, the teacher, the decoder and the projector are
dropped. The layers are the patches, each of the 24 blocks, and the final norm; the first block of a stage follows the
merging of patches. The image vector is the mean over the last grid, after the norm, as for the authors.

In fine-tuning the authors interpolate the position biases for other windows (8 at 256 pixels, 4 at 128); here windows
stay as in pretraining. GeoPile includes NAIP, RSD46-WHU, MLRSNet, RESISC45 and PatternNet (paper, table 2); the teacher
was trained on ImageNet-22k.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands

BANDS = rgb_bands()
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
STAGES = 4
WINDOW = 6
HEAD_WIDTH = 32
DOWNSAMPLE = re.compile(r"layers\.(\d+)\.downsample\.")


def _rename(key: str) -> str | None:
    """Return timm's name for a key, or None for a key that is not the student's or whose value the network computes.

    The authors' network merges patches at the end of a stage, timm's at the start of the next stage. Keys without
    ``encoder`` count as timm's own names, except those of the teacher and the heads.
    """
    if key.startswith(("teacher.", "decoder.", "projector.")):
        return None
    if not key.startswith("encoder."):
        return key
    name = key.removeprefix("encoder.")
    if name == "mask_token" or name.endswith((".relative_position_index", ".attn_mask")):
        return None
    return DOWNSAMPLE.sub(lambda match: f"layers.{int(match[1]) + 1}.downsample.", name)


def load_gfm(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return timm's Swin of the entry's size, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin; `depth` counts the blocks, and all stages but the third have two.
        weights: the publisher's file, or None for random init.
        seed: of the random init.
        bands: `BANDS`, in that order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from timm.models.swin_transformer import SwinTransformer

    from bench.networks.backbones import built
    from bench.networks.pyramid import timm_swin

    width = entry.width // 2 ** (STAGES - 1)
    network = built(
        lambda: SwinTransformer(
            img_size=entry.image_size,
            window_size=WINDOW,
            embed_dim=width,
            depths=(2, 2, entry.depth - 6, 2),
            num_heads=tuple(width * 2**stage // HEAD_WIDTH for stage in range(STAGES)),
            num_classes=0,
        ),
        weights,
        seed=seed,
        entry=entry.name,
        rename=_rename,
    )
    return timm_swin(network, bands)


ENTRIES = (
    ModelEntry(
        name="gfm_base",
        origin="pretrained",
        objective="reconstruction",
        bands=BANDS,
        normalise=Normalise(
            kind="affine",
            shift=tuple(255 * value for value in MEAN),
            scale=tuple(255 * value for value in DEVIATION),
        ),
        image_size=192,
        patch=32,
        depth=24,
        width=1024,
        parameters=86725176,
        weights=Weights(
            file="gfm_base/gfm.pth",
            url="https://huggingface.co/torchgeo/gfm/resolve/main/gfm.pth",
            licence="Apache-2.0",
            how="fetch gfm.pth from the OneDrive folder linked in the README of github.com/mmendiet/GFM",
            source="licence from mmendiet/GFM; url of the copy at huggingface.co/torchgeo/gfm, no hash stated "
            "(another copy, gfm.pth of huggingface.co/earthflow/GeoFMs, has sha256 "
            "7ec9f990055c7dc20b551ea9ae27b38f37f3912d5b52b325e62b291de86efc13)",
        ),
        trained_on=("geopile", "naip", "rsd46-whu", "mlrsnet", "resisc45", "patternnet", "imagenet-22k"),
        reference="Mendieta et al. 2023, Towards Geospatial Foundation Models via Continual Pretraining, "
        "arXiv:2302.04476",
        load=load_gfm,
    ),
)
