"""Study: the typed noun that each file of `bench.studies` exports as ``STUDY``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.config.run_config import RunConfig


def as_given(words: Sequence[str]) -> list[str]:
    """Return words as they are, for a study without words of its own."""
    return list(words)


def no_notes(config: RunConfig) -> list[str]:
    """Return nothing, for a study without anything to state before it runs."""
    return []


@dataclass(frozen=True, kw_only=True)
class Study:
    """A named cross of settings.

    Attributes:
        words: words of `bench.config.RunConfig` that the study brings; those the user gives take precedence.
        demo: the same for suites of generated data, small enough to run in minutes.
        read: words as they were given -> words of `RunConfig`, for a study with words of its own such as ``teacher=``.
        notes: a configuration -> what is printed before its plan: arms, budgets, warnings. It refuses what makes no
            sense by a `bench.core.errors.BadSetting`.
        recipe: of the foundry that carries the study out instead of a sweep; its settings are the study's words then.
    """

    words: Mapping[str, object]
    demo: Mapping[str, object]
    read: Callable[[Sequence[str]], list[str]] = as_given
    notes: Callable[[RunConfig], list[str]] = no_notes
    recipe: str = ""
