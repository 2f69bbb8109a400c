"""The local executor: several processes of this machine, one per GPU, or each with a share of the CPU's cores."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from pydantic import Field

from bench.config import Settings
from bench.core import Record
from bench.core.errors import BadSetting
from bench.executors.contract.executor import Executor
from bench.executors.contract.following import follow
from bench.executors.contract.job import Job, new_job
from bench.runs.plan import Plan, Run
from bench.runs.session import Session

MOST_ON_CPU = 8  # workers on a machine without a GPU where no number is given
GPUS = Path("/proc/driver/nvidia/gpus")  # one folder per GPU
LAST_LOOK = 10.0  # seconds that a worker may take to see that nothing is left
PATIENCE = 20.0  # seconds that a worker has to write down what it has when it is to stop


class LocalSettings(Settings):
    """Settings of the local executor."""

    workers: int = Field(0, ge=0, le=256, description="processes; 0 is one per GPU, or one per core up to 8")
    threads: int = Field(
        0, ge=0, le=1024, description="threads of arithmetic per process; 0 divides the cores of the machine"
    )
    restarts: int = Field(3, ge=0, le=100, description="times that a process which died is started again")


def _check(settings: LocalSettings) -> None:
    """Refuse more workers than one per core and GPU could serve.

    Raises:
        BadSetting: more than four workers per core.
    """
    if settings.workers > 4 * _cores():
        raise BadSetting(
            f"local.workers={settings.workers}: this machine has {_cores()} cores; at most four workers per core"
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    """Return the numbers of the GPUs of NVIDIA that this process may use; a plan imports no torch to count them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [number for number in visible.split(",") if number.strip() not in ("", "-1")]
    try:
        return [str(number) for number, _ in enumerate(GPUS.iterdir())]
    except OSError:
        return []


def _workers(settings: LocalSettings) -> int:
    return settings.workers or len(_gpus()) or min(MOST_ON_CPU, _cores())


def environment(number: int, *, workers: int, gpus: list[str], cores: int, threads: int) -> dict[str, str]:
    """Return the variables that give one worker its GPU, or its share of the cores.

    Args:
        number: of the worker, from 0.
        workers: how many there are.
        gpus: numbers of the GPUs; workers beyond them share.
        cores: of the machine.
        threads: per worker; 0 divides the cores.
    """
    count = str(threads or max(1, cores // workers))
    own = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
    return {**own, "CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else own


@dataclass
class _Worker:
    """One process, started again where it died."""

    job: Job
    number: int
    variables: Mapping[str, str]
    restarts: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _log: IO[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        self._log = self._log or self.job.log(self.number).open("ab")
        # A session of its own: an interrupt typed at the terminal reaches this process only, which stops the workers.
        self.process = subprocess.Popen(
            self.job.command(self.number),
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def alive(self) -> bool:
        """Return whether the process runs; one that a signal ended is started again."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            return True
        if code < 0 and self.restarts > 0:
            self.restarts -= 1
            self.start()
            return True
        return False

    def stop(self, end: float) -> None:
        assert self.process is not None
        self.restarts = 0
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.1, end - time.monotonic()))
        with suppress(OSError):
            self.process.kill()
        self.process.wait()

    def end(self, seconds: float) -> None:
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def ask_to_stop(self) -> None:
        assert self.process is not None
        self.restarts = 0
        with suppress(OSError):
            self.process.terminate()


@contextmanager
def _pool(job: Job, settings: LocalSettings) -> Iterator[list[_Worker]]:
    """Start the workers of a job, and stop them when the block ends, however it ends."""
    gpus = _gpus() if job.config.device.partition(":")[0] in ("auto", "cuda") else []
    workers = [
        _Worker(
            job,
            number,
            environment(number, workers=job.workers, gpus=gpus, cores=_cores(), threads=settings.threads),
            settings.restarts,
        )
        for number in range(job.workers)
    ]
    started: list[_Worker] = []
    try:
        with _ended_by(signal.SIGTERM):
            for worker in workers:
                worker.start()
                started.append(worker)
            yield workers
    finally:
        for worker in started:
            worker.ask_to_stop()
        end = time.monotonic() + PATIENCE
        for worker in started:
            worker.stop(end)


@contextmanager
def _ended_by(number: signal.Signals) -> Iterator[None]:
    """Let a signal end the block as an interrupt does, so that no worker is left behind; in the main thread only."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)


def execute(plan: Plan, session: Session, settings: LocalSettings) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record as the workers store it; end early where all workers have ended."""
    job = new_job(session, _workers(settings))
    with _pool(job, settings) as workers:
        yield from follow(plan, session, lambda: any([worker.alive() for worker in workers]))
        for worker in workers:  # all is done: they look once more and end by themselves
            worker.end(LAST_LOOK)


EXECUTOR = Executor(settings=LocalSettings, check=_check, execute=execute, workers=_workers)
