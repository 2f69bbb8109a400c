"""``python -m bench.cli.worker FOLDER NUMBER``: one worker of a sweep; executors start it.

It carries out what no other worker has claimed, writes what it prints to its log and what it does to its status file.
A signal that announces the end of its time (SIGTERM, SIGUSR1, SIGUSR2) stops it once what it has is stored.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from bench.core.errors import BenchError
from bench.core.wording import os_error_sentence
from bench.executors.contract.job import read_job
from bench.executors.contract.status import StatusFile
from bench.sweeps.console import console, prepare_streams, print_line
from bench.sweeps.sweep import sweep
from bench.sweeps.worker_seat import Seat

STOPPED = 130  # exit code after a signal
ARRAY = "SLURM_ARRAY_TASK_ID"


def work(folder: Path, number: int) -> int:
    """Carry out the runs of a job that no other worker has claimed; return the exit code."""
    out = console()
    try:
        job = read_job(folder)
        with StatusFile(job.status(number), number) as status:
            seat = Seat(number=number, count=job.workers, begun=job.begun, status=status)
            done = sweep(job.config, out, seat=seat)
    except KeyboardInterrupt:
        print_line(out, "stopped; what is done is stored, and other workers go on from there")
        return STOPPED
    except (BenchError, OSError) as error:
        print_line(out, (os_error_sentence(error) if isinstance(error, OSError) else str(error), "red"))
        return 2
    return 1 if done.failed else 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Read the arguments, and exit with the code of `work`."""
    prepare_streams()
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, _interrupt)
    place = int(sys.argv[2])
    sys.exit(work(Path(sys.argv[1]), int(os.environ.get(ARRAY, "0")) if place < 0 else place))


if __name__ == "__main__":
    main()
