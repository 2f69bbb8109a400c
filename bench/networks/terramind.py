"""terratorch's TerraMind encoder as a backbone for one or more image modalities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.core import Band, Images, ModulesMap, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import (
    frozen,
    grid_of,
    outputs_along,
    stack_sensors,
    tap_along,
    token_grid,
    transformer_layers,
)
from bench.networks.blocks import TIMM_BLOCK, map_modules
from bench.networks.from_terratorch import terratorch_module

TERRAMIND = "models.backbones.terramind.model"


def terramind_encoder(
    modalities: Sequence[str], *, width: int, depth: int, heads: int, gated: bool, image_size: int, patch: int
) -> nn.Module:
    """Return terratorch's ``TerraMindViT``.

    Args:
        modalities: their names in terratorch, e.g. ``"S2L2A"``.
        width: channels of a token.
        depth: number of blocks.
        heads: number of attention heads.
        gated: whether feed-forward networks are SwiGLU without biases (base and large) or GELU with biases (tiny and
            small).
        image_size: side in pixels of the images in pretraining.
        patch: side of a patch in pixels.
    """
    parts = terratorch_module(f"{TERRAMIND}.tm_utils")
    norm = partial(parts.LayerNorm, eps=1e-6, bias=False)
    block = {
        "num_heads": heads,
        "mlp_ratio": 4.0,
        "qkv_bias": not gated,
        "proj_bias": not gated,
        "mlp_bias": not gated,
        "act_layer": nn.SiLU if gated else nn.GELU,
        "norm_layer": norm,
        "gated_mlp": gated,
    }
    network: Any = terratorch_module(f"{TERRAMIND}.terramind_vit").TerraMindViT(
        img_size=image_size,
        patch_size=patch,
        modalities=list(modalities),
        dim=width,
        encoder_depth=0,
        merge_method="mean",
        **block,
    )
    # The class reads its rates of stochastic depth, all zero, from a tensor, which has no values on the meta device.
    # Therefore the blocks are added here.
    network.encoder.extend(parts.Block(dim=width, **block) for _ in range(depth))
    network.init_weights()
    return network  # type: ignore[no-any-return]


class TerraMindBackbone(nn.Module):
    """A TerraMind encoder with taps at embedding, blocks and final norm.

    The patches of all modalities form one sequence and attend to each other. The grid of a layer is the mean over
    modalities at each place, which is terratorch's default way to merge; the vector is the mean over the grid. There is
    no class token. For a grid other than that of pretraining, the network interpolates its positions.

    Args:
        network: see `terramind_encoder`.
        bands: the bands given at load.
        modalities: sensor -> name of its modality in terratorch, for each sensor of `bands`.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`; a gated feed-forward network also has ``fc3``.
    """

    def __init__(self, network: Any, bands: Sequence[Band], modalities: Mapping[str, str]) -> None:
        super().__init__()
        self.network = network
        self.bands = tuple(bands)
        self.modalities = dict(modalities)
        embeddings = [network.encoder_embeddings[network.mod_name_mapping[name]] for name in modalities.values()]
        self.patch = int(embeddings[0].patch_size[0])
        depth = len(network.encoder)
        self.layers = transformer_layers(depth, int(embeddings[0].dim_tokens), self.patch, norm=True)
        paths = dict(TIMM_BLOCK)
        if hasattr(network.encoder[0].mlp, "fc3"):
            paths["fc3"] = "mlp.fc3"
        self.modules_map: ModulesMap = map_modules([f"network.encoder.{i}" for i in range(depth)], paths)
        frozen(self)

    def _pixels(self, images: Images) -> dict[str, Tensor]:
        """Return modality -> pixels (B, C, H, W), all of one size in whole patches.

        Raises:
            Incompatible: sensors differ in size, or a side is no multiple of the patch.
        """
        pixels = {
            name: stack_sensors(images, [band for band in self.bands if band.sensor == sensor])
            for sensor, name in self.modalities.items()
        }
        sizes = {tuple(values.shape[-2:]) for values in pixels.values()}
        if len(sizes) > 1 or any(side % self.patch for size in sizes for side in size):
            raise Incompatible(
                f"images of {sorted(sizes)} pixels; the network takes one size for all sensors, in multiples of "
                f"{self.patch}"
            )
        return pixels

    def states(self, pixels: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """Yield the tokens (B, modalities h w, D) at each layer in turn."""
        network: Any = self.network
        parts = []
        for name, values in pixels.items():
            embedded = network.encoder_embeddings[network.mod_name_mapping[name]](values)
            parts.append(embedded["x"] + embedded["emb"])
        yield from outputs_along(torch.cat(parts, 1), (*network.encoder, network.encoder_norm))

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Dates and coordinates are not used."""
        pixels = self._pixels(images)
        size = grid_of(next(iter(pixels.values())), self.patch)

        def tap(index: int, tokens: Tensor) -> Tap:
            merged = tokens.reshape(len(tokens), len(pixels), -1, tokens.shape[-1]).mean(1)
            return Tap(token_grid(merged, size), merged.mean(1))

        return tap_along(self.states(pixels), layers, self.layers, tap)
