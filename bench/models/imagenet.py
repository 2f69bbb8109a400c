"""ImageNet models of timm: a control for what photographs teach, on the architectures of the other models.

The bands are red, green and blue on the scale 0..255, normalised as in timm: with mean and standard deviation 0.5 for
the ViTs (augreg) and the ImageNet moments for the others, each times 255. Satellite reflectance is converted to the
scale of 8-bit previews (see `bench.core.UNITS`). The image vector is the class token of a ViT and the mean over the
last grid of the others. The layers of a Swin are its blocks, those of a convolutional network its stages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.core import Backbone, ModelEntry, Normalise, Weights
from bench.core.sensors import rgb_bands
from bench.networks.from_timm import load_convnext, load_mobilenet, load_resnet, load_swin, load_vit

BANDS = rgb_bands()
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MOMENTS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _entry(
    name: str,
    tag: str,
    load: Callable[..., Backbone],
    size: tuple[int, int, int, int],
    reference: str,
    *,
    moments: tuple[tuple[float, ...], tuple[float, ...]] = MOMENTS,
    licence: str = "Apache-2.0",
    trained_on: tuple[str, ...] = ("imagenet-1k",),
) -> ModelEntry:
    """Return an entry; `size` is patch, depth, width and parameters, `tag` the pretrained configuration in timm."""
    patch, depth, width, parameters = size
    return ModelEntry(
        name=f"imagenet_{name}",
        origin="imagenet",
        objective="supervised",
        bands=BANDS,
        absent=("refuse", "mean", "zero", "nearest"),
        normalise=Normalise(
            kind="affine",
            shift=tuple(255 * value for value in moments[0]),
            scale=tuple(255 * value for value in moments[1]),
        ),
        image_size=224,
        patch=patch,
        depth=depth,
        width=width,
        parameters=parameters,
        weights=Weights(
            file=f"imagenet_{name}/model.safetensors",
            url=f"https://huggingface.co/timm/{tag}/resolve/main/model.safetensors",
            licence=licence,
            source=f"timm 1.0, pretrained configuration {tag}; no hash stated",
        ),
        trained_on=trained_on,
        reference=reference,
        load=partial(load, name=tag.partition(".")[0]),
    )


AUGREG = "Steiner et al. 2021, How to train your ViT?, arXiv:2106.10270"
SWIN = "Liu et al. 2021, Swin Transformer, arXiv:2103.14030"
CONVNEXT = "Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545"
RESNET = "Wightman et al. 2021, ResNet strikes back, arXiv:2110.00476"
MOBILENET = "Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244"
EFFICIENTNET = "Tan and Le 2019, EfficientNet, arXiv:1905.11946; Lite is TensorFlow's variant for mobile devices"
BOTH = ("imagenet-21k", "imagenet-1k")
ENTRIES = (
    _entry(
        "vit_tiny",
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        load_vit,
        (16, 12, 192, 5524416),
        AUGREG,
        moments=HALF,
        trained_on=BOTH,
    ),
    _entry("vit_small", "vit_small_patch16_224.augreg_in1k", load_vit, (16, 12, 384, 21665664), AUGREG, moments=HALF),
    _entry("vit_base", "vit_base_patch16_224.augreg_in1k", load_vit, (16, 12, 768, 85798656), AUGREG, moments=HALF),
    _entry(
        "vit_large",
        "vit_large_patch16_224.augreg_in21k_ft_in1k",
        load_vit,
        (16, 24, 1024, 303301632),
        AUGREG,
        moments=HALF,
        trained_on=BOTH,
    ),
    _entry(
        "swin_tiny",
        "swin_tiny_patch4_window7_224.ms_in1k",
        load_swin,
        (32, 12, 768, 27519354),
        SWIN,
        licence="MIT",
    ),
    _entry(
        "swin_base",
        "swin_base_patch4_window7_224.ms_in1k",
        load_swin,
        (32, 24, 1024, 86743224),
        SWIN,
        licence="MIT",
    ),
    _entry("convnext_tiny", "convnext_tiny.fb_in1k", load_convnext, (32, 4, 768, 27818592), CONVNEXT),
    _entry("convnext_base", "convnext_base.fb_in1k", load_convnext, (32, 4, 1024, 87564416), CONVNEXT),
    _entry("resnet18", "resnet18.a1_in1k", load_resnet, (32, 4, 512, 11176512), RESNET),
    _entry("resnet50", "resnet50.a1_in1k", load_resnet, (32, 4, 2048, 23508032), RESNET),
    _entry("mobilenet_small", "mobilenetv3_small_100.lamb_in1k", load_mobilenet, (32, 6, 576, 927008), MOBILENET),
    _entry(
        "efficientnet_lite0",
        "tf_efficientnet_lite0.in1k",
        load_mobilenet,
        (32, 7, 320, 2958848),
        EFFICIENTNET,
        moments=HALF,
    ),
    _entry("mobilenet_large", "mobilenetv3_large_100.ra_in1k", load_mobilenet, (32, 7, 960, 2971952), MOBILENET),
)
