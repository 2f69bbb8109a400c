"""The public face of the toolkit: complete, documented, light, and its examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import suites.reading

FOLDER = Path(suites.reading.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", ["", *MODULES])
def test_examples_run(name):
    outcome = doctest.testmod(importlib.import_module(f"suites.reading{'.' if name else ''}{name}"))
    assert outcome.failed == 0
    assert name or outcome.attempted >= 10


@pytest.mark.parametrize("name", [name for name in suites.reading.__all__ if name != "CHUNK"])
def test_public_names_are_documented(name):
    public = getattr(suites.reading, name)
    assert inspect.getdoc(public)
    assert f"`{name}`" in (suites.reading.__doc__ or ""), "the face lists what there is"
    if inspect.isfunction(public) and name not in ("by_sensor", "columns_of", "share_of", "is_there", "cut_boxes"):
        assert "Raises:" in public.__doc__ or name in ("reading",), "errors are documented"


def test_the_face_is_light():
    heavy = "{'torch', 'numpy', 'rasterio', 'PIL', 'pandas', 'h5py', 'zarr', 'pyarrow'}"
    line = f"import sys, suites.reading; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", line], check=True, cwd=FOLDER.parents[1])


# What opens files without the checks of suites.reading.
DIRECT = {
    ("Image", "open"), ("rasterio", "open"), ("h5py", "File"), ("np", "load"), ("numpy", "load"), ("zarr", "open"),
    ("zarr", "open_group"), ("ElementTree", "parse"), ("ElementTree", "fromstring"), ("ElementTree", "iterparse"),
    ("sqlite3", "connect"), ("pd", "read_parquet"), ("pandas", "read_parquet"), ("pd", "read_csv"),
    ("pandas", "read_csv"),
    ("pickle", "load"), ("pickle", "loads"), ("json", "load"), ("csv", "DictReader"), ("zipfile", "ZipFile"),
    ("tarfile", "open"),
}  # fmt: skip
FORBIDDEN = {
    "pickle",
    "h5py",
    "PIL.JpegImagePlugin",
    "defusedxml",
    "tacoreader",
    "fsspec",
    "requests",
    "urllib.request",
}


@pytest.mark.parametrize("path", [
    path for path in sorted(FOLDER.parent.rglob("*.py")) if FOLDER not in path.parents
], ids=lambda path: path.stem)  # fmt: skip
def test_suites_open_files_through_the_toolkit(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            base = node.func.value
            name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
            assert (name, node.func.attr) not in DIRECT, f"{path}:{node.lineno} calls {name}.{node.func.attr}"
            assert node.func.attr not in ("read_text",), f"{path}:{node.lineno}: read_text of suites.reading"
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & FORBIDDEN, f"{path}:{node.lineno}"
        if isinstance(node, ast.ImportFrom):
            assert node.module not in FORBIDDEN, f"{path}:{node.lineno}"


def test_direct_opening_would_be_found(tmp_path):
    for line in ("rasterio.open(x)", "PIL.Image.open(x)", "np.load(x)", "path.read_text()"):
        (tmp_path / "a.py").write_text(line)
        with pytest.raises(AssertionError):
            test_suites_open_files_through_the_toolkit(tmp_path / "a.py")
