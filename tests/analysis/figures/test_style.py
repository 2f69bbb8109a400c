"""Titles stay within the figure, whatever their length."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.figures.similarity import models_figure
from analysis.figures.style import NARROW, WIDE, canvas, headed, style


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("words", [3, 12, 30])
def test_a_title_needs_no_more_than_the_width(width, words):
    with style():
        figure = canvas(width, 2)
        headed(figure, " ".join(["Sen1Floods11"] * words), generated=True)
        box = figure.get_suptitle(), figure._suptitle.get_window_extent(figure.canvas.get_renderer())
    assert box[0].endswith("generated data")
    assert box[1].x1 <= width * figure.dpi


def test_a_similarity_without_an_interval_is_drawn_without_one():
    frame = pd.DataFrame(
        {"model": ["a", "b"], "other": ["b", "b"], "cka": [0.5, 1.0], "low": [float("nan"), 0.9], "high": [0.7, 1.1]}
    )
    texts = {text.get_text() for text in models_figure(frame, title="t", generated=False).axes[0].texts}
    assert texts >= {"0.50", "1.00\n±0.10"}
