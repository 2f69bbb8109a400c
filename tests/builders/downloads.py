"""Downloads without a network: what is asked for is noted, and what a publisher would serve is written."""

from __future__ import annotations

import zipfile
from pathlib import Path


class Recorder:
    """Stands for a download: notes what is asked for, and writes what a publisher would serve."""

    def __init__(self, served: dict[str, bytes] | None = None) -> None:
        self.asked: list[tuple[str, Path]] = []
        self.served = served or {}

    def __call__(self, url: str, path: Path, *, sha256: str = "", md5: str = "") -> Path:
        self.asked.append((url, path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.served.get(path.name, b""))
        return path


def served_by(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zipped(folder: Path, tmp_path: Path, below: str) -> bytes:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in sorted((folder / below).rglob("*")):
            file.write(path, path.relative_to(folder))
    return (tmp_path / "a.zip").read_bytes()
