"""Executor: the typed noun that each file of `bench.executors` exports as ``EXECUTOR``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.config import Settings
from bench.core import Record
from bench.runs.plan import Plan, Run
from bench.runs.session import Session


@dataclass(frozen=True, kw_only=True)
class Executor:
    """A place where the runs of a sweep are carried out.

    Attributes:
        settings: its settings, all with defaults, written ``NAME.setting=`` on the command line.
        check: ``(settings)`` -> None; raises `bench.core.errors.BadSetting` for what cannot be had, such as a package
            that is not installed or a resource that the cluster lacks. Called before anything is computed.
        execute: ``(plan, session, settings)`` -> every run with its record, and whether it was carried out by this
            call.
        workers: ``(settings)`` -> how many workers carry out groups of runs at the same time.
        watched: the runs are carried out by other processes, whose status files are shown.
    """

    settings: type[Settings]
    check: Callable[[Any], None]
    execute: Callable[[Plan, Session, Any], Iterator[tuple[Run, Record, bool]]]
    workers: Callable[[Any], int]
    watched: bool = True
