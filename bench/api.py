"""The main job from Python: a configuration in, a DataFrame and figures out.

Example:
    >>> from bench.api import RunConfig, benchmark
    >>> board, figures = benchmark(RunConfig(suite="demo", models=("tiny_*", "image_stats")))  # doctest: +SKIP
    >>> board[["model", "layer", "score", "low", "high"]]  # doctest: +SKIP
    >>> figures["landcover"]  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.config import RunConfig
from bench.core.errors import BenchError
from bench.sweeps.console import console
from bench.sweeps.sweep import sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["RunConfig", "benchmark"]


def benchmark(config: RunConfig, *, quiet: bool = True) -> tuple[pd.DataFrame, dict[str, Figure]]:
    """Run what is not stored yet, and return the suite's leaderboard and its layer-profile figures by task.

    The same files are written below ``config.results`` as by the command.

    Args:
        config: what to run.
        quiet: print no plan and no progress.

    Raises:
        BenchError: a bad request, or runs that failed, with their errors.
    """
    from analysis.report.write import build, figures, put

    done = sweep(config, console(quiet=quiet))
    report = build(done.request.store, config.suite)
    put(report, config.results)
    if done.failed:
        raise BenchError("; ".join(f"{name}: {error}" for name, error in done.failed.items()))
    return report.tables.leaderboard, figures(report.tables)
