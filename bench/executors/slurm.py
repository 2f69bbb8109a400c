"""The Slurm executor: an array of jobs, one worker each, submitted with sbatch and followed through the store.

A job that is preempted or runs out of time gets a signal before its end; its worker stores what it has and asks to be
queued again. Whether a run is done is read from the store, never from Slurm's accounting, which many clusters lack.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import Field, field_validator

from bench.config import Settings
from bench.core import Record
from bench.core.errors import BadSetting
from bench.executors.contract.executor import Executor
from bench.executors.contract.following import follow
from bench.executors.contract.job import Job, new_job
from bench.runs.plan import Plan, Run
from bench.runs.session import Session

WARNING = 90  # seconds before the end of a job's time at which its worker is told
LOOK = 15.0  # seconds between two questions to the scheduler
TIMEOUT = 60.0  # seconds that a command of Slurm may take
SCRIPT = "worker.sbatch"
NEVER = ("BadConstraints", "PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit")
"""Reasons of waiting jobs that no waiting ends."""


class SlurmSettings(Settings):
    """Settings of the Slurm executor; what is not given is the cluster's default."""

    workers: int = Field(8, ge=1, le=10_000, description="jobs of the array, one worker each")
    partition: str = Field("", description="partition")
    account: str = Field("", description="account that is charged")
    gpus: int = Field(0, ge=0, le=1, description="GPUs per worker")
    cpus: int = Field(2, ge=1, le=1024, description="cores per worker")
    memory: str = Field("", pattern=r"^(|\d{1,9}[KMGT]?)$", description="memory per worker, e.g. 32G")
    time: str = Field("", description="time limit per job, e.g. 30m, 4h, 2d or 04:00:00; a worker goes on in a new job")
    options: tuple[str, ...] = Field((), description="further options of sbatch, e.g. --qos=long")
    setup: tuple[str, ...] = Field((), description="shell commands before a worker starts, e.g. module load cuda")

    @field_validator("time")
    @classmethod
    def _time(cls, value: str) -> str:
        if short := re.fullmatch(r"(\d{1,5})([mhd])", value):
            minutes = int(short[1]) * {"m": 1, "h": 60, "d": 1440}[short[2]]
            return f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:00"
        if value and not re.fullmatch(r"(\d{1,4}-)?\d{1,4}(:\d{1,2}){0,2}", value):
            raise ValueError("a time reads 30m, 4h, 2d or 04:00:00")
        return value

    @field_validator("partition", "account")
    @classmethod
    def _word(cls, value: str) -> str:
        if value and not re.fullmatch(r"[\w.,@-]+", value):
            raise ValueError("letters, digits and . , @ _ - are allowed")
        return value

    @field_validator("options")
    @classmethod
    def _options(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not value.startswith("--") or "\n" in value:
                raise ValueError(f"{value!r} is no option of sbatch; they begin with --")
        return values


def _check(settings: SlurmSettings) -> None:
    """Ask whether Slurm is there and has the partition.

    Raises:
        BadSetting: sbatch is not installed, no controller answers, or there is no such partition.
    """
    if shutil.which("sbatch") is None:
        raise BadSetting("executor=slurm: sbatch is not on this machine; run on a login node of the cluster")
    try:
        lines = _ask("sinfo", "-h", "-o", "%R").split()
    except (OSError, subprocess.SubprocessError) as error:
        raise BadSetting(f"executor=slurm: the scheduler does not answer ({_reason(error)})") from error
    if missing := [name for name in settings.partition.split(",") if name and name not in lines]:
        raise BadSetting(f"slurm.partition={missing[0]}: no such partition; there are {', '.join(sorted(set(lines)))}")


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    return done.stdout


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return " ".join(str(error.stderr).split()) or f"exit code {error.returncode}"
    return str(error)


def script(job: Job, settings: SlurmSettings) -> str:
    """Return the script of the array of workers, which can also be submitted by hand: ``sbatch worker.sbatch``."""
    options = {
        "job-name": f"geobench-{job.config.suite}",
        "array": f"0-{job.workers - 1}",
        "output": str(job.folder / "worker-%a.log"),
        "open-mode": "append",
        "chdir": str(Path.cwd()),
        "cpus-per-task": str(settings.cpus),
        # The shell gets the signal, not the worker alone, because it has to queue the job again.
        "signal": f"B:USR1@{WARNING}",
        "partition": settings.partition,
        "account": settings.account,
        "mem": settings.memory,
        "time": settings.time,
        "gpus-per-task": str(settings.gpus) if settings.gpus else "",
        "ntasks": "1" if settings.gpus else "",
    }
    lines = [f"#SBATCH --{name}={_quoted(value)}" for name, value in options.items() if value]
    lines += ["#SBATCH --requeue", *(f"#SBATCH {option}" for option in settings.options)]
    command = shlex.join(job.command(-1))
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            *settings.setup,
            f"export OMP_NUM_THREADS={settings.cpus}",
            "stop() {",
            "  kill -USR1 $worker",
            "  wait $worker",
            "  scontrol requeue ${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}",
            "}",
            "trap 'stop; exit 0' USR1",
            f"{command} &",
            "worker=$!",
            "wait $worker",
            "exit $?",
            "",
        ]
    )


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"\s", value) else value


def _submit(job: Job, settings: SlurmSettings) -> str:
    """Submit the array; return its number.

    Raises:
        BadSetting: the scheduler refuses it, with its reason.
    """
    path = job.folder / SCRIPT
    path.write_text(script(job, settings))
    try:
        return _ask("sbatch", "--parsable", str(path)).split(";")[0].strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise BadSetting(f"executor=slurm: sbatch refuses the jobs: {_reason(error)}") from error


class _Queue:
    """Asks the scheduler whether jobs of an array are left, at most every `LOOK` seconds."""

    def __init__(self, number: str) -> None:
        self._number, self._next, self._left = number, 0.0, True

    def alive(self) -> bool:
        """Return whether a job of the array runs or waits; True while the scheduler does not answer.

        Raises:
            BadSetting: the cluster can never start them.
        """
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK
            try:
                lines = _ask("squeue", "-h", "-j", self._number, "-o", "%T %r").splitlines()
            except subprocess.CalledProcessError as error:
                # A finished array is unknown after a while; any other refusal is that of a busy scheduler.
                self._left = "Invalid job id" not in str(error.stderr)
                return self._left
            except (OSError, subprocess.SubprocessError):
                return True
            if lines and all(line.endswith(NEVER) for line in lines):
                raise BadSetting(f"executor=slurm: the cluster cannot start these jobs ({lines[0].split()[-1]})")
            self._left = bool(lines)
        return self._left

    def cancel(self) -> None:
        with suppress(OSError, subprocess.SubprocessError):
            _ask("scancel", self._number)


def execute(plan: Plan, session: Session, settings: SlurmSettings) -> Iterator[tuple[Run, Record, bool]]:
    """Yield every run with its record as the workers store it; end early where no job of the array is left.

    An interrupt cancels the jobs; what is done is stored.
    """
    job = new_job(session, settings.workers)
    queue = _Queue(_submit(job, settings))
    try:
        yield from follow(plan, session, queue.alive, poll=2.0)
    finally:
        queue.cancel()


EXECUTOR = Executor(settings=SlurmSettings, check=_check, execute=execute, workers=lambda settings: settings.workers)
