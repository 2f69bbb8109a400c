"""``geobench-run`` and its sisters: parse -> plan -> run -> report. Exit 0 all done, 1 some failed, 2 bad request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from bench import __version__
from bench.cli.help import HELP, completion
from bench.core.errors import BenchError, UnknownName
from bench.sweeps.console import console

FLAGS = ("--dry", "--json", "--markdown", "--show", "--audit", "--help", "-h", "--version")


def run_command(name: str, body: Callable[[list[str], set[str]], int]) -> None:
    """Run a command: flags apart from words, errors without a traceback, exit with its code."""
    arguments = sys.argv[1:]
    flags = {word for word in arguments if word in FLAGS}
    words = [word for word in arguments if word not in FLAGS]
    try:
        if words and words[0] in ("--completion", "completion"):
            sys.stdout.write(completion(words[1] if len(words) > 1 else "bash"))
            code = 0
        elif flags & {"--help", "-h"}:
            sys.stdout.write(HELP[name])
            code = 0
        elif "--version" in flags:
            sys.stdout.write(f"{name} {__version__}\n")
            code = 0
        else:
            unknown = next((word for word in words if word.startswith("-")), None)
            if unknown:
                raise UnknownName("flag", unknown, FLAGS)
            code = body(words, flags)
    except BenchError as error:
        console(stderr=True).print(f"{name}: {error}", markup=False, style="red", highlight=False, soft_wrap=True)
        code = 2
    except KeyboardInterrupt:
        console(stderr=True).print(f"\n{name}: stopped; what is done is stored, the same command goes on from there")
        code = 130
    except BrokenPipeError:
        code = 0
    sys.exit(code)


def as_list(value: Any) -> list[str]:
    """Return the value of a word as a list: nothing, one item or several."""
    return [] if value is None else [value] if isinstance(value, str) else list(value)
