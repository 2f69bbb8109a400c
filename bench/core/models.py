"""The nouns of the harness: bands, models, suites, samples, runs and records. Data only; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor
from bench.core.bands import Band, Normalise

Origin = Literal["pretrained", "generated", "pruned", "distilled", "merged", "imagenet", "random", "baseline"]
Objective = Literal["joint-embedding", "reconstruction", "multimodal", "supervised", "none"]
Absent = Literal["refuse", "zero", "mean", "nearest", "mask"]
Images = Mapping[str, "Tensor"]
"""Sensor name -> float32 tensor (B, T, C, H, W)."""
ModulesMap = Mapping[str, Mapping[str, str]]
"""Block name -> canonical name of a sub-module -> its path for ``backbone.get_submodule``."""
BLOCK_PARTS = ("norm1", "qkv", "q", "k", "v", "proj", "norm2", "fc1", "fc2", "fc3")
"""Canonical names of the sub-modules of a block that hold weights, in the order of the forward pass."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A place in a backbone where features are tapped.

    Attributes:
        name: ``embedding``, ``block_1`` ... ``block_L``, then ``norm`` where a final norm follows the last block.
        channels: width D.
        stride: input pixels per token along each axis.
        depth: relative depth, 0 at the embedding, 1 at the last block and its norm.
    """

    name: str
    channels: int
    stride: int
    depth: float


class Tap(NamedTuple):
    """Activations of one layer for a batch.

    Attributes:
        grid: token grid (B, D, h, w).
        vector: image vector (B, D), pooled as the authors do.
        cls: class token (B, D), or None where the network has none.
    """

    grid: Tensor
    vector: Tensor
    cls: Tensor | None = None


class Backbone(Protocol):
    """A network that can be tapped at every layer (also an ``nn.Module``)."""

    layers: tuple[Layer, ...]

    @property
    def modules_map(self) -> ModulesMap:
        """The sub-modules of each block, see `ModulesMap`; empty where the blocks have none with a canonical name."""
        ...

    def __call__(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` for each index in `layers`, in that order.

        Args:
            images: prepared input, sensor -> (B, T, C, H, W); C follows the bands given at load.
            layers: indices into `self.layers`.
            when: (B, T, 3) int year, month 1..12, day; -1 where unknown.
            where: (B, 2) float32 longitude, latitude in degrees; NaN where unknown.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Source of an entry's weights.

    Attributes:
        file: path below the weights folder, e.g. ``"galileo_nano/encoder.pt"``.
        url: where to fetch it, or ``""`` where no direct link is known (`how` then has instructions).
        sha256: hex digest, or its first digits (8 or more) where the publisher states those (in the file's name);
            ``""`` where none is stated: recorded on first download, enforced after.
        md5: hex digest where its publisher states that and no SHA-256 (Zenodo); checked on download.
        size: bytes, 0 where unknown.
        licence: SPDX identifier or the licence's name.
        how: what a person does to get the file when no download works.
        source: where url and hash were read.
    """

    file: str
    url: str = ""
    sha256: str = ""
    md5: str = ""
    size: int = 0
    licence: str = ""
    how: str = ""
    source: str = ""


Load = Callable[["ModelEntry", "Path | None", int, "tuple[Band, ...]"], Backbone]
"""(entry, weights file or None for random init, seed of that init, bands the backbone will receive) -> Backbone."""


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """Facts of one model, written once, together with its loader.

    Attributes:
        name: ``family_size[.variant]``, e.g. ``dofa_base``, ``dofa_base.random``.
        origin: how its weights came to be.
        objective: what it was trained to do.
        bands: the input bands in the network's order with the units it expects before `normalise`. Of a sensor that a
            suite lacks altogether no band is asked for, so a two-sensor model runs on either; a band missing from a
            sensor that is there falls under `absent`.
        any_bands: takes whatever bands of `sensors` a suite offers (by wavelength, or by their number).
        sensors: with `any_bands`, the sensors accepted (``("*",)`` for all); otherwise derived from `bands`.
        absent: what may be done about a missing band, the first unless ``absent=`` asks for another: ``refuse`` the
            pair; feed raw ``zero``; feed the ``mean`` (`Normalise.neutral`); feed the present band of the sensor that
            is ``nearest`` in wavelength; or ``mask`` (the network gets the list of its bands and handles absent ones).
        levels: processing levels it was trained on, ``"s2:L1C"``, one sensor may have several. A suite of another
            level is run with a warning.
        normalise: see `Normalise`.
        image_size: side in pixels of the input it was trained at; 1 for pixel time series.
        any_size: accepts other sides that are multiples of `patch` (up to `image_size` at a time).
        patch: token stride in pixels.
        depth: number of blocks (the layers are the embedding, each block, and the final norm if there is one).
        temporal: has its own way with several dates; otherwise dates are encoded one by one and averaged.
        parameters: parameters of the loaded encoder.
        width: channels of the last layer.
        weights: None for entries that have none (controls, random twins).
        taps: layers that its authors feed to multi-level decoders, shallow to deep, where published.
        vectors: `weights` are ready-made image embeddings, not those of a network; see `bench.features.ready_made`.
        requires: extra of this package that its network comes from (``"terratorch"``), or ``""``.
        trained_on: datasets whose images or labels it has seen, by suite dataset name, for exposure flags.
        reference: paper, with arXiv id or DOI.
        parent: entry it derives from.
        version: raised when the loader or wrapper changes what comes out.
        load: builds the backbone; heavy imports live inside it.
    """

    name: str
    origin: Origin
    objective: Objective
    bands: tuple[Band, ...] = ()
    any_bands: bool = False
    sensors: tuple[str, ...] = ()
    absent: tuple[Absent, ...] = ("refuse",)
    levels: tuple[str, ...] = ()
    normalise: Normalise = field(default_factory=Normalise)
    image_size: int
    any_size: bool = False
    patch: int
    depth: int
    width: int
    temporal: bool = False
    parameters: int
    weights: Weights | None = None
    taps: tuple[str, ...] = ()
    vectors: bool = False
    requires: str = ""
    trained_on: tuple[str, ...] = ()
    reference: str = ""
    parent: str = ""
    version: int = 1
    load: Load = field(repr=False, compare=False)
