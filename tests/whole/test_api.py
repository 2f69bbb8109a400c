"""A configuration in, a DataFrame and figures out."""

from __future__ import annotations

import pytest

from bench.api import RunConfig, benchmark
from bench.core.errors import MissingData
from tests.builders.suite_and_model import coloured_images


def test_benchmark_gives_a_frame_and_figures(tmp_path):
    config = RunConfig(
        suite="eurosat_rgb",
        models=("image_stats", "galileo_nano.random"),
        data=coloured_images(tmp_path / "data"),
        results=tmp_path / "results",
        download=False,
        protocols=("knn",),
        settings={"knn": {"k": (1,)}},
    )
    board, figures = benchmark(config)
    assert set(board["model"]) == {"image_stats", "galileo_nano.random"} and set(board["layer"]) == {
        "last",
        "best-on-val",
    }
    assert list(figures) == ["landuse"] and figures["landuse"].axes
    assert (tmp_path / "results" / "eurosat_rgb" / "leaderboard.html").exists()


def test_what_is_missing_is_raised_not_printed(tmp_path):
    with pytest.raises(MissingData, match="eurosat not found"):
        benchmark(RunConfig(suite="eurosat", data=tmp_path, results=tmp_path, download=False))
