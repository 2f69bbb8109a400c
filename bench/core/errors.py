"""Errors that a user can act on: each states what was given, what is known, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bench.core.wording import clipped, shortened

LISTED = 40  # known names that a message lists
COMPARED = 100  # characters of a name that are compared with the known ones


class BenchError(Exception):
    """Root of every error this project raises on purpose; the command line prints it without a traceback."""


class UnknownName(BenchError):
    """A name that no module, entry, band, layer or setting carries.

    Args:
        kind: what was looked for, e.g. ``"suite"``.
        given: the name as the user wrote it.
        known: every name that would have been accepted.
        hint: what else to do.
    """

    def __init__(self, kind: str, given: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.given, self.known = kind, given, sorted(known)
        alike = {name.lower(): name for name in self.known}  # a name in other letters of case is the nearest
        near = difflib.get_close_matches(given[:COMPARED].lower(), alike, n=1, cutoff=0.5)
        text = f"no {kind} {clipped(repr(given))}"
        text += f"; did you mean {alike[near[0]]}?" if near else "."
        text += f" Known: {shortened(self.known, LISTED) or '(none)'}"
        super().__init__(text + (f". {hint}" if hint else ""))


class BadSetting(BenchError):
    """A setting with a value it cannot take, given twice, or in conflict with another."""


class MissingData(BenchError):
    """A dataset, or a part of it, is not where it was looked for, or is damaged."""


class Damaged(MissingData):
    """A stored file differs from what was written: it is truncated, edited, damaged, or of another format or place."""


class Unwritable(BenchError):
    """A file or folder cannot be written: read-only, full, not a folder, or on an unsuitable file system."""


class MissingWeights(BenchError):
    """A model's weights are missing and cannot be downloaded, or are damaged or of another architecture."""


class Incompatible(BenchError):
    """Two things that are each fine do not fit together, e.g. a model and a suite without its bands."""
