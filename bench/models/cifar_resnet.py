"""CIFAR ResNets (He et al. 2016, arXiv:1512.03385) trained on CIFAR-10: small real trunks and prompts for the foundry.

ResNet-20, 32, 44 and 56 with shortcuts of option A, from akamaster/pytorch_resnet_cifar10 (test errors 8.27, 7.37, 6.90
and 6.61 %, as its README states). Images of 32 pixels with 8-bit colours are divided by 255 and normalised with the
ImageNet moments (``trainer.py`` of that repository). They know photographs of ten everyday classes and nothing of the
Earth. The image vector is the mean over the last grid.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands

BANDS = rgb_bands()
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Blocks per stage, parameters without the classifier, SHA-256 of the file.
SIZES = {
    20: (3, 269_072, "4b5efe97c78ce1bbac418c2a9cf82708c28afaad9addcf0b2dedc87d8f94479c"),
    32: (5, 463_504, "dadaa6cf6ed7b14bcd02057f5b36fd917e7d32dff3b69aacbd100f994cb36f0d"),
    44: (7, 657_936, "b970fae6b666b6c2e9bcf23b61796ff43824bd48143bf16bb12cf207dccee5c6"),
    56: (9, 852_368, "3bcbd329c9516e6b2da8378d90c9b4d5a031428d70d08b484610a695dcfb870a"),
}


def load_network(
    entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...], *, blocks: int
) -> Backbone:
    """Return a CIFAR ResNet; see `bench.networks.cifar_resnet.load_cifar_resnet`."""
    from bench.networks.cifar_resnet import load_cifar_resnet

    return load_cifar_resnet(entry, weights, seed, bands, blocks=blocks)


def _entry(layers: int) -> ModelEntry:
    blocks, parameters, sha256 = SIZES[layers]
    return ModelEntry(
        name=f"cifar_resnet{layers}",
        origin="pretrained",
        objective="supervised",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        normalise=Normalise(
            kind="affine",
            shift=tuple(255 * value for value in MEAN),
            scale=tuple(255 * value for value in SPREAD),
        ),
        image_size=32,
        patch=4,
        depth=3 * blocks,
        width=64,
        parameters=parameters,
        weights=Weights(
            file=f"zoo/cifar_resnet{layers}.safetensors",
            sha256=sha256,
            licence="BSD-2-Clause",
            how=f"take pretrained_models/resnet{layers}-*.th of github.com/akamaster/pytorch_resnet_cifar10@d5489e8, "
            "strip 'module.' from its names, and save its state_dict as safetensors",
            source="akamaster/pytorch_resnet_cifar10@d5489e8",
        ),
        trained_on=("cifar10",),
        reference="He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385",
        load=partial(load_network, blocks=blocks),
    )


ENTRIES = tuple(_entry(layers) for layers in SIZES)
