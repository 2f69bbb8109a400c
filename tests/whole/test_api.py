"""A configuration in, a DataFrame and pictures out, as a notebook uses them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.api import Picture, RunConfig, benchmark
from bench.core.errors import MissingData
from tests.builders.suite_and_model import coloured_images

PNG = b"\x89PNG\r\n\x1a\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    coloured_images(folder / "data")
    return folder


def asked(folder: Path, *models: str, **more) -> RunConfig:
    return RunConfig(
        **{
            "suite": "eurosat_rgb",
            "models": models,
            "data": folder / "data",
            "results": folder / "results",
            "cache": folder / "cache",
            "download": False,
            "protocols": ("knn",),
            "settings": {"knn": {"k": (1,)}},
            **more,
        }
    )


def test_benchmark_gives_a_frame_and_pictures(folder):
    board, figures = benchmark(asked(folder, "image_stats", "galileo_nano.random"))
    assert set(board["model"]) == {"image_stats", "galileo_nano.random"}
    assert set(board["layer"]) == {"last", "best-on-val"}
    assert list(figures) == ["landuse"] and figures["landuse"].axes
    assert figures["landuse"]._repr_png_().startswith(PNG)
    page = figures._repr_html_()
    assert page.count("data:image/png;base64,iVBOR") == 1 and "<figcaption>landuse</figcaption>" in page
    assert (folder / "results" / "eurosat_rgb" / "leaderboard.html").exists()


def test_the_frame_holds_what_was_asked_for_and_all_where_that_is_asked(folder):
    benchmark(asked(folder, "image_stats", "galileo_nano.random"))
    board, figures = benchmark(asked(folder, "image_stats"))
    assert set(board["model"]) == {"image_stats"} and list(figures) == []
    board, figures = benchmark(asked(folder, "image_stats"), everything=True)
    assert set(board["model"]) == {"image_stats", "galileo_nano.random"} and list(figures) == ["landuse"]
    text = (folder / "results" / "eurosat_rgb" / "leaderboard.csv").read_text()
    assert "galileo_nano.random" in text, "the files hold every record"


def test_a_fresh_kernel_shows_pictures(folder):
    """Jupyter asks objects for their display methods; matplotlib's own are there only once pyplot is imported."""
    code = """
import sys
from bench.api import RunConfig, benchmark
config = RunConfig.model_validate_json(sys.argv[1])
board, figures = benchmark(config)
assert "matplotlib.pyplot" not in sys.modules
assert figures["landuse"]._repr_png_()[:4] == b"\\x89PNG" and "<img" in figures._repr_html_()
assert "<table" in board._repr_html_()
try:
    from IPython.core.interactiveshell import InteractiveShell
except ImportError:
    sys.exit()
shown, _ = InteractiveShell.instance().display_formatter.format(figures["landuse"])
assert "image/png" in shown
assert "text/html" in InteractiveShell.instance().display_formatter.format(figures)[0]
"""
    configuration = asked(folder, "image_stats", "galileo_nano.random")
    benchmark(configuration)  # what the kernel asks for is stored: a run imports libraries that import pyplot
    words = configuration.model_dump_json()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_picture_is_a_figure_too(tmp_path):
    import copy
    import pickle

    from matplotlib.figure import Figure

    picture = Picture(Figure())
    picture.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)
    assert copy.copy(picture).figure is picture.figure and isinstance(pickle.loads(pickle.dumps(picture)), Picture)
    with pytest.raises(AttributeError):
        picture.nonsense()


def test_what_is_missing_is_raised_not_printed(tmp_path):
    with pytest.raises(MissingData, match="eurosat not found"):
        benchmark(RunConfig(suite="eurosat", data=tmp_path, results=tmp_path, download=False))
