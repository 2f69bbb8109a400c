"""Opening of a suite's data: download of missing data, and comparison with the facts that the suite declares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from bench.catalogue.download import fetch
from bench.config import RunConfig
from bench.core import Band, Suite, Task
from bench.core.errors import BadSetting, MissingData
from bench.core.soundness import check_sample
from bench.input.splits import LEARNING, Splits
from bench.runs.plan import Run
from bench.sweeps.console import print_line


def open_data(suite: Suite, config: RunConfig, bands: tuple[Band, ...], out: Console, *, may_fetch: bool) -> Splits:
    """Return a suite's data with ids read but no samples; missing data are downloaded where `may_fetch`.

    Raises:
        MissingData: the data are missing and cannot be downloaded.
    """
    data = Splits(suite=suite, root=config.data)
    folder = config.data / suite.folder
    unfinished = folder / ".download"
    try:
        data.split(suite.tasks[0], "train", bands)
    except MissingData as error:
        # Files of a user are never touched: download only without a folder, or after an interrupted download.
        ours = not folder.exists() or unfinished.exists()
        if not (may_fetch and ours and config.download and suite.download):
            raise
        print_line(out, (str(error), "dim"))
        print_line(out, (f"fetching {suite.url or suite.name} ...", "dim"))
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        try:
            suite.download(config.data, fetch)
        except MissingData as second:
            raise MissingData(f"{error}\nand it cannot be fetched: {second}") from None
        unfinished.unlink()
    return data


def check_data(data: Splits, bands: tuple[Band, ...], tasks: Sequence[Task]) -> list[str]:
    """Check one sample of each split against the suite's facts; return notes on splits whose size is not as declared.

    Raises:
        BadSetting: a split is empty, or its samples are of another shape than the suite declares.
    """
    suite = data.suite
    for task in tasks:
        for name in (*LEARNING, *data.test_names(task, bands)):
            split = data.split(task, name, bands)
            where = f"suite {suite.name}, task {task.name}, split {name}"
            if not len(split):
                use = "learn from" if name in LEARNING else "score"
                raise BadSetting(f"{where} holds no sample: there is nothing to {use}")
            try:
                sample = split[0]
            except Exception:
                continue  # an unreadable sample makes its own runs fail, with its name; runs of other tasks continue
            check_sample(suite, bands, sample, f"{where}, sample {split.ids[0]}")
    return size_notes(data, bands, tasks)


def size_notes(data: Splits, bands: tuple[Band, ...], tasks: Iterable[Task]) -> list[str]:
    """Return notes on the splits of tasks whose size is not as declared, each once; opens no sample."""
    return list(dict.fromkeys(note for task in tasks for note in data.size_notes(task, bands)))


def check_embeddings(runs: Sequence[Run], data: Splits | None) -> None:
    """Check the files of ready-made embeddings of a plan: each can be read, and has every sample of the splits used.

    Args:
        runs: of the plan.
        data: the suite's splits; None where they are missing, so that only the files are checked.

    Raises:
        Incompatible: a sample has no embedding.
        MissingWeights: a file is damaged, names a sample twice, or holds values that are not finite.
    """
    wanted: dict[Path, dict[str, Sequence[str]]] = {}
    for run in runs:
        if not run.entry.vectors or run.entry.weights is None:
            continue
        splits = wanted.setdefault(Path(run.entry.weights.file), {})
        for name in (*LEARNING, *data.test_names(run.task, run.recipe.reads)) if data else ():
            splits[f"{run.task.name} {name}"] = data.split(run.task, name, run.recipe.reads).ids if data else ()
    if not wanted:
        return
    from bench.features.ready_made import check_ids

    for path, splits in wanted.items():
        check_ids(path, splits)
