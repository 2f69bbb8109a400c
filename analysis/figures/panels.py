"""Single test images with truth and prediction, the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from analysis.figures.style import COLOURS, NARROW, WIDE, canvas, headed, style

LEAST_SCORE = 0.3  # boxes with a lower score are not drawn
TRUE, FOUND = "#FFFFFF", "#E69F00"
MOST_LEGEND = 12


def palette(classes: int) -> ListedColormap:
    """Return one colour per class: those of Okabe and Ito, or, for many classes, evenly spread ones."""
    usual = ["#D9D9D9", *COLOURS[:6], "#F0E442", "#000000"]
    if classes <= len(usual):
        return ListedColormap(usual[:classes])
    return ListedColormap(mpl.colormaps["turbo"](np.linspace(0.03, 0.97, classes)))


def _bare(axes: Axes, image: np.ndarray, **how: object) -> None:
    axes.imshow(image, interpolation="nearest", **how)  # type: ignore[arg-type]
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _channels_last(image: np.ndarray) -> np.ndarray:
    return np.moveaxis(image, 0, -1)


def masks(row: Sequence[Axes], image: np.ndarray, target: np.ndarray, predicted: np.ndarray, classes: int) -> None:
    """Draw input, truth, prediction and error of one image; pixels without a true class are white."""
    colours, norm = palette(classes), BoundaryNorm(np.arange(-0.5, classes), classes)
    known = (target >= 0) & (target < classes)
    _bare(row[0], _channels_last(image))
    _bare(row[1], np.ma.masked_array(target, ~known), cmap=colours, norm=norm)
    _bare(row[2], np.ma.masked_array(predicted, ~known), cmap=colours, norm=norm)
    wrong = np.ma.masked_array((target != predicted).astype(float), ~known)
    _bare(row[3], wrong, cmap=ListedColormap(["#E4E4E4", "#D55E00"]), vmin=0, vmax=1)


def values(
    row: Sequence[Axes], image: np.ndarray, target: np.ndarray, predicted: np.ndarray, ends: Sequence[float]
) -> None:
    """Draw input, truth, prediction and their difference of one image of values.

    Args:
        row: four axes.
        image: (3, h, w).
        target: (h, w), not finite where unknown.
        predicted: (h, w).
        ends: lowest and highest value of the colours, and largest error.
    """
    _bare(row[0], _channels_last(image))
    unknown = ~np.isfinite(target)
    for axes, shown in ((row[1], target), (row[2], predicted)):
        _bare(axes, np.ma.masked_array(shown, unknown), cmap="viridis", vmin=ends[0], vmax=ends[1])
    _bare(row[3], np.ma.masked_array(predicted - target, unknown), cmap="RdBu", vmin=-ends[2], vmax=ends[2])


def boxes(row: Sequence[Axes], image: np.ndarray, drawn: np.ndarray, classes: Sequence[str]) -> None:
    """Draw one image twice, with its true boxes and with the detected boxes and their scores.

    Args:
        row: two axes.
        image: (3, h, w).
        drawn: (m, 6) x1 y1 x2 y2, score (-1 for true ones), class.
        classes: names.
    """
    for axes, true in ((row[0], True), (row[1], False)):
        _bare(axes, _channels_last(image))
        for x1, y1, x2, y2, score, code in drawn[(drawn[:, 4] < 0) == true]:
            if not true and score < LEAST_SCORE:
                continue
            colour = TRUE if true else FOUND
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="black", linewidth=1.8))
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=0.9))
            name = classes[int(code)] if len(classes) > 1 else ""
            text = name if true else f"{name} {score:.2f}".strip()
            plate = {"facecolor": colour, "edgecolor": "none", "pad": 0.4, "alpha": 0.85}
            axes.text(x1, y1, text, fontsize=4.5, color="black", va="bottom", bbox=plate, clip_on=True)


def panel_figure(
    arrays: Mapping[str, np.ndarray], *, kind: str, classes: Sequence[str], title: str, generated: bool
) -> Figure:
    """Return the images of a record with truth and prediction, worst first.

    Args:
        arrays: ``panel.*`` of a record, see `bench.finetuning.panels.kept_images`.
        kind: of task.
        classes: names.
        title: of the figure.
        generated: see `headed`.
    """
    with style():
        if kind in ("segmentation", "change", "dense_regression", "detection"):
            figure = _dense(arrays, kind, classes)
        else:
            figure = _single(arrays, kind, classes)
        headed(figure, title, generated=generated)
    return figure


def _dense(arrays: Mapping[str, np.ndarray], kind: str, classes: Sequence[str]) -> Figure:
    images = arrays["panel.image"]
    heads = ("truth", "detected") if kind == "detection" else ("input", "truth", "prediction", "error")
    shape = images.shape[-2] / images.shape[-1]
    # Two images per row of the grid, each with its panels in one half of the width.
    pairs = 2 if len(images) > 1 else 1
    across, down = pairs * len(heads), -(-len(images) // pairs)
    listed = kind in ("segmentation", "change") and len(classes) <= MOST_LEGEND
    height = 0.45 + down * (WIDE / across * shape * 0.92 + 0.06) + (0.25 if listed else 0.0)
    figure = canvas(WIDE if pairs > 1 else NARROW, height)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for place, image in enumerate(images):
        # Images go down the left half first, so that they read in order.
        column = (place // down) * len(heads)
        row = list(grid[place % down, column : column + len(heads)])
        for axes, head in zip(row, heads, strict=True):
            axes.set_visible(True)
            if place % down == 0:
                axes.set_title(head, fontsize=6.5, fontweight="normal")
        if kind == "detection":
            own = arrays["panel.boxes"]
            boxes(row, image, own[own[:, 0] == place][:, 1:], classes)
        elif kind == "dense_regression":
            target, predicted = arrays["panel.target"][place], arrays["panel.prediction"][place]
            both = np.concatenate([target[np.isfinite(target)], predicted[np.isfinite(target)]])
            ends = np.percentile(both, [2, 98]) if len(both) else np.array([0.0, 1.0])
            values(row, image, target, predicted, [*ends, max(float(ends[1] - ends[0]), 1e-9)])
        else:
            masks(row, image, arrays["panel.target"][place], arrays["panel.prediction"][place], len(classes))
        row[0].set_ylabel(f"error {arrays['panel.error'][place]:.2f}", fontsize=6)
    if listed:
        colours = palette(len(classes))
        handles = [Patch(facecolor=colours(i), label=name) for i, name in enumerate(classes)]
        figure.legend(handles=handles, loc="outside lower center", ncols=6, handlelength=1, handleheight=1, fontsize=6)
    return figure


def _single(arrays: Mapping[str, np.ndarray], kind: str, classes: Sequence[str]) -> Figure:
    images, error = arrays["panel.image"], arrays["panel.error"]
    shape = images.shape[-2] / images.shape[-1]
    across = min(6, len(images))
    down = -(-len(images) // across)
    figure = canvas(WIDE, 0.3 + down * (WIDE / across * shape + 0.38))
    grid = figure.subplots(down, across, squeeze=False)
    for place, axes in enumerate(grid.flat):
        axes.set_visible(place < len(images))
        if place < len(images):
            _bare(axes, _channels_last(images[place]))
            target, predicted = _answers(arrays, place, kind, classes)
            axes.set_title(f"true: {target}\npredicted: {predicted}", fontsize=5.5, fontweight="normal")
            axes.set_xlabel(f"error {error[place]:.2f}", fontsize=6)
    return figure


def _answers(arrays: Mapping[str, np.ndarray], place: int, kind: str, classes: Sequence[str]) -> tuple[str, str]:
    """Return target and prediction of an image as text."""
    target, predicted = arrays["panel.target"][place], arrays["panel.prediction"][place]
    if kind == "classification":
        return classes[int(target)], classes[int(predicted)]
    if kind == "multilabel":
        both = (np.asarray(target) > 0, np.asarray(predicted) > 0.5)
        first, second = (", ".join(name for name, on in zip(classes, mask, strict=True) if on) for mask in both)
        return first or "none", second or "none"
    first, second = (", ".join(f"{value:.4g}" for value in np.ravel(values)) for values in (target, predicted))
    return first, second
