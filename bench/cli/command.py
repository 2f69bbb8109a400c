"""Parts shared by all commands: reading arguments, answering ``--help``, and ending without a traceback.

Exit codes: 0 all done, 1 some failed, 2 a bad request or a file that cannot be read or written, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from bench import __version__
from bench.cli.completion import completion
from bench.cli.help import help_text
from bench.cli.options import COMMON_FLAGS, Command
from bench.core.errors import BenchError, UnknownName
from bench.core.wording import os_error_sentence
from bench.sweeps.console import console, prepare_streams, print_line

Body = Callable[[list[str], set[str]], int]
LONGEST = 5000  # characters of a sentence
HELP = {*COMMON_FLAGS, "-h"}


def run_command(command: Command, body: Body) -> None:
    """Run a command with the arguments of this process, and exit with its code.

    Args:
        command: name, words and flags of the command.
        body: (words, flags) -> exit code.
    """
    prepare_streams()
    code = exit_code(command, body, sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _lost_output(command, error)
    sys.exit(code)


def exit_code(command: Command, body: Body, arguments: list[str]) -> int:
    """Run a command and return its exit code; errors that a user can act on are printed as one sentence."""
    try:
        return _answer(command, body, arguments)
    except BenchError as error:
        return _failed(command, str(error))
    except KeyboardInterrupt:
        return _failed(command, "stopped; what is done is stored, the same command goes on from there", code=130)
    except BrokenPipeError as error:
        return _lost_output(command, error)
    except OSError as error:
        return _failed(command, os_error_sentence(error))
    except NotImplementedError as error:
        if "flock" not in str(error):
            raise
        return _failed(command, "the disk supports no file locks; name places on a local disk (results=, cache=)")
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        return _failed(command, f"memory ran out{reason}; a smaller batch=, fewer workers= or fewer subsets= need less")
    except SystemExit as error:
        return _failed(command, f"code that this command ran called sys.exit({error.code!r}); remove that call")


def _answer(command: Command, body: Body, arguments: list[str]) -> int:
    flags = {word for word in arguments if word.startswith("-")}
    words = [word for word in arguments if not word.startswith("-")]
    if words[:1] == ["completion"] or "--completion" in flags:
        shells = [word for word in words if word != "completion"] or ["bash"]
        sys.stdout.write(completion(shells[0]))
        return 0
    if unknown := sorted(flags - {*command.flags, *HELP}):
        raise UnknownName(f"flag of {command.name}", unknown[0], [*command.flags, *COMMON_FLAGS])
    if flags & {"--help", "-h"}:
        sys.stdout.write(help_text(command, console().width))
        return 0
    if "--version" in flags:
        sys.stdout.write(f"{command.name} {__version__}\n")
        return 0
    return body(words, flags)


def _bounded(sentence: str) -> str:
    """Return a sentence of at most `LONGEST` characters: the middle of a longer one is left out, its end is kept."""
    half = LONGEST // 2 - 3
    return sentence if len(sentence) <= LONGEST else f"{sentence[:half]} ... {sentence[-half:]}"


def _failed(command: Command, sentence: str, code: int = 2) -> int:
    try:
        print_line(console(stderr=True), (f"{command.name}: {_bounded(sentence)}", "red"))
        sys.stderr.flush()
    except OSError:  # stderr is closed; text left in its buffer would change the exit code
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    return code


def _lost_output(command: Command, error: OSError) -> int:
    """Return the exit code for output that cannot be written: 0 where the reader closed the pipe, as ``head`` does."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 (what is left in the buffer goes nowhere)
    if isinstance(error, BrokenPipeError):
        return 1 if command.works else 0
    return _failed(command, f"what it prints cannot be written: {error.strerror or error}")
