"""The encoder of Ai2's package ``olmoearth_pretrain_minimal`` as a backbone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1 import olmoearth_pretrain_v1 as published
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.nn.flexi_vit import EncoderConfig
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.nn.tokenization import ModalityTokenization, TokenizationConfig
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.constants import BASE_GSD
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.datatypes import MaskedOlmoEarthSample, MaskValue
from torch import Tensor, nn

from bench.core import Band, Images, ModulesMap, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import frozen, outputs_along, tap_along, transformer_layers
from bench.networks.blocks import SPLIT_BLOCK, map_modules

MODALITIES = {"s2": "sentinel2_l2a", "s1": "sentinel1"}


def encoder(size: str, version: str) -> nn.Module:
    """Return the published encoder of a size and version for Sentinel-2 and Sentinel-1, at random init.

    Args:
        size: ``nano``, ``tiny``, ``small`` (v1.2 only), ``base`` or ``large`` (v1 only).
        version: ``v1`` or ``v1.2``.
    """
    sizes = published.MODEL_SIZE_CONFIGS[f"{size}_shallow_decoder"]
    settings: dict[str, Any] = {}
    if version != "v1":
        optical = MODALITIES["s2"]
        groups = ModalityTokenization(band_groups=published.V1_1_BAND_GROUPS[optical])
        settings = {
            "tokenization_config": TokenizationConfig(overrides={optical: groups}),
            "use_linear_patch_embed": True,
            "patch_embed_hidden_sizes": published.V1_2_PATCH_EMBED_HIDDEN_SIZES[size],
            "position_encoding": published.V1_2_POS_ENCODING,
            "rope_mixed_base": published.V1_2_ROPE_MIXED_BASE,
            "rope_temporal_coordinate_scale": published.V1_2_ROPE_TEMPORAL_COORDINATE_SCALE,
        }
    network = EncoderConfig(
        supported_modality_names=list(MODALITIES.values()),
        embedding_size=int(sizes["encoder_embedding_size"]),
        num_heads=int(sizes["encoder_num_heads"]),
        depth=int(sizes["encoder_depth"]),
        mlp_ratio=sizes["mlp_ratio"],
        **settings,
    ).build()
    del network.project_and_aggregate  # the head of its contrastive loss
    return network  # type: ignore[no-any-return]


class OlmoEarthBackbone(nn.Module):
    """OlmoEarth's encoder over all dates and band groups of one or two sensors.

    A grid cell is the mean over the dates and band groups at its place, then over sensors; the vector is the mean over
    all tokens. The authors pool in the same way for maps and for images.

    Args:
        network: see `encoder`.
        bands: the bands given at load: those of ``s2``, ``s1`` or both, each sensor with all its bands in the order of
            the network.
        patch: pixels along each side of a token, 1 to 8.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.core.ModulesMap`.
    """

    def __init__(self, network: Any, bands: Sequence[Band], *, patch: int) -> None:
        super().__init__()
        self.network = network
        self.counts = Counter(band.sensor for band in bands)
        self.patch = patch
        gsds = {band.gsd_m for band in bands}
        self.resolution = float((gsds.pop() if len(gsds) == 1 else None) or BASE_GSD)
        depth = len(network.blocks)
        self.layers = transformer_layers(depth, int(network.embedding_size), patch, norm=True)
        self.modules_map: ModulesMap = map_modules([f"network.blocks.{i}" for i in range(depth)], SPLIT_BLOCK)
        frozen(self)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per requested layer; see `bench.core.Backbone`. Coordinates are not used."""
        network: Any = self.network
        sample = self._sample(images, when)
        patches, masks, shapes = network.split_tokens_masks_and_dims(network.patch_embeddings(sample, self.patch))

        def states() -> Iterator[Tensor]:
            dates = sample.timestamps
            encoded = network.composite_encodings(patches, dates, self.patch, self.resolution)
            positions = network.build_rope_positions(patches, masks, self.patch, self.resolution, dates)
            tokens, _ = network.collapse_and_combine_hwtc({**encoded, **masks})
            blocks = [partial(block, rope_positions=positions) for block in network.blocks]
            yield from outputs_along(tokens, (*blocks, network.norm))

        def tap(index: int, tokens: Tensor) -> Tap:
            parts = network.split_and_expand_per_modality(tokens, shapes).values()
            grid = torch.stack([part.mean((3, 4)) for part in parts]).mean(0)
            return Tap(grid.permute(0, 3, 1, 2), tokens.mean(1))

        return tap_along(states(), layers, self.layers, tap)

    def _sample(self, images: Images, when: Tensor | None) -> Any:
        """Return images and dates as the sample that the network takes, with nothing masked."""
        network: Any = self.network
        fields: dict[str, Tensor] = {}
        shapes = set()
        for sensor, count in self.counts.items():
            if sensor not in images or images[sensor].shape[2] != count:
                given = {name: values.shape[2] for name, values in images.items()}
                raise Incompatible(f"the backbone was loaded for {count} bands of {sensor}; the images have {given}")
            name, values = MODALITIES[sensor], images[sensor].permute(0, 3, 4, 1, 2)
            groups = network.patch_embeddings.tokenization_config.get_num_bandsets(name)
            fields[name] = values
            fields[f"{name}_mask"] = values.new_full((*values.shape[:-1], groups), MaskValue.ONLINE_ENCODER.value)
            shapes.add(tuple(values.shape[:4]))
        if len(shapes) > 1:
            raise Incompatible(f"sensors differ in size or number of dates; (B, H, W, T) are {sorted(shapes)}")
        batch, height, width, dates = shapes.pop()
        if height != width or height % self.patch:
            raise Incompatible(
                f"images of {height} x {width} pixels; the network takes squares with sides that are multiples of "
                f"{self.patch}"
            )
        return MaskedOlmoEarthSample(timestamps=_timestamps(when, batch, dates, values.device), **fields)


def _timestamps(when: Tensor | None, batch: int, dates: int, device: torch.device) -> Tensor:
    """Return day, month 0..11 and year (B, T, 3) as integers; unknown parts are those of the authors' 1 July 2020.

    Args:
        when: see `bench.core.Backbone`.
        batch: B.
        dates: T.
        device: of the result.
    """
    unknown = torch.tensor([2020, 7, 1], device=device).expand(batch, dates, 3)
    known = unknown if when is None else torch.where(when > 0, when.to(unknown), unknown)
    year, month, day = known.unbind(-1)
    return torch.stack([day, month - 1, year], -1)
