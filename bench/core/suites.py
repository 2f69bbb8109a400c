"""Suites, tasks, splits and samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
from bench.core.bands import Band

Kind = Literal["classification", "multilabel", "regression", "segmentation", "change", "dense_regression", "detection"]
"""``change`` is segmentation of what happened between two dates; ``detection`` is boxes with classes."""


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
        """Return values for stratification: (n,) classes; (n, K) multi-hot, presence in masks or boxes; (n, q) values.

        Of dense values that is their mean.
        """
        ...


@runtime_checkable
class GeoreferencedSplit(Split, Protocol):
    """A split that knows the raster each sample was read from, so that predictions can be written as maps.

    Optional: a split without `source` is a `Split` all the same.
    """

    @property
    def source(self) -> Callable[[int], Path] | None:
        """Index -> the georeferenced raster that a sample is the whole of; None where there is none."""
        ...


class Fetch(Protocol):
    """Downloads one file: resumable, checked, atomic. Given to a suite's `download`."""

    def __call__(self, url: str, path: Path, *, sha256: str = "", md5: str = "") -> Path:
        """Download `url` to `path` and return `path`."""
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
        generated: whether a program made the data; every output is then marked "generated data".
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
