"""Scale-MAE (Reed et al. 2023, arXiv:2212.14532): a masked autoencoder whose positions are scaled by resolution.

The bands are red, green and blue on the scale 0..255, normalised with the ImageNet moments times 255, as in its
training on fMoW (``mae/config/fmow.yaml`` of bair-climate-initiative/scale-mae, and equally torchgeo's transform).
Satellite reflectance is converted to the scale of 8-bit previews (see `bench.core.UNITS`). Images are resized to 224
pixels, as in training.

The resolution that the network takes is relative, although g / G in the paper suggests otherwise. In training it is 2.5
times the share of the side of an image that a crop keeps, for images of any ground resolution (``lib/transforms.py``,
``dataloaders/utils.py``; issue 14 of the repository asks where the ground resolution enters, and finds that it does
not). The authors evaluate at 224 divided by the side of the images fed (``eval/knn.py``), which is 1 here, and
recommend 1 to others (torchgeo-bench pull request 215, which also reports that metres per pixel gave worse features).
Therefore positions use resolution 1, and no ground resolution is needed.

The image vector is the class token, which the authors use for nearest neighbours.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands
from bench.networks.from_timm import without

BANDS = rgb_bands()
MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)
RESOLUTION = 1.0  # 224 divided by the side of the images fed
# Starts of the keys of those parts of the training code's network that come after the encoder.
DECODER = ("decoder_", "mask_token", "pos_emb_projection", "fpn", "fcn")


def load_scalemae(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return torchgeo's Scale-MAE large, with the publisher's weights or at random init.

    Args:
        entry: one of `ENTRIES` or its random twin.
        weights: the file of torchgeo or of the authors, or None for random init; a decoder in it is dropped.
        seed: of the random init.
        bands: `BANDS`, in that order.

    Raises:
        MissingWeights: see `bench.networks.backbones.built`.
    """
    from torchgeo.models import scalemae_large_patch16

    from bench.networks.backbones import built
    from bench.networks.vit import ViTBackbone

    network = built(
        lambda: scalemae_large_patch16(num_classes=0, res=RESOLUTION),
        weights,
        seed=seed,
        entry=entry.name,
        rename=without(*DECODER),
    )
    return ViTBackbone(network, bands, pool="cls")


ENTRIES = (
    ModelEntry(
        name="scalemae_large",
        origin="pretrained",
        objective="reconstruction",
        bands=BANDS,
        normalise=Normalise(
            kind="affine", shift=tuple(255 * value for value in MEAN), scale=tuple(255 * value for value in SPREAD)
        ),
        image_size=224,
        patch=16,
        depth=24,
        width=1024,
        parameters=303301632,
        weights=Weights(
            file="scalemae_large/vit_large_patch16_224_fmow_rgb_scalemae-98ed9821.pth",
            url="https://hf.co/isaaccorley/vit_large_patch16_224_fmow_rgb_scalemae/resolve/"
            "9dc7f569424baeb780698352cf6e87638c882123/vit_large_patch16_224_fmow_rgb_scalemae-98ed9821.pth",
            sha256="98ed9821",
            licence="CC-BY-NC-4.0",
            source="url from torchgeo 0.8.1, ScaleMAELarge16_Weights.FMOW_RGB; sha256 starts with 98ed9821",
        ),
        trained_on=("fmow",),
        reference="Reed et al. 2023, Scale-MAE: A Scale-Aware Masked Autoencoder for Multiscale Geospatial "
        "Representation Learning, arXiv:2212.14532",
        load=load_scalemae,
    ),
)
