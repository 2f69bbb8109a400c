"""House rules that no linter checks: where modules lie, how long they are, what they import and refer to."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

from bench.core import BadSetting, lookup
from bench.core.renamed import RENAMED

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "analysis", "suites")
AT_TOP = {"bench/api.py", "analysis/processes.py", "suites/groups.py"}
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CODE = [path.relative_to(ROOT).as_posix() for path in FILES]
TESTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))
NOUNS = {
    "bench.decoders": "bench.decoders.parts.contract.Decoder",
    "bench.protocols": "bench.protocols.contract.protocol.Protocol",
    "bench.foundry": "bench.foundry.contract.recipe.Recipe",
    "bench.studies": "bench.config.study.Study",
}


@functools.cache
def tree_of(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def resolve(name: str) -> object:
    """Return what a dotted name refers to: the longest prefix that is a module, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            resolved: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as problem:
            if problem.name and not ".".join(parts[:length]).startswith(problem.name):
                pytest.skip(f"{problem.name} is not installed")
            continue
        for attribute in parts[length:]:
            annotations = getattr(resolved, "__annotations__", {})
            fields = getattr(resolved, "model_fields", {})
            if not hasattr(resolved, attribute) and (attribute in annotations or attribute in fields):
                return attribute
            resolved = getattr(resolved, attribute)
        return resolved
    raise AttributeError(name)


def test_no_module_lies_at_the_top_of_a_package():
    flat = {file for file in CODE if file.count("/") == 1 and not file.endswith("__init__.py")}
    assert flat == AT_TOP & flat


def test_files_and_functions_are_short_enough_to_read():
    lengths = {file: len((ROOT / file).read_text().splitlines()) for file in CODE}
    assert {file: count for file, count in lengths.items() if count > 400} == {}
    assert sum(count <= 300 for count in lengths.values()) >= 0.9 * len(lengths)
    long = {
        f"{file}:{node.name}": node.end_lineno - node.lineno + 1
        for file in CODE
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 80
    }
    assert long == {}


def imports_of(file: str) -> list[tuple[str, str]]:
    """Return (module, name) of every ``from module import name`` of a file."""
    nodes = [node for node in ast.walk(tree_of(file)) if isinstance(node, ast.ImportFrom) and node.module]
    return [(node.module, alias.name) for node in nodes for alias in node.names]


# Tests of what has no public name yet; each line names what is tested.
PRIVATE_IN_TESTS = {
    "tests/benchmarks/bench_train.py",  # times one step of the training loop
    "tests/benchmarks/bench_distill.py",  # likewise
    "tests/fixtures", "tests/suites",  # readers of one publisher, private to their collection
}  # fmt: skip


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_private_names_stay_in_their_folder(package):
    strays = []
    for file in TESTS if package == "tests" else [file for file in CODE if file.startswith(f"{package}/")]:
        if any(file.startswith(folder) for folder in PRIVATE_IN_TESTS):
            continue
        folder = file.rpartition("/")[0].replace("/", ".")
        for module, name in imports_of(file):
            private = [part for part in f"{module}.{name}".split(".") if re.match(r"_[a-z]", part)]
            if private and module.split(".")[0] in (*PACKAGES, "tests") and not module.startswith(folder):
                strays.append(f"{file}: {module}.{name}")
    assert strays == []


# Names that do not describe a value: choose one that names the content (`scores`, `rows`, `frame`, `components`).
VAGUE = {"found", "one", "made", "said", "told", "thing", "stuff"}


def bound_names(tree: ast.Module) -> list[tuple[int, str]]:
    """Return (line, name) of everything that a file assigns, loops over, takes as a parameter, or calls a function."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append((node.lineno, node.id))
        elif isinstance(node, ast.arg):
            names.append((node.lineno, node.arg))
        elif isinstance(node, ast.FunctionDef):
            names.append((node.lineno, node.name))
    return names


@pytest.mark.parametrize("package", [*PACKAGES, "tests", "docs"])
def test_names_state_what_they_hold(package):
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py"))
    vague = [f"{file}:{line} {name}" for file in files for line, name in bound_names(tree_of(file)) if name in VAGUE]
    assert vague == []


def test_any_stays_rare():
    """`Any` is for objects of libraries without types; `object`, a Protocol or an alias names everything else."""
    count = sum(bool(re.search(r"\bAny\b", line)) for file in CODE for line in (ROOT / file).read_text().splitlines())
    assert count <= 400


def test_a_vague_name_is_noticed():
    tree = ast.parse("def one(told):\n    found = [said for said in told]\n")
    assert {name for _, name in bound_names(tree)} == {"one", "told", "found", "said"}


def test_tests_never_import_one_another():
    strays = [f"{file}: {module}" for file in TESTS for module, _ in imports_of(file) if ".test_" in module]
    assert strays == []


REFERENCE = re.compile(r"`((?:bench|analysis|suites|tests)(?:\.\w+)+)`")


@pytest.mark.parametrize("file", CODE)
def test_references_in_docstrings_resolve(file):
    for name in sorted(set(REFERENCE.findall((ROOT / file).read_text()))):
        try:
            resolve(name)
        except AttributeError:
            pytest.fail(f"{file} refers to `{name}`, which does not exist")


@pytest.mark.parametrize("package", NOUNS)
def test_looked_up_files_export_exactly_their_noun(package):
    kind = resolve(NOUNS[package])
    assert isinstance(kind, type)
    for name in lookup.names(package):
        assert isinstance(lookup.noun(package, name, kind), kind)


def test_a_file_without_its_noun_is_named(tmp_path, monkeypatch):
    import bench.decoders
    from bench.decoders.parts.contract import Decoder

    (tmp_path / "hollow.py").write_text('"""Nothing."""\nDECODERS = 1\n')
    monkeypatch.setattr(bench.decoders, "__path__", [*bench.decoders.__path__, str(tmp_path)])
    with pytest.raises(BadSetting, match=r"bench\.decoders\.hollow exports no DECODER"):
        lookup.noun("bench.decoders", "hollow", Decoder)


@pytest.mark.parametrize("old", RENAMED)
def test_old_names_are_handed_on(old):
    for place in RENAMED[old]:
        importlib.import_module(place)
    with pytest.warns(DeprecationWarning, match=re.escape(old)):
        importlib.reload(importlib.import_module(old))
