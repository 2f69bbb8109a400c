"""One frozen pass over a split: every layer's features, cached by content, in memory independent of its size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import Band, Sample, Split, sha256_of
from bench.core.errors import Damaged, Incompatible, MissingData
from bench.input.prepare import Statistics
from bench.input.recipe import InputRecipe
from bench.input.windows import window_grid
from bench.store import FeatureCache, Features

if TYPE_CHECKING:
    from torch import Tensor

    from bench.core import Backbone, Tap

FLUSH_SECONDS = 30.0
PRECISION = 0.1  # relative error of features that bf16 rounding may make, over tens of blocks
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What one pass over one split is; everything that decides its result is in `key`.

    Attributes:
        facts: model, version, weights, seed, suite, suite version, and the task for dense features.
        split_name: e.g. ``"train"``.
        split: opened with the bands of ``recipe.reads``, in that order.
        recipe: how images become input.
        dense: keep token grids and masks (segmentation) rather than pooled vectors.
        grids: keep token grids beside pooled vectors.
        layers: names of the layers kept; empty for all.
        storage: numpy dtype features are kept in.
    """

    facts: Mapping[str, Any]
    split_name: str
    split: Split
    recipe: InputRecipe
    dense: bool
    storage: str = "float16"
    grids: bool = False
    layers: tuple[str, ...] = ()

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


def statistics(
    split: Split, bands: tuple[Band, ...], cache: FeatureCache, facts: Mapping[str, Any]
) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of each band over every finite pixel of a split, streamed in float64.

    Args:
        split: opened with `bands`.
        bands: in the order read.
        cache: keeps the result by content.
        facts: suite, version and split that the result belongs to.
    """
    key = {**facts, "ids": sha256_of(list(split.ids)), "bands": [band.name for band in bands]}
    if known := cache.memos.recall("statistics", key):
        return {name: (pair[0], pair[1]) for name, pair in known.items()}
    # Chan's parallel update: exact for any chunking, and safe where the mean dwarfs the spread.
    count, mean, spread = np.zeros(len(bands)), np.zeros(len(bands)), np.zeros(len(bands))
    for index in range(len(split)):
        sample = split[index].images
        for column, values in enumerate(_by_band(sample, bands)):
            finite = values[np.isfinite(values)].astype(np.float64)
            if not finite.size:
                continue
            total = count[column] + finite.size
            delta = finite.mean() - mean[column]
            spread[column] += finite.var() * finite.size + delta**2 * count[column] * finite.size / total
            mean[column] += delta * finite.size / total
            count[column] = total
    if not count.all():
        raise MissingData(f"{facts.get('suite')}: no finite value of {bands[int(np.argmin(count))].name} in training")
    deviation = np.sqrt(spread / count)
    result = {band.name: (float(mean[i]), float(deviation[i])) for i, band in enumerate(bands)}
    cache.memos.remember("statistics", key, result)
    return result


def _by_band(images: Mapping[str, np.ndarray], bands: tuple[Band, ...]) -> Iterator[np.ndarray]:
    seen: dict[str, int] = {}
    for band in bands:
        yield images[band.sensor][:, seen.setdefault(band.sensor, 0)]
        seen[band.sensor] += 1


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
    """Return the features of a split, from the cache or by one pass, and what the pass cost.

    Args:
        job: what to extract.
        load: gives the backbone; called only if the features are not cached.
        cache: where they are kept.
        stats: train statistics of the suite's bands.
        device: torch device.
        batch: images a forward pass.
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
    key: Mapping[str, Any],
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
        for start, samples in _read(job.split, first, batch, workers):
            rows = _rows(job, backbone, samples, stats, device, set(shapes))
            _check_finite(rows, job, start)
            writer.append(rows)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                writer.flush()
                flushed = time.monotonic()
            if progress:
                progress(len(samples))
        writer.commit()
    finally:
        writer.close()
    return len(job.split) - first


def _read(split: Split, first: int, batch: int, workers: int) -> Iterator[tuple[int, list[Sample]]]:
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
    for index in range(min(len(job.split), 64)):
        sample = job.split[index]
        if usable(sample, job.recipe.reads):
            rows = _rows(job, backbone, [sample], stats, device)
            return {name: (array.shape[1:], array.dtype.str) for name, array in rows.items()}
    raise MissingData(f"{job.facts.get('suite')} {job.split_name}: no usable image among the first 64")


def _check_precision(job: Pass, backbone: Backbone, stats: Statistics, device: str) -> None:
    """Compare one image's features with those in full precision: some builds of torch compute bf16 convolutions wrong.

    Seen with torch 2.15 on CPUs with AMX: 6 bands at patch 16 were off by as much as their size, 3 bands not at all.
    """
    import torch

    from bench.features.forward import run_backbone

    sample = next(s for s in (job.split[i] for i in range(len(job.split))) if usable(s, job.recipe.reads))
    with torch.inference_mode():
        given = run_backbone(job.recipe, backbone, [sample], stats, device)
        exact = run_backbone(replace(job.recipe, precision="fp32"), backbone, [sample], stats, device)
    for layer, one, true in zip(backbone.layers, given, exact, strict=True):
        error = float((one.grid.float() - true.grid).norm() / true.grid.norm().clamp_min(1e-12))
        if not error <= PRECISION:
            raise Incompatible(
                f"{job.facts.get('model')}: {job.recipe.precision} features of {layer.name} differ from fp32's by "
                f"{error:.0%} of their size on {device}; rounding explains {PRECISION:.0%} at most: use precision=fp32"
            )


def _rows(
    job: Pass, backbone: Backbone, samples: list[Sample], stats: Statistics, device: str, keep: set[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the arrays of one batch; rows of unusable samples are NaN."""
    import torch

    from bench.features.forward import run_backbone

    fine = np.array([usable(sample, job.recipe.reads) for sample in samples])
    # A batch without one usable sample still has to give rows of the right shape.
    good = [sample for sample, one in zip(samples, fine, strict=True) if one] or [_zeros(samples[0])]
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
                arrays[full_name] = _store(full, job.storage, layer.name)
    if job.dense and not isinstance(samples[0].target, Mapping):  # boxes are read from the suite
        masks = np.stack([np.asarray(sample.target) for sample in samples])
        arrays["mask"] = masks.astype(np.float32 if masks.dtype.kind == "f" else np.int16)
    return arrays


def _store(values: np.ndarray, storage: str, layer: str) -> np.ndarray:
    if storage == "float16" and float(np.nanmax(np.abs(values), initial=0.0)) > 65504:
        raise Incompatible(f"layer {layer}: activations beyond float16 (65504); set storage=float32")
    return values.astype(storage)


def _views(tap: Tap, dense: bool, grids: bool = False) -> dict[str, Tensor]:
    """Return what is kept of a tap: its grid, its vectors (``own`` where the authors' pooling is neither), or both.

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


def usable(sample: Sample, bands: tuple[Band, ...]) -> bool:
    """Return whether every band of a sample has one finite pixel."""
    return all(bool(np.isfinite(values).any()) for values in _by_band(sample.images, bands))


def _zeros(sample: Sample) -> Sample:
    return sample._replace(images={sensor: np.zeros_like(values) for sensor, values in sample.images.items()})


def _check_finite(rows: Mapping[str, np.ndarray], job: Pass, start: int) -> None:
    for name, array in rows.items():
        if name == "mask":
            continue
        flat = np.isnan(array.reshape(len(array), -1))
        broken = flat.any(1) & ~flat.all(1)
        if broken.any():
            where = job.split.ids[start + int(np.argmax(broken))]
            raise Incompatible(f"{job.facts.get('model')}: layer {name} gives NaN for the sound image {where}")


def health(features: Features) -> list[str]:
    """Return what is unhealthy about stored features: constant layers, or rows that are all alike."""
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
