"""The encoder of Ai2's ``olmoearth_pretrain_minimal``, tapped at every layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1 import olmoearth_pretrain_v1 as published
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.nn.flexi_vit import EncoderConfig
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.nn.tokenization import ModalityTokenization, TokenizationConfig
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.constants import BASE_GSD
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.datatypes import MaskedOlmoEarthSample, MaskValue
from torch import Tensor, nn

from bench.core import Band, Images, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import ModulesMap, frozen, tap_along, transformer_layers

MODALITIES = {"s2": "sentinel2_l2a", "s1": "sentinel1"}
BLOCK = {
    "norm1": "norm1",
    "q": "attn.q",
    "k": "attn.k",
    "v": "attn.v",
    "proj": "attn.proj",
    "norm2": "norm2",
    "fc1": "mlp.fc1",
    "act": "mlp.act",
    "fc2": "mlp.fc2",
    "out": "",
}


def encoder(size: str, version: str) -> nn.Module:
    """Return the published encoder of a size and version over Sentinel-2 and Sentinel-1, at random init.

    Args:
        size: ``nano``, ``tiny``, ``small`` (of v1.2 only), ``base`` or ``large`` (of v1 only).
        version: ``v1`` or ``v1.2``.
    """
    facts = published.MODEL_SIZE_CONFIGS[f"{size}_shallow_decoder"]
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
        embedding_size=int(facts["encoder_embedding_size"]),
        num_heads=int(facts["encoder_num_heads"]),
        depth=int(facts["encoder_depth"]),
        mlp_ratio=facts["mlp_ratio"],
        **settings,
    ).build()
    del network.project_and_aggregate  # the head of its contrastive loss
    return network  # type: ignore[no-any-return]


class OlmoEarthBackbone(nn.Module):
    """OlmoEarth's encoder over all dates and band groups of one or two sensors.

    A grid cell is the mean over the dates and band groups at its place, then over sensors; a vector is the mean over
    all tokens. So the authors pool for maps and for images.

    Args:
        network: see `encoder`.
        bands: as given at load; ``s2``, ``s1`` or both, each with all its bands in the network's order.
        patch: pixels a token, 1 to 8.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: see `bench.networks.backbones.ModulesMap`.
    """

    def __init__(self, network: Any, bands: Sequence[Band], *, patch: int) -> None:
        super().__init__()
        self.network = network
        self.counts = Counter(band.sensor for band in bands)
        self.patch = patch
        distances = {band.gsd_m for band in bands}
        self.resolution = float((distances.pop() if len(distances) == 1 else None) or BASE_GSD)
        depth = len(network.blocks)
        self.layers = transformer_layers(depth, int(network.embedding_size), patch, norm=True)
        self.modules_map: ModulesMap = {
            f"block_{i + 1}": {name: f"network.blocks.{i}.{path}".rstrip(".") for name, path in BLOCK.items()}
            for i in range(depth)
        }
        frozen(self)

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` a layer asked for; see `bench.core.Backbone`. Places are not used."""
        network: Any = self.network
        sample = self._sample(images, when)
        patches, masks, shapes = network.split_tokens_masks_and_dims(network.patch_embeddings(sample, self.patch))

        def states() -> Iterator[Tensor]:
            given = (sample.timestamps, self.patch, self.resolution)
            encoded = network.composite_encodings(patches, *given)
            positions = network.build_rope_positions(patches, masks, self.patch, self.resolution, given[0])
            tokens, _ = network.collapse_and_combine_hwtc({**encoded, **masks})
            yield tokens
            for block in network.blocks:
                tokens = block(x=tokens, rope_positions=positions)
                yield tokens
            yield network.norm(tokens)

        def tap(index: int, tokens: Tensor) -> Tap:
            parts = network.split_and_expand_per_modality(tokens, shapes).values()
            grid = torch.stack([part.mean((3, 4)) for part in parts]).mean(0)
            return Tap(grid.permute(0, 3, 1, 2), tokens.mean(1))

        return tap_along(states(), layers, self.layers, tap)

    def _sample(self, images: Images, when: Tensor | None) -> Any:
        """Return images and dates as the network takes them, nothing masked."""
        network: Any = self.network
        fields: dict[str, Tensor] = {}
        shapes = set()
        for sensor, count in self.counts.items():
            if sensor not in images or images[sensor].shape[2] != count:
                raise Incompatible(f"the backbone was loaded for {count} bands of {sensor}; the images have others")
            name, values = MODALITIES[sensor], images[sensor].permute(0, 3, 4, 1, 2)
            groups = network.patch_embeddings.tokenization_config.get_num_bandsets(name)
            fields[name] = values
            fields[f"{name}_mask"] = values.new_full((*values.shape[:-1], groups), MaskValue.ONLINE_ENCODER.value)
            shapes.add(tuple(values.shape[:4]))
        if len(shapes) > 1:
            raise Incompatible(f"sensors of different sizes or numbers of dates: {sorted(shapes)}")
        batch, tall, wide, dates = shapes.pop()
        if tall != wide or tall % self.patch:
            raise Incompatible(f"images of {tall} x {wide} pixels; the network takes squares of whole patches")
        return MaskedOlmoEarthSample(timestamps=_timestamps(when, batch, dates, values.device), **fields)


def _timestamps(when: Tensor | None, batch: int, dates: int, device: torch.device) -> Tensor:
    """Return (B, T, 3) int day, month 0..11, year; for what is unknown 1 July 2020, which the authors evaluate with."""
    unknown = torch.tensor([2020, 7, 1], device=device).expand(batch, dates, 3)
    known = unknown if when is None else torch.where(when > 0, when.to(unknown), unknown)
    year, month, day = known.unbind(-1)
    return torch.stack([day, month - 1, year], -1)
