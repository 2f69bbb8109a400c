"""Commands called in this process as a user types them, with what they print, their exit code, and a limit of time."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unittest.mock import patch

LIMIT = 120  # seconds after which a command hangs


class Hangs(BaseException):
    """No command catches it."""


@dataclass(frozen=True)
class Outcome:
    """What a command leaves: its exit code (None after a traceback), what it printed, and the traceback."""

    code: int | None
    out: str
    err: str
    trace: str = ""


def call(command: str, words: Sequence[str]) -> Outcome:
    """Return the outcome of ``geobench-COMMAND WORDS``, in the working folder."""
    from bench.cli import cache, doctor, listing, make, report, run

    entry = {
        **{"run": run.run, "list": listing.list_, "report": report.report, "cache": cache.cache},
        **{"doctor": doctor.doctor, "make": make.make},
    }[command]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code, trace = None, ""
    with (
        patch.object(sys, "argv", [f"geobench-{command}", *words]),
        patch.object(sys, "stdout", out),
        patch.object(sys, "stderr", err),
        limited(LIMIT),
    ):
        try:
            entry()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except Hangs:
            trace = f"hangs: more than {LIMIT} s"
        except BaseException:
            trace = traceback.format_exc()
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
    return Outcome(code, texts[0], texts[1], trace)


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `Hangs` in the body after so many seconds."""

    def stop(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
