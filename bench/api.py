"""The main job from Python: a configuration in, a DataFrame and figures out.

Example:
    >>> from bench.api import RunConfig, benchmark
    >>> board, figures = benchmark(RunConfig(suite="demo", models=("tiny_*", "image_stats")))  # doctest: +SKIP
    >>> board[["model", "layer", "score", "low", "high"]]  # doctest: +SKIP
    >>> figures["landcover"]  # the last line of a notebook's cell shows the picture  # doctest: +SKIP
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from bench.config import RunConfig
from bench.core import Record
from bench.core.errors import BenchError
from bench.core.wording import shortened
from bench.store import Fault, Store
from bench.sweeps.console import console
from bench.sweeps.sweep import sweep

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Picture", "Pictures", "RunConfig", "benchmark"]


class Picture:
    """A figure that a notebook shows, also in a fresh kernel; it has every method of `matplotlib.figure.Figure`.

    Attributes:
        figure: the figure.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def _repr_png_(self) -> bytes:
        """Return the figure as PNG, which is what Jupyter asks for."""
        from analysis.figures.style import saved

        return saved(self.figure, "png")

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") or name == "figure":
            raise AttributeError(name)
        return getattr(self.figure, name)


class Pictures(dict[str, Picture]):
    """Pictures by task; a notebook shows them below one another."""

    def _repr_html_(self) -> str:
        """Return every picture under the name of its task."""
        parts = []
        for task, picture in self.items():
            content = b64encode(picture._repr_png_()).decode()
            image = f'<img alt="{escape(task)}" style="max-width: 100%" src="data:image/png;base64,{content}">'
            parts.append(f"<figure><figcaption>{escape(task)}</figcaption>{image}</figure>")
        return "".join(parts)


class AskedRecords:
    """The records of the runs that a configuration names, as a source that `analysis` reads.

    Args:
        store: where the records are.
        suite: the suite of the runs.
        digests: of their keys.
    """

    def __init__(self, store: Store, suite: str, digests: Collection[str]) -> None:
        self._store, self._suite, self._digests = store, suite, frozenset(digests)

    def suites(self) -> list[str]:
        """Return the name of the suite."""
        return [self._suite]

    def records(self, suite: str | None = None) -> Iterator[Record]:
        """Yield the records of the configuration, in the order of the store."""
        for record in self._store.records(self._suite):
            if record.digest in self._digests:
                yield record

    def faults(self, suite: str | None = None) -> Sequence[Fault]:
        """Return the records of the configuration that cannot be read."""
        return [fault for fault in self._store.faults(self._suite) if fault.path.stem in self._digests]

    def arrays(self, record: Record) -> Mapping[str, np.ndarray]:
        """Return the arrays of a record by name."""
        return self._store.arrays(record)


def benchmark(config: RunConfig, *, quiet: bool = True, everything: bool = False) -> tuple[pd.DataFrame, Pictures]:
    """Run the configuration's runs that are not stored yet, and return its leaderboard and layer profiles.

    The same files are written below ``config.results`` as by the command; they hold every record of the suite.

    Args:
        config: what to run.
        quiet: print no plan and no progress.
        everything: return rows and figures of all records of the suite, also those of other configurations.

    Returns:
        One row per task, model, protocol, layer rule and label fraction; and a figure per task, by its name.

    Raises:
        BenchError: a bad request, or runs that failed, with their errors.
    """
    from analysis.report.write import build, figures, put
    from analysis.tables.build import tables

    done = sweep(config, console(quiet=quiet))
    store = done.request.store
    report = build(store, config.suite)
    put(report, config.results)
    if done.failed:
        raise BenchError(shortened([f"{name}: {error}" for name, error in done.failed.items()], 10))
    digests = {run.key.digest for run in done.plan.runs}
    others = any(record.digest not in digests for record in store.records(config.suite))
    report_tables = report.tables
    if others and not everything:
        report_tables = tables(AskedRecords(store, config.suite, digests), config.suite)
    return report_tables.leaderboard, Pictures(
        {task: Picture(figure) for task, figure in figures(report_tables).items()}
    )
