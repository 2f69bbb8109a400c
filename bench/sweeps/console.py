"""Consoles that print the output of commands unchanged on any terminal. Imports no torch.

Printed text is never interpreted as rich's markup, so that a folder called ``[red]`` keeps its name; styles are passed
to `print_line` as pairs.
"""

from __future__ import annotations

import codecs
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

from bench.core.wording import printable

PIPED = 160  # columns where output goes to a file or a pipe and COLUMNS is not set
NARROWEST, WIDEST = 40, 1000
FROM = "≈≥≤×±·µμ²³–—…“”‘’†°→━─│█╸╺Δρτ∞↑↓"  # noqa: RUF001
TO = "~ >= <= x +- - u u 2 3 - - ... \" \" ' ' + deg -> - - | # - - D rho tau inf up down"
PLAIN = dict(zip(FROM, TO.split(), strict=True))
"""Replacements, in the order of `FROM`, for terminals that cannot show a character; others become a question mark."""


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(char, "?") for char in error.object[error.start : error.end]), error.end


def prepare_streams() -> None:
    """Make the standard streams accept any text.

    A terminal may have another encoding than UTF-8 (``LANG=C``, a pipe on Windows): characters that it cannot show are
    replaced. A stream may be closed (``>&-``): text printed to it is discarded.
    """
    codecs.register_error("geobench", _replace)
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="geobench")


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


class PipeAwareConsole(Console):
    """A console that raises the error of a broken pipe, where rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Raise the error that rich has caught."""
        raise BrokenPipeError


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console with the width of ``COLUMNS``, else of the terminal, or `PIPED` where there is none."""
    columns = os.environ.get("COLUMNS", "")
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    output = PipeAwareConsole(
        stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False, _environ=environment
    )
    width = output.width if output.is_terminal else PIPED
    if columns.isdecimal() and int(columns[:6]) > 0:
        width = int(columns[:6])
    output.width = min(max(width, NARROWEST), WIDEST)
    return output


def print_line(out: Console, *parts: str | tuple[str, str]) -> None:
    """Print parts in one line, which only the terminal wraps: text, or pairs of text and a style of rich."""
    line = Text(no_wrap=True, overflow="ignore")
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(printable(text), style or None)
    out.print(line, soft_wrap=True)
