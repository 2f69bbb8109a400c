"""The tiny copies of all suites, written once per session."""

from __future__ import annotations

import pytest

from tests.builders.suites import NAMES, write


@pytest.fixture(scope="session")
def copies(tmp_path_factory):
    """A root with the tiny copies of all suites; tests that change a file put it back or make their own copy."""
    root = tmp_path_factory.mktemp("data")
    for name in NAMES:
        write(name, root)
    return root
