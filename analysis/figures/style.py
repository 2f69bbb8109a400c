"""Axes-level drawing of layer profiles, and the figure that holds them; bytes depend on the data alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.figures.font import families

# Okabe and Ito (2008) without yellow, which a white page swallows; the marker tells the same story in grey print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#9A9A9A"
NARROW, WIDE = 3.3, 6.9  # inches: one and two columns of a paper
STYLE = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "figure.dpi": 200,
}


def in_sight(
    scores: np.ndarray, low: np.ndarray, high: np.ndarray, more: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the vertical range of scores and their bands, but for what is far off the middle of the scores.

    An R² of -50 would flatten everything else; its line leaves the axes instead. Far is further from the median than
    0 is, than thrice the interquartile range, and than thrice half a median band.

    Args:
        scores: (N,); NaN for none.
        low: (N,) 95 % bounds, NaN for none.
        high: likewise.
        more: (M,) further values that should be seen if they are not far off.
    """
    every = np.concatenate([np.ravel(part) for part in (scores, low, high, more) if part is not None])
    every, known = every[np.isfinite(every)], scores[np.isfinite(scores)]
    if not len(known):
        return 0.0, 1.0
    first, middle, third = np.percentile(known, [25, 50, 75])
    halves = (high - low)[np.isfinite(high - low)] / 2
    reach = max(abs(middle), 3 * (third - first), 3 * float(np.median(halves)) if len(halves) else 0.0)
    bottom, top = max(every.min(), middle - reach), min(every.max(), middle + reach)
    margin = 0.04 * (top - bottom) or 0.05
    return float(bottom - margin), float(top + margin)


_inside: ContextVar[bool] = ContextVar("_inside", default=False)


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in the project's style, whatever the reader's own settings are; within another it costs nothing."""
    if _inside.get():
        yield
        return
    token = _inside.set(True)
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            mpl.rcParams["font.family"] = list(families())
            yield
    finally:
        _inside.reset(token)


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, laid out by itself; call within `style`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def headed(figure: Figure, title: str, *, generated: bool) -> None:
    """Put a title at the top left, which says so where the data were made by a program."""
    figure.suptitle(title + (" · generated data" if generated else ""), fontsize=8, x=0.01, ha="left")


def saved(figure: Figure, kind: str) -> bytes:
    """Return a figure as ``pdf`` (vector, TrueType fonts) or ``png`` (200 dpi), without date or machine in it."""
    nobody = {"pdf": {"CreationDate": None, "Creator": None, "Producer": None}, "png": {"Software": None}}
    buffer = io.BytesIO()
    with style():
        _settle(figure)
        figure.savefig(buffer, format=kind, metadata=nobody[kind])
    return buffer.getvalue()


def _settle(figure: Figure) -> None:
    """Lay a figure out once and for all, so that no format need work it out again."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    for axes in figure.axes:
        for artist in (*axes.lines, *axes.collections, *axes.patches, *axes.images):
            artist.set_in_layout(False)  # what lies inside the axes takes no room outside
    engine.execute(figure)
    figure.set_layout_engine(None)
