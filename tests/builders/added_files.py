"""Tests of a file that is added to a package of looked-up files, without writing into the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import importlib, sys
package, folder, *arguments = sys.argv[1:]
importlib.import_module(package).__path__.append(folder)
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", *arguments]))
"""


def run_tests(package: str, folder: Path, tests: str, keyword: str) -> str:
    """Return the output of the tests with a keyword, which must pass, in a process where a folder joins a package.

    Args:
        package: e.g. ``bench.models``.
        folder: holds the added file.
        tests: path of a test file below the repository.
        keyword: selects the tests of the added file.
    """
    words = [sys.executable, "-c", CODE, package, str(folder), tests, "-k", keyword, "-q"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
