"""Job: what the workers of one sweep carry out, in a folder that all of them see."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.config import RunConfig, validate
from bench.core.errors import Damaged
from bench.core.owners import owner_tag
from bench.runs.session import Session
from bench.store import discard
from bench.store.files import make_folder
from bench.store.seals import read_sealed, write_sealed

FOLDER = "workers"
CONFIG = "job.json"
KEPT = 5  # jobs of a suite whose logs stay


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers of one sweep carry out.

    Attributes:
        folder: ``<results>/<suite>/workers/<name>``: the configuration, and one status file and one log per worker.
        config: of the sweep, with absolute paths, to be carried out in the process of each worker.
        workers: how many there are.
        begun: when the sweep began, by the clock of the results folder; what failed before is tried again.
    """

    folder: Path
    config: RunConfig
    workers: int
    begun: float

    def command(self, number: int | str) -> list[str]:
        """Return the command line of one worker; a number of -1 takes the place in a cluster's array of jobs."""
        return [sys.executable, "-m", "bench.cli.worker", str(self.folder), str(number)]

    def log(self, number: int) -> Path:
        """Return the file for what a worker prints."""
        return self.folder / f"worker-{number}.log"

    def status(self, number: int) -> Path:
        """Return the status file of a worker."""
        return self.folder / f"worker-{number}.json"


def new_job(session: Session, workers: int) -> Job:
    """Return a job for the sweep of a session, written to its folder; folders of old jobs are removed.

    Raises:
        Unwritable: the results folder cannot be written.
    """
    config = session.config
    places = {name: value.absolute() for name in ("data", "weights", "results") if (value := getattr(config, name))}
    places["cache"] = session.cache.root.absolute()
    own = config.model_copy(
        update={**places, "entries": tuple(path.absolute() for path in config.entries), "executor": "process"}
        | {"placement": {}}
    )
    parent = config.results.absolute() / session.data.suite.name / FOLDER
    make_folder(parent)
    for old in job_folders(config.results, session.data.suite.name)[KEPT - 1 :]:
        discard(old)
    job = Job(
        folder=make_folder(parent / f"{int(session.begun)}-{owner_tag()}"),
        config=own,
        workers=workers,
        begun=session.begun,
    )
    content = {"config": own.model_dump(mode="json"), "workers": workers, "begun": session.begun}
    write_sealed(job.folder / CONFIG, {"job": job.folder.name}, content)
    return job


def read_job(folder: Path) -> Job:
    """Return the job that a folder holds.

    Raises:
        Damaged: this machine does not see the folder, or it holds no job.
    """
    content = read_sealed(folder / CONFIG, {"job": folder.name})
    if content is None:
        raise Damaged(f"{folder} holds no {CONFIG}: this machine does not see the results folder of the sweep")
    return Job(
        folder=folder,
        config=validate(RunConfig, content["config"]),
        workers=int(content["workers"]),
        begun=float(content["begun"]),
    )


def job_folders(results: Path, suite: str) -> list[Path]:
    """Return the folders of a suite's jobs, the newest first."""
    return sorted(_folders(results.absolute() / suite / FOLDER), reverse=True)


def _folders(parent: Path) -> Iterator[Path]:
    try:
        yield from (path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return
