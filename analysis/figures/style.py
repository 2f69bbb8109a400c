"""Style of all figures: colours, sizes, titles, and saving to bytes that depend on the data only."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures.font import families
from bench.core.wording import printable

# Okabe and Ito (2008) without yellow, which is hard to see on white; markers repeat the distinction for grey prints.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#9A9A9A"
TITLE_CHARACTER = 0.066  # inches per character of a title, on average
NARROW, WIDE = 3.3, 6.9  # inches: one and two columns of a paper
LONGEST_LINE = 90  # characters
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
    "text.parse_math": False,  # a $ in a name is a dollar sign
    "savefig.dpi": 200,
    "figure.dpi": 200,
}


def visible_range(
    scores: np.ndarray, low: np.ndarray, high: np.ndarray, more: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the vertical range of scores and their bands, without outliers.

    An R² of -50 would flatten all other curves; its line leaves the axes instead. An outlier is further from the median
    than 0 is, than three interquartile ranges, and than three half widths of the median band.

    Args:
        scores: (N,); NaN for none.
        low: (N,) 95 % bounds, NaN for none.
        high: likewise.
        more: (M,) further values to include unless they are outliers.
    """
    values = np.concatenate([np.ravel(part) for part in (scores, low, high, more) if part is not None])
    values, known = values[np.isfinite(values)], scores[np.isfinite(scores)]
    if not len(known):
        return 0.0, 1.0
    first, middle, third = np.percentile(known, [25, 50, 75])
    halves = (high - low)[np.isfinite(high - low)] / 2
    reach = max(abs(middle), 3 * (third - first), 3 * float(np.median(halves)) if len(halves) else 0.0)
    bottom, top = max(values.min(), middle - reach), min(values.max(), middle + reach)
    margin = 0.04 * (top - bottom) or 0.05
    return float(bottom - margin), float(top + margin)


_inside: ContextVar[bool] = ContextVar("_inside", default=False)


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in the project's style, independent of the user's matplotlib settings; may be nested."""
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
    """Return an empty figure of this size in inches with constrained layout; call within `style`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def headed(figure: Figure, title: str, *, generated: bool) -> None:
    """Put a title at the top left, in as many lines as the width needs; it states if the data were generated."""
    text = title + (" · generated data" if generated else "")
    lines = textwrap.wrap(text, max(20, int(figure.get_figwidth() / TITLE_CHARACTER)))
    figure.suptitle("\n".join(lines), fontsize=8, x=0.01, ha="left")


def saved(figure: Figure, kind: str) -> bytes:
    """Return a figure as ``pdf`` (vector, TrueType fonts) or ``png`` (200 dpi), without date or software in it."""
    anonymous = {"pdf": {"CreationDate": None, "Creator": None, "Producer": None}, "png": {"Software": None}}
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as an empty box
        _lay_out(figure)
        figure.savefig(buffer, format=kind, metadata=anonymous[kind])
    return buffer.getvalue()


def _lay_out(figure: Figure) -> None:
    """Lay a figure out once, so that the second format need not do it again."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    _shorten_texts(figure)
    for axes in figure.axes:
        for artist in (*axes.lines, *axes.collections, *axes.patches, *axes.images):
            artist.set_in_layout(False)  # artists inside the axes need no room outside
    engine.execute(figure)
    figure.set_layout_engine(None)


def _shorten_texts(figure: Figure) -> None:
    """Replace control characters in the texts of a figure, and the middle of very long lines."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            texts = [label.get_text() for label in axis.get_ticklabels()]
            plain = [figure_text(text) for text in texts]
            if plain != texts:
                axis.set_ticks(axis.get_ticklocs(), plain)
    for text in figure.findobj(Text):
        plain_text = figure_text(text.get_text())
        if plain_text != text.get_text():
            text.set_text(plain_text)


def figure_text(text: str) -> str:
    r"""Return a text for a figure: control characters spelt out, lines longer than `LONGEST_LINE` shortened.

    >>> len(figure_text("x" * 300)), figure_text("two lines" + chr(10) + "stay")
    (90, 'two lines\nstay')
    """
    return "\n".join(_shortened_line(line) for line in printable(text).split("\n"))


def _shortened_line(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE // 2]}…{line[1 - LONGEST_LINE // 2 :]}"
