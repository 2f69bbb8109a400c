"""One frozen pass over a split: every layer's features, cached by content, in memory independent of its size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import Sample, Split, sha256_of
from bench.core.errors import Damaged, Incompatible
from bench.input.fills import check_fill
from bench.input.prepare import Statistics
from bench.input.recipe import InputRecipe
from bench.input.usable import blank_sample, first_usable, usable
from bench.input.windows import window_grid
from bench.store import FeatureCache, Features

if TYPE_CHECKING:
    from torch import Tensor

    from bench.core import Backbone, Tap

FLUSH_SECONDS = 30.0
HALF = 65504.0  # the largest number of float16
PRECISION = 0.1  # relative error of features that bf16 rounding may make, over tens of blocks
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass over one split; everything that decides its result is in `key`.

    Attributes:
        facts: model, version, weights, seed, suite, suite version, and the task for dense features.
        split_name: e.g. ``"train"``.
        split: opened with the bands of ``recipe.reads``, in that order.
        recipe: how images become input.
        dense: keep token grids and masks (segmentation) rather than pooled vectors.
        grids: keep token grids as well as pooled vectors.
        layers: names of the layers kept; empty for all.
        storage: numpy dtype features are kept in.
        mask: numpy dtype class codes of masks are kept in.
    """

    facts: Mapping[str, Any]
    split_name: str
    split: Split
    recipe: InputRecipe
    dense: bool
    storage: str = "float16"
    grids: bool = False
    layers: tuple[str, ...] = ()
    mask: str = "int16"

    def key(self, statistics: Statistics) -> dict[str, Any]:
        """Return the content key of the feature set."""
        used = {name: list(pair) for name, pair in statistics.items()} if self.recipe.normalise == "dataset" else {}
        return {
            **self.facts,
            "split": self.split_name,
            "ids": sha256_of(list(self.split.ids)),
            "recipe": self.recipe.facts(),
            "dense": self.dense,
            "storage": self.storage,
            "statistics": used,
            "layout": 1,
            **({"grids": True} if self.grids else {}),
            **({"layers": list(self.layers)} if self.layers else {}),
        }


def extract(
    job: Pass,
    load: Callable[[], Backbone],
    cache: FeatureCache,
    stats: Statistics,
    *,
    device: str,
    batch: int,
    workers: int,
    progress: Progress | None = None,
) -> tuple[Features, dict[str, float]]:
    """Return the features of a split, from the cache or from one pass, and the cost of that pass.

    Args:
        job: what to extract.
        load: gives the backbone; called only if the features are not cached.
        cache: where they are kept.
        stats: train statistics of the suite's bands.
        device: torch device.
        batch: images per forward pass.
        workers: threads that read samples ahead.
        progress: called with the number of images done, after each batch.

    Returns:
        The features, with a row for each id (NaN where a sample is unusable: a band without one finite pixel), and
        ``{"passes": images run, "seconds": ...}``.

    Raises:
        Incompatible: the backbone gives NaN for a sound image, or values beyond the storage type.
    """
    key = job.key(stats)
    if ready := cache.open(key):  # a cache that cannot be written, and so takes no claim, serves what it holds
        return ready, {"passes": 0.0, "seconds": 0.0}
    with cache.lock(key):
        if ready := cache.open(key):
            return ready, {"passes": 0.0, "seconds": 0.0}
        start = time.perf_counter()
        passes = _fill(job, load(), cache, key, stats, device=device, batch=batch, workers=workers, progress=progress)
        ready = cache.open(key)
    if ready is None:
        raise Damaged(f"{cache.folder(key)} differs from its checksums as soon as it is written: check the disk")
    return ready, {"passes": float(passes), "seconds": time.perf_counter() - start}


def _fill(
    job: Pass,
    backbone: Backbone,
    cache: FeatureCache,
    key: Mapping[str, object],
    stats: Statistics,
    *,
    device: str,
    batch: int,
    workers: int,
    progress: Progress | None,
) -> int:
    import torch

    if isinstance(backbone, torch.nn.Module):
        backbone.to(device).eval()
    flushed = time.monotonic()
    shapes = _shapes(job, backbone, stats, device)
    if job.recipe.precision != "fp32":
        _check_precision(job, backbone, stats, device)
    if job.recipe.windows:  # a large image is many forward passes: keep the memory of a batch what it was
        image = next(iter(job.split[0].images.values())).shape[-2:]
        batch = max(1, batch // len(window_grid(job.recipe, image)))
    writer = cache.writer(key, list(job.split.ids), shapes, backbone.layers)
    try:
        # Resume only at a batch boundary, so that a killed and a whole pass see the same batches.
        first = writer.rows
        for start, samples in read_ahead(job.split, first, batch, workers):
            ids = job.split.ids[start : start + len(samples)]
            writer.append(_rows(job, backbone, samples, ids, stats, device, set(shapes)))
            if time.monotonic() - flushed > FLUSH_SECONDS:
                writer.flush()
                flushed = time.monotonic()
            if progress:
                progress(len(samples))
        writer.commit()
    finally:
        writer.close()
    return len(job.split) - first


def read_ahead(split: Split, first: int, batch: int, workers: int) -> Iterator[tuple[int, list[Sample]]]:
    """Yield (start, samples) batch by batch, reading two batches ahead in threads."""
    starts = list(range(first, len(split), batch))
    with ThreadPoolExecutor(max_workers=workers) as pool:

        def submit(start: int) -> list[Any]:
            return [pool.submit(split.__getitem__, i) for i in range(start, min(start + batch, len(split)))]

        ahead = [submit(start) for start in starts[:2]]
        for position, start in enumerate(starts):
            samples = [future.result() for future in ahead.pop(0)]
            if position + 2 < len(starts):
                ahead.append(submit(starts[position + 2]))
            yield start, samples


def _shapes(job: Pass, backbone: Backbone, stats: Statistics, device: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return name -> (row shape, dtype) of the arrays to keep, from one usable sample."""
    index, sample = first_usable(job.split, job.recipe.reads, f"{job.facts.get('suite')} {job.split_name}")
    rows = _rows(job, backbone, [sample], [job.split.ids[index]], stats, device)
    return {name: (array.shape[1:], array.dtype.str) for name, array in rows.items()}


def _check_precision(job: Pass, backbone: Backbone, stats: Statistics, device: str) -> None:
    """Compare one image's features with those in full precision: some builds of torch compute bf16 convolutions wrong.

    Seen with torch 2.15 on CPUs with AMX: 6 bands at patch 16 were off by as much as their size, 3 bands not at all.
    """
    import torch

    from bench.features.forward import run_backbone

    _, sample = first_usable(job.split, job.recipe.reads, f"{job.facts.get('suite')} {job.split_name}")
    with torch.inference_mode():
        given = run_backbone(job.recipe, backbone, [sample], stats, device)
        exact = run_backbone(replace(job.recipe, precision="fp32"), backbone, [sample], stats, device)
    for layer, tap, true in zip(backbone.layers, given, exact, strict=True):
        error = float((tap.grid.float() - true.grid).norm() / true.grid.norm().clamp_min(1e-12))
        if not error <= PRECISION:
            raise Incompatible(
                f"{job.facts.get('model')}: {job.recipe.precision} features of {layer.name} differ from fp32's by "
                f"{error:.0%} of their size on {device}; rounding explains {PRECISION:.0%} at most: use precision=fp32"
            )


def _rows(
    job: Pass,
    backbone: Backbone,
    samples: list[Sample],
    ids: Sequence[str],
    stats: Statistics,
    device: str,
    keep: set[str] | None = None,
) -> dict[str, np.ndarray]:
    """Return the arrays of one batch; rows of unusable samples are NaN.

    Raises:
        Incompatible: the backbone gives NaN or infinity for a usable sample, which is named.
        MissingData: a sample holds a value that its unit cannot hold and that looks like a fill value.
    """
    import torch

    from bench.features.forward import run_backbone

    bands = job.recipe.reads
    for sample, name in zip(samples, ids, strict=True):
        check_fill(sample, bands, f"{job.facts.get('suite')} {job.split_name} {name}")
    fine = np.array([usable(sample, bands) for sample in samples])
    # A batch without one usable sample still has to give rows of the right shape.
    good = [sample for sample, is_usable in zip(samples, fine, strict=True) if is_usable] or [blank_sample(samples[0])]
    arrays: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        wanted = [i for i, layer in enumerate(backbone.layers) if not job.layers or layer.name in job.layers]
        taps = run_backbone(job.recipe, backbone, good, stats, device, wanted)
        for index, tap in zip(wanted, taps, strict=True):
            layer = backbone.layers[index]
            for name, value in _views(tap, job.dense, job.grids).items():
                full_name = f"{layer.name}.{name}"
                if keep is not None and full_name not in keep:
                    continue
                part = value.float().cpu().numpy()
                full = np.full((len(samples), *part.shape[1:]), np.nan, np.float32)
                if fine.any():
                    full[fine] = part
                _check_finite(full[fine], np.asarray(ids)[fine], f"{job.facts.get('model')}: layer {full_name}", job)
                arrays[full_name] = full.astype(job.storage)
    if job.dense and not isinstance(samples[0].target, Mapping):  # boxes are read from the suite
        masks = np.stack([np.asarray(sample.target) for sample in samples])
        arrays["mask"] = masks.astype(np.float32 if masks.dtype.kind == "f" else job.mask)
    return arrays


def _check_finite(rows: np.ndarray, ids: np.ndarray, what: str, job: Pass) -> None:
    """Check that features of usable samples are numbers that can be stored.

    Raises:
        Incompatible: they are not; names the first sample.
    """
    if not len(rows):
        return
    flat = rows.reshape(len(rows), -1)
    if (broken := np.isnan(flat).any(1)).any():
        raise Incompatible(f"{what} gives NaN for the sound image {ids[int(np.argmax(broken))]}")
    largest = float(np.abs(flat).max(initial=0.0))
    if job.storage == "float16" and largest > HALF:
        raise Incompatible(f"{what}: activations beyond float16 ({HALF:.0f}); set storage=float32")
    if not np.isfinite(largest):
        broken = np.isinf(flat).any(1)
        raise Incompatible(f"{what} gives infinity for the sound image {ids[int(np.argmax(broken))]}")


def _views(tap: Tap, dense: bool, grids: bool = False) -> dict[str, Tensor]:
    """Return the views kept of a tap: its grid, its vectors (``own`` where the authors' pooling is neither), or both.

    A view the first sample did not have is dropped by the caller, so the set of arrays is that of the first sample.
    """
    if dense:
        return {"grid": tap.grid}
    views = {"mean": tap.grid.mean((-2, -1))} | ({"grid": tap.grid} if grids else {})
    if tap.cls is not None:
        views["cls"] = tap.cls
    if tap.vector.shape[0] > 1:
        return views | {"own": tap.vector}
    if not any(
        view.ndim == 2
        and tap.vector.shape == view.shape
        and bool((tap.vector - view).abs().max() <= 1e-4 * (1 + view.abs().max()))
        for view in views.values()
    ):
        views["own"] = tap.vector
    return views


def health(features: Features) -> list[str]:
    """Return the faults of stored features: layers whose rows are all alike."""
    faults = []
    for name in features.names:
        if name == "mask":
            continue
        rows = np.asarray(features[name][: min(len(features.ids), 256)], np.float32).reshape(
            min(len(features.ids), 256), -1
        )
        rows = rows[np.isfinite(rows).all(1)]
        if len(rows) > 1 and bool((rows == rows[0]).all()):
            faults.append(f"{name} is the same for every image")
    return faults
