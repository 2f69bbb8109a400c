"""No network, one thread, and where the real data are."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any connection beyond this machine is an error."""
    real = socket.socket.connect

    def connect(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise OSError(f"tests have no network: {address}")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("GEOBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def own_width(monkeypatch):
    """What commands print does not depend on the width of the terminal that the tests run in."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and weights; the test is skipped where it is absent."""
    folder = Path(os.environ.get("GEOBENCH_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}; set GEOBENCH_SHARED")
    return folder
