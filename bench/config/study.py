"""Study: the typed noun that each file of `bench.studies` exports as ``STUDY``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Study:
    """A named cross of settings.

    Attributes:
        words: words of `bench.config.RunConfig` that the study brings; those the user gives take precedence.
        demo: the same for suites of generated data, small enough to run in minutes.
    """

    words: Mapping[str, Any]
    demo: Mapping[str, Any]
