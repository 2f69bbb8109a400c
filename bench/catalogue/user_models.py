"""A user's own Python files, and the entries of the one that defines models. Imports no torch."""

from __future__ import annotations

import hashlib
import importlib.util
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType, ModuleType

from bench.core import ModelEntry
from bench.core.errors import BadSetting
from bench.core.soundness import check_entry
from bench.core.wording import os_error_remedy

OWN = "geobench_models.py"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a user's file, ``""`` where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def run_file(path: Path) -> ModuleType:
    """Run a user's Python file and return it as a module.

    Raises:
        BadSetting: the file cannot be read or run, or it ends the program.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    try:
        importlib.util.decode_source(path.read_bytes())
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {os_error_remedy(error)}") from error
    except (UnicodeDecodeError, SyntaxError) as error:
        raise BadSetting(f"{path} is not UTF-8 text: {error}; save it in that encoding") from error
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(path.stem)
    # Dataclasses and pickles of the file look their module up by name.
    sys.modules[path.stem] = module
    try:
        with _interrupts_noted() as interrupts:
            spec.loader.exec_module(module)
    except BaseException as error:
        if before is None:
            sys.modules.pop(path.stem, None)
        else:
            sys.modules[path.stem] = before
        if interrupts:
            raise
        raise BadSetting(f"{path} cannot be run: {_fault(error, path)}") from error
    return module


@contextmanager
def _interrupts_noted() -> Iterator[list[int]]:
    """Yield a list of keyboard interrupts, to distinguish them from a KeyboardInterrupt that the file raises."""
    interrupts: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield interrupts
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, handler)


def _fault(error: BaseException, path: Path) -> str:
    """Return in words which error ended a file, and its last line that ran."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f" (line {lines[-1]})" if lines else ""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SystemExit):
        text = f"it ends the program ({text}); a file of entries only defines them"
    elif isinstance(error, RecursionError):
        text = f"it calls or imports itself without end ({text})"
    return text + where


def own_entries(folder: Path) -> tuple[ModelEntry, ...]:
    """Return the ``ENTRIES`` of `OWN` in a folder, none where there is no such file.

    Raises:
        BadSetting: the file cannot be run, or has no ``ENTRIES`` of `ModelEntry`.
    """
    path = folder / OWN
    return _own_entries(path, file_hash(path))


@lru_cache(maxsize=2)
def _own_entries(path: Path, content: str) -> tuple[ModelEntry, ...]:
    """Return the entries of a file, cached by its content: it is run again only when its content changes."""
    if not content:
        return ()
    entries = getattr(run_file(path), "ENTRIES", None)
    if not isinstance(entries, tuple | list) or not all(isinstance(entry, ModelEntry) for entry in entries):
        raise BadSetting(f"{path} has no ENTRIES, a tuple of bench.core.ModelEntry, as the files of bench/models/ have")
    for entry in entries:
        check_entry(entry, source=str(path))
    return tuple(entries)
