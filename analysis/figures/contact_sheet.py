"""A contact sheet of a suite: its images, targets, classes and values, to look at before any score is interpreted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from analysis.figures.style import COLOURS, GREY, WIDE, style
from bench.core import UNITS, Band, Sample, Split, Suite, Task
from bench.core.colours import RADAR, natural_bands, stretched

SHOWN = 6  # samples on a sheet
EXAMINED = 24  # samples whose values are examined
MORE = tuple(str(colour) for colour in (*COLOURS, "#7F7F7F", "#8C564B", "#BCBD22", "#17BECF", "#AEC7E8", "#FFBB78"))
NONE = "#FFFFFF"  # pixels that are not scored


def contact_sheet(suite: Suite, task: Task, split: Split, bands: Sequence[Band]) -> Figure:
    """Return a sheet of some samples with their targets, the number of samples per class and the values of each band.

    Args:
        suite: the suite.
        task: the task whose targets are shown.
        split: a split opened with `bands`.
        bands: in the order of `split`.
    """
    places = np.unique(np.linspace(0, len(split) - 1, min(EXAMINED, len(split))).astype(int))
    samples = [split[int(place)] for place in places]
    few = [int(i) for i in np.unique(np.linspace(0, len(samples) - 1, min(SHOWN, len(samples))).astype(int))]
    with style():
        rows = 2 if task.dense and task.kind != "detection" else 1
        figure = Figure(figsize=(WIDE, 1.45 * rows + 2.5), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=(1.45 * rows, 2.3))
        top, bottom = halves
        mark = "generated data" if suite.generated else suite.title
        figure.suptitle(f"{suite.name}, {task.name}: {_middle_cut(mark, 90)}", fontsize=8, x=0.01, ha="left")
        natural = _natural_range(samples, bands)
        grid = top.subplots(rows, len(few), squeeze=False).T
        for column, (axes, place) in enumerate(zip(grid, few, strict=True)):
            _picture(axes[0], samples[place], bands, natural, legend=column == 0)
            axes[0].set_title(_middle_cut(split.ids[int(places[place])]), fontsize=5.5, fontweight="normal")
            _draw_target(axes, task, samples[place])
        left, right = bottom.subplots(1, 2, width_ratios=(1, 1.35))
        _balance(left, task, split.targets())
        _values(right, samples, bands)
    return figure


def _draw_target(axes: np.ndarray, task: Task, sample: Sample) -> None:
    """Draw a sample's target: over its image, below it, or as text."""
    if task.kind == "detection":
        for (left, top, right, low), code in zip(sample.target["boxes"], sample.target["labels"], strict=True):
            colour = MORE[int(code) % len(MORE)]
            box = Rectangle((left, top), right - left, low - top, fill=False, edgecolor=colour, linewidth=0.7)
            axes[0].add_patch(box)
        text = f"{len(sample.target['labels'])} boxes"
    elif task.kind == "classification":
        text = task.classes[int(sample.target)]
    elif task.kind == "multilabel":
        text = ", ".join(task.classes[k] for k in np.flatnonzero(sample.target)) or "no label"
    elif task.kind == "regression":
        text = ", ".join(f"{value:.4g}" for value in np.ravel(sample.target)) + f" {task.unit}"
    else:
        text = ""
        _draw_mask(axes[1], task, np.asarray(sample.target))
    axes[-1].set_xlabel(_middle_cut(text, 34), fontsize=5.5)


def _middle_cut(text: str, most: int = 24) -> str:
    """Return a text of at most `most` characters, without its middle if it is longer."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 + 1 :]}"


def _natural_range(samples: Sequence[Sample], bands: Sequence[Band]) -> tuple[tuple[str, ...], float, float] | None:
    """Return the bands shown as red, green and blue, and the range of all images; None without such bands."""
    names = natural_bands([band.name for band in bands])
    if names is None:
        return None
    planes = [_planes(sample, bands) for sample in samples]
    values = np.concatenate([each[name][..., ::4, ::4].ravel() for each in planes for name in names if name in each])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, (1, 98)) if values.size else (0.0, 1.0)
    return names, float(low), float(high)


def _picture(
    axes: Axes,
    sample: Sample,
    bands: Sequence[Band],
    natural: tuple[tuple[str, ...], float, float] | None,
    *,
    legend: bool,
) -> None:
    """Draw an image in natural colours, as a radar composite or in its first band; a pixel series as lines."""
    planes = _planes(sample, bands)
    name, first = next(iter(planes.items()))
    if first.shape[-2:] == (1, 1):
        for index, (band, values) in enumerate(list(planes.items())[: len(MORE)]):
            series = values[:, 0, 0]
            spread = np.nanstd(series) or 1.0
            axes.plot((series - np.nanmean(series)) / spread, color=MORE[index], linewidth=0.6, label=band)
        axes.set_xticks([0, len(first) - 1], ["first", "last date"], fontsize=5)
        axes.set_yticks([])
        if legend:
            axes.legend(fontsize=3.5, ncols=2, loc="upper left", handlelength=1)
        return
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    middle = len(first) // 2
    if natural and set(natural[0]) <= set(planes):
        image = np.stack([planes[band][middle] for band in natural[0]], -1)
        axes.imshow(_white_where_missing(stretched(image, natural[1], natural[2])))
        name = ""
    elif set(RADAR) <= set(planes):
        vv, vh = (_decibel(planes[band][middle], band, bands) for band in RADAR)
        composite = np.stack([vv, vh, vv - vh], -1)
        with np.errstate(invalid="ignore"):
            limits = np.nanpercentile(composite, (2, 98), axis=(0, 1)) if np.isfinite(composite).any() else (0, 1)
        axes.imshow(_white_where_missing(stretched(composite, *limits)))
        name = "VV, VH, VV-VH"
    else:
        axes.imshow(first[middle], cmap="gray")
    if legend and name:
        axes.set_ylabel(name, fontsize=5)


def _planes(sample: Sample, bands: Sequence[Band]) -> dict[str, np.ndarray]:
    """Return each band of a sample, (T, H, W), by name."""
    place: dict[str, int] = {}
    planes = {}
    for band in bands:
        column = place.get(band.sensor, 0)
        place[band.sensor] = column + 1
        if band.sensor in sample.images:
            planes[band.name] = sample.images[band.sensor][:, column]
    return planes


def _decibel(values: np.ndarray, name: str, bands: Sequence[Band]) -> np.ndarray:
    unit = next(band.unit for band in bands if band.name == name)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.maximum(values, 1e-6)) if unit == "power" else values


def _white_where_missing(image: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(image), 1.0, image)


def _draw_mask(axes: Axes, task: Task, target: np.ndarray) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    if task.kind == "dense_regression":
        drawn = axes.imshow(target, cmap="viridis")
        bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05)
        bar.ax.tick_params(labelsize=4)
        return
    count = len(task.classes)
    palette = ListedColormap([NONE, *(MORE[k % len(MORE)] for k in range(count))])
    codes = np.where((target >= 0) & (target < count) & (target != task.ignore), target + 1, 0)
    axes.imshow(codes, cmap=palette, vmin=0, vmax=count, interpolation="nearest")


def _balance(axes: Axes, task: Task, targets: np.ndarray) -> None:
    """Draw the number of samples per class, or the distribution of values."""
    axes.grid(visible=False)
    if task.kind in ("regression", "dense_regression"):
        values = np.asarray(targets, float).reshape(len(targets), -1)[:, 0]
        axes.hist(values[np.isfinite(values)], bins=30, color=COLOURS[0])
        axes.set_xlabel(f"{task.quantity} [{task.unit}]")
        axes.set_ylabel("samples")
        axes.set_title("targets")
        return
    if task.kind == "classification":
        counts = np.bincount(np.asarray(targets, int), minlength=len(task.classes))
    else:
        counts = np.asarray(targets).astype(bool).sum(0)
    places = np.arange(len(counts))
    axes.barh(places, counts, color=[MORE[k % len(MORE)] for k in places])
    names = [_middle_cut(name, 22) for name in task.classes]
    axes.set_yticks(places, names, fontsize=max(3.0, min(6.5, 90 / max(1, len(counts)))))
    axes.invert_yaxis()
    axes.set_xlabel("samples" if task.kind == "classification" else "samples with the class")
    axes.set_title(f"{len(task.classes)} class" + "es" * (len(task.classes) != 1))
    if task.ignore is not None:
        axes.legend(handles=[Patch(facecolor=NONE, edgecolor=GREY, label="not scored")], fontsize=5, loc="lower right")


def _values(axes: Axes, samples: Sequence[Sample], bands: Sequence[Band]) -> None:
    """Draw percentiles 1, 25, 50, 75 and 99 of each band's values, with its declared unit."""
    parts: Mapping[str, Any] = {band.name: [] for band in bands}
    for sample in samples:
        for name, values in _planes(sample, bands).items():
            finite = values[np.isfinite(values)]
            parts[name].append(finite[:: max(1, finite.size // 2000)])
    labels = []
    for place, band in enumerate(bands):
        values = np.concatenate(parts[band.name]) if parts[band.name] else np.empty(0)
        labels.append(f"{band.name} [{band.unit}]")
        if not values.size:
            continue
        unit = UNITS[band.unit]
        # Units differ by orders of magnitude: each band is drawn over its own range, which is written next to it.
        low, *quartiles, high = np.percentile(values, (1, 25, 50, 75, 99))
        span = max(high - low, 1e-12)
        boxed = [(value - low) / span for value in quartiles]
        axes.plot([0, 1], [place, place], color=GREY, linewidth=0.8)
        axes.plot([boxed[0], boxed[2]], [place, place], color=COLOURS[0], linewidth=4, solid_capstyle="butt")
        axes.plot(boxed[1], place, "|", color="white", markersize=4)
        outside = low < unit.low or high > unit.high
        text = f"{low:.4g} .. {high:.4g}" + (" outside its unit" if outside else "")
        axes.text(1.03, place, text, fontsize=5, va="center", color=COLOURS[1] if outside else "black")
    axes.set_xlim(-0.03, 1.45)
    axes.set_yticks(range(len(bands)), labels, fontsize=max(3.0, min(6.0, 100 / max(1, len(bands)))))
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_title("values: 1st to 99th percentile, quartiles in blue")
