"""Every command ends with a sentence and its exit code, never with a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.command import exit_code
from bench.cli.options import COMMANDS, LIST, RUN
from bench.core.errors import BadSetting

FOLDER = Path(sys.executable).parent


def ending(error: BaseException | None, capsys, command=RUN) -> tuple[int, str]:
    def body(words: list[str], flags: set[str]) -> int:
        if error:
            raise error
        return 0

    code = exit_code(command, body, ["suite=demo"])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (BadSetting("x=1: [/b] [red]no"), 2, "geobench-run: x=1: [/b] [red]no"),
        (PermissionError(errno.EACCES, "denied", "/r/[/b]"), 2, "/r/[/b]: permission is denied"),
        (OSError(errno.ENOSPC, "full", "/r"), 2, "no space is left"),
        (NotADirectoryError(errno.ENOTDIR, "no", "/r/x"), 2, "a file lies where a folder is needed"),
        (FileExistsError(errno.EEXIST, "no", "/r/x"), 2, "a file lies where a folder is needed"),
        (OSError(errno.ENOLCK, "no", "/r/.lock"), 2, "no file locks"),
        (NotImplementedError("FileSystem does not appear to support flock"), 2, "no file locks"),
        (MemoryError("300 GB"), 2, "memory ran out (300 GB)"),
        (KeyboardInterrupt(), 130, "stopped; what is done is stored"),
        (SystemExit(0), 2, "called sys.exit(0)"),
        (SystemExit("bye"), 2, "called sys.exit('bye')"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_an_error_is_a_sentence(error, code, words, capsys):
    ended, text = ending(error, capsys)
    assert ended == code and words in text and "Traceback" not in text


def test_a_listing_whose_reader_leaves_has_done_its_work(capsys):
    assert ending(BrokenPipeError(), capsys, LIST) == (0, "")


def test_a_mistake_of_the_program_keeps_its_traceback(capsys):
    for error in (KeyError("x"), NotImplementedError("not yet"), ZeroDivisionError()):
        with pytest.raises(type(error)):
            ending(error, capsys)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_flag_of_another_command_is_refused(name, capsys):
    command = COMMANDS[name]
    others = {flag for other in COMMANDS.values() for flag in other.flags} - set(command.flags)
    for flag in [*others, "--verbose", "-x", "--", "-"]:
        assert exit_code(command, lambda words, flags: 0, [flag]) == 2, flag
        assert f"no flag of {name} '{flag}'" in capsys.readouterr().err
    for flag in command.flags:
        assert exit_code(command, lambda words, flags: 7, [flag]) == 7


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_version_need_nothing_else(name, capsys):
    for flag in ("--help", "-h", "--version"):
        assert exit_code(COMMANDS[name], lambda words, flags: 9, ["suite=nonsense", flag]) == 0
        assert capsys.readouterr().out.startswith(name)


def shell(line: str, **more: str) -> subprocess.CompletedProcess:
    environment = {"PATH": f"{FOLDER}:/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3]), **more}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, errors="replace", env=environment)


def test_a_reader_that_leaves_a_full_disk_and_a_closed_stream():
    done = shell("set -o pipefail; geobench-list suites | head -1")
    assert done.returncode == 0 and done.stderr == ""
    done = shell("geobench-list suites > /dev/full")
    assert done.returncode == 2 and "no space is left" in done.stderr.lower() and "Traceback" not in done.stderr
    done = shell("geobench-run --version > /dev/full")
    assert done.returncode == 2 and "no space left" in done.stderr.lower() and "Traceback" not in done.stderr
    done = shell("geobench-list suites >&-")
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_any_encoding_of_the_terminal_will_do(encoding):
    done = shell("geobench-list suites units suite=mados", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    done = shell("geobench-run suite=日本[/b]é", PYTHONIOENCODING=encoding)
    assert done.returncode == 2 and "[/b]" in done.stderr and "Traceback" not in done.stderr
