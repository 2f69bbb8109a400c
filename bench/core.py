"""The nouns of the harness: bands, models, suites, samples, runs and records. Data only; nothing here imports torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Kind = Literal["classification", "multilabel", "regression", "segmentation", "change", "dense_regression", "detection"]
"""``change`` is segmentation of what happened between two dates; ``detection`` is boxes with classes."""
Origin = Literal["pretrained", "generated", "pruned", "distilled", "merged", "imagenet", "random", "baseline"]
Objective = Literal["joint-embedding", "reconstruction", "multimodal", "supervised", "none"]
Absent = Literal["refuse", "zero", "mean", "nearest", "mask"]
Images = Mapping[str, "Tensor"]
"""Sensor name -> float32 tensor (B, T, C, H, W)."""


class Unit(NamedTuple):
    """A declared unit: ``physical = raw * scale + offset`` in the quantity's own unit."""

    quantity: str
    scale: float = 1.0
    offset: float = 0.0
    low: float = float("-inf")  # the raw values a sound sample stays within; the doctor checks them
    high: float = float("inf")


# 8-bit Sentinel-2 previews (EuroSAT RGB among them) map reflectance 0..0.275 to 0..255; that is also how reflectance is
# shown to a network trained on photographs.
UNITS: dict[str, Unit] = {
    "reflectance": Unit("reflectance", low=-0.2, high=3.0),
    "dn": Unit("reflectance", 1e-4, low=-2000.0, high=65535.0),
    # Sentinel-2 products of processing baseline 04.00 and later (January 2022) carry an offset of 1000.
    "dn_offset": Unit("reflectance", 1e-4, -0.1, low=0.0, high=65535.0),
    "uint8": Unit("reflectance", 0.275 / 255, low=0.0, high=255.0),
    "db": Unit("backscatter", low=-100.0, high=60.0),
    "power": Unit("power", low=0.0, high=1e6),
    "kelvin": Unit("temperature", low=150.0, high=400.0),
    "celsius": Unit("temperature", 1.0, 273.15, low=-100.0, high=100.0),
    "metre": Unit("length", low=-15000.0, high=15000.0),
    "degree": Unit("angle", low=-360.0, high=360.0),
    "index": Unit("index", low=-1.0, high=1.0),
    "class": Unit("class", low=-1.0, high=255.0),
    "radiance": Unit("radiance", low=-5.0, high=1000.0),  # W m-2 sr-1 um-1
    "mol_m2": Unit("column density", low=-0.01, high=1.0),
}


@dataclass(frozen=True, kw_only=True)
class Band:
    """One input channel. The sensor is what stands before the dot in its name.

    Attributes:
        name: canonical name, e.g. ``"s2.b04"``, ``"s2.b8a"``, ``"s1.vv"``, ``"rgb.red"``, ``"srtm.elevation"``.
        unit: a key of `UNITS`.
        wavelength_um: centre wavelength in micrometres, where the band has one.
        gsd_m: ground sampling distance in metres: of the sensor in facts of suites and models, of the pixels as fed in
            the bands a loader is given.
    """

    name: str
    unit: str
    wavelength_um: float | None = None
    gsd_m: float | None = None

    @property
    def sensor(self) -> str:
        """The sensor the band belongs to, e.g. ``"s2"``."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Normalise:
    """How raw values become network input, applied exactly once, by `bench.prepare`.

    Attributes:
        kind: ``affine`` is ``(x - shift) / scale`` a band; ``dataset`` is a z-score with the suite's train statistics;
            ``image_2sd`` maps mean -/+ 2 standard deviations of each image and band to 0..1 and clips (CROMA);
            ``image_minmax`` maps the smallest and largest value of each image and band to 0 and 1; ``none`` leaves the
            values.
        shift: one value a band of the entry, in the order of its `bands` (``affine`` only).
        scale: likewise.
        clip: bounds on the result, or None.
        neutral: what a band's mean becomes; fed for an absent band under ``absent=mean``.
    """

    kind: Literal["affine", "dataset", "image_2sd", "image_minmax", "none"] = "none"
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    clip: tuple[float, float] | None = None
    neutral: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A place in a backbone where features are tapped.

    Attributes:
        name: ``embedding``, ``block_1`` ... ``block_L``, then ``norm`` where a final norm follows the last block.
        channels: width D.
        stride: input pixels a token, along each side.
        depth: relative depth, 0 at the embedding, 1 at the last block and its norm.
    """

    name: str
    channels: int
    stride: int
    depth: float


class Tap(NamedTuple):
    """What one layer says of a batch.

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
    """Where an entry's weights come from.

    Attributes:
        file: path below the weights folder, e.g. ``"galileo_nano/encoder.pt"``.
        url: where to fetch it, or ``""`` where no direct link is known (then `how` says what to do).
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
    """The facts of one model, written once, beside its loader.

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
            is ``nearest`` in wavelength; or ``mask`` (the network is told which bands it gets and has its own way).
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
        taps: layers its authors feed to multi-level decoders, shallow to deep, where they say.
        vectors: `weights` are ready-made image embeddings, not those of a network; see `bench.embeddings`.
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
    normalise: Normalise = Normalise()
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


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to predict on a suite's images.

    Attributes:
        name: e.g. ``"landcover"``.
        kind: see `Kind`.
        classes: class names (classification, multilabel, segmentation), in code order.
        quantity: what a regression predicts, e.g. ``"above-ground biomass"``.
        unit: its unit, e.g. ``"t/ha"``.
        metric: headline metric, a key of `bench.metrics.METRICS`.
        ignore: mask code that is neither trained on nor scored.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...] = ()
    quantity: str = ""
    unit: str = ""
    metric: str
    ignore: int | None = None

    @property
    def dense(self) -> bool:
        """Whether it is predicted pixel by pixel or by boxes, from token grids."""
        return self.kind in ("segmentation", "change", "dense_regression", "detection")


class Sample(NamedTuple):
    """One sample as a suite reads it: raw values in the declared units.

    Attributes:
        images: sensor -> float32 (T, C, H, W); NaN marks no-data.
        target: class index; multi-hot (K,); float vector (q,); mask (H, W) int64; values (H, W) float32, NaN where
            none; or for detection ``{"boxes": (N, 4) float32 x1 y1 x2 y2 in pixels, "labels": (N,) int64}``, N >= 0.
        when: (T, 3) int32 year, month, day; -1 where unknown; None where no date is known.
        where: (longitude, latitude) in degrees, or None.
    """

    images: dict[str, np.ndarray]
    target: Any
    when: np.ndarray | None = None
    where: tuple[float, float] | None = None


class Split(Protocol):
    """An opened split of one task. Reading `ids`, `blocks` and `targets` decodes no image."""

    @property
    def ids(self) -> Sequence[str]:
        """One a sample, unique over all splits."""
        ...

    @property
    def blocks(self) -> Sequence[str]:
        """The resampling unit of each sample (scene, site, region); its own id where nothing coarser is known."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def targets(self) -> np.ndarray:
        """Return what stratification needs: (n,) classes; (n, K) multi-hot, presence in masks or boxes; (n, q) values.

        Of dense values that is their mean.
        """
        ...


class Fetch(Protocol):
    """Downloads one file: resumable, checked, atomic. Given to a suite's `download`."""

    def __call__(self, url: str, path: Path, *, sha256: str = "", md5: str = "") -> Path:
        """Put the file behind `url` at `path` and return `path`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The facts of one benchmark and how to open it.

    Attributes:
        name: also its file's name.
        version: raised when bands, splits, targets or reading change.
        title: one line for listings.
        bands: every band it can give, with units.
        default_bands: patterns over band names used when `bands=` is not given (``("s1.*",)``); empty for all.
        image_size: (H, W) in pixels.
        gsd_m: ground size of a pixel in metres, or None where it varies or is not known.
        levels: processing level by sensor, ``"s2:L2A"``; see `ModelEntry.levels`.
        dates: number of dates T; 0 where it varies.
        tasks: see `Task`.
        splits: official sample counts, e.g. ``{"train": 16200, "val": 5400, "test": 5400}``; further splits beyond
            those three are out-of-region tests and are reported apart.
        generated: made by a program; every output then says "generated data".
        dataset: name used in `ModelEntry.trained_on`.
        licence, citation, url: as published.
        open: ``(root, task name, split name, bands) -> Split``; bands are those wanted, in order. Raises `MissingData`.
        download: ``(root, fetch)`` puts the publisher's files below root, or None.
        folder: folder below ``data=`` where its files lie.
        notes: what a reader of its numbers must know (own split, unit conventions).
    """

    name: str
    version: int
    title: str
    bands: tuple[Band, ...]
    default_bands: tuple[str, ...] = ()
    image_size: tuple[int, int]
    gsd_m: float | None = None
    levels: tuple[str, ...] = ()
    dates: int = 1
    tasks: tuple[Task, ...]
    splits: Mapping[str, int]
    generated: bool = False
    dataset: str = ""
    licence: str = ""
    citation: str = ""
    url: str = ""
    folder: str = ""
    notes: str = ""
    open: Callable[[Path, str, str, tuple[Band, ...]], Split] = field(repr=False, compare=False)
    download: Callable[[Path, Fetch], None] | None = field(default=None, repr=False, compare=False)


def labels_in_words(fraction: float) -> str:
    """Return `RunKey.fraction` in words: ``10 %``, ``5 shots``."""
    if fraction > 0:
        return f"{100 * fraction:g} %"
    return f"{-fraction:g} shot{'s' if fraction < -1 else ''}"


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, integral floats and ints told apart by type."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)


def sha256_of(value: Any) -> str:
    """Return the hex SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class RunKey:
    """What a run is. Two runs with equal keys give equal scores; where and how fast they ran is no part of it.

    Attributes:
        suite, suite_version, split_hash, task: the data; `split_hash` covers the ids of every split.
        model, model_version, weights: the entry; `weights` is its file's SHA-256, ``"random"`` or ``"none"``.
        recipe: how images become input (bands, units, absent policy, size, windows, normalisation).
        protocol, protocol_version, settings: `settings` holds only what differs from the version's defaults.
        fraction: share of train and val labels, in (0, 1]; -k for few-shot subsets of k samples a class.
        subset: which nested subset of that fraction.
        seed: of random init, probe init and batch order.
    """

    suite: str
    suite_version: int
    split_hash: str
    task: str
    model: str
    model_version: int
    weights: str
    recipe: Mapping[str, Any]
    protocol: str
    protocol_version: int
    settings: Mapping[str, Any]
    fraction: float
    subset: int
    seed: int

    @cached_property
    def digest(self) -> str:
        """20 hex digits that name this run's record."""
        return sha256_of(asdict(self))[:20]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a protocol hands back.

    Attributes:
        scores: split -> layer rule (``last``, ``best-on-val``) -> metric -> value.
        choices: layer rule -> what was chosen on validation (layer, pool, setting, val score, grid edge).
        curves: one row a layer: layer, depth, pool, setting, val, and one score a test split.
        arrays: per-sample outcomes by name, see `bench.protocols.probe`.
        notes: what a reader must know (samples left out and why, a class absent from the subset).
        cost: counts and seconds a protocol measured itself.
    """

    scores: dict[str, dict[str, dict[str, float]]]
    choices: dict[str, dict[str, Any]]
    curves: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()
    cost: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Record:
    """A finished run, as stored: one JSON a record, its arrays in one ``.npz`` beside it.

    Attributes:
        key: what was run.
        status: ``ok`` or ``failed``.
        facts: what tables need of the entry, suite and task (origin, objective, parent, parameters, trained_on_this,
            generated, kind, metric, classes, unit, licence), so that a report needs no registry.
        scores, choices, curves, notes: see `Outcome`.
        arrays: names of the arrays in the ``.npz``.
        cost: seconds, parameters, peak bytes, backbone passes.
        environment: versions, platform, commit, config.
        error: type and message of a failure.
    """

    key: RunKey
    status: Literal["ok", "failed"]
    facts: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curves: Sequence[Mapping[str, Any]] = ()
    arrays: Sequence[str] = ()
    notes: Sequence[str] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def digest(self) -> str:
        """The name of this record."""
        return self.key.digest
