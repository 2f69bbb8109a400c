"""The documentation: its examples run as they stand, its links lead somewhere, its tables are current."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.cli.listing import list_
from bench.cli.make import make
from bench.cli.run import run
from bench.core import lookup
from docs import tables

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MARKDOWN = sorted([*ROOT.glob("*.md"), *(path for folder in tables.FOLDERS for path in (ROOT / folder).rglob("*.md"))])
EXAMPLES = {  # page -> the one file that its example adds
    "add-a-suite": "suites/datasets/field_crops.py",
    "add-a-model": "bench/models/mynet.py",
    "add-a-decoder": "bench/decoders/mlp.py",
    "add-a-protocol": "bench/protocols/centroid.py",
    "add-a-recipe": "bench/foundry/soup.py",
}


def block(page: str, title: str) -> str:
    """Return the code block of a page with a title."""
    text = (DOCS / f"{page}.md").read_text()
    (content,) = re.findall(rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', text, re.S | re.M)
    return content


def example(page: str) -> str:
    """Return the file that a page's example adds."""
    return block(page, "geobench_suites.py" if page == "add-a-suite" else EXAMPLES[page])


# The examples run


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with the toy data of the suite example, and that suite as the user's own."""
    monkeypatch.chdir(tmp_path)
    exec(block("add-a-suite", "make_chips.py"), {})
    (tmp_path / "geobench_suites.py").write_text(example("add-a-suite"))
    return tmp_path


@pytest.fixture
def add(tmp_path_factory, monkeypatch) -> Iterator[Callable[[str, str], Path]]:
    """A function that adds one file to a package: written to a folder of its own, which joins the package's path."""
    added = []

    def add_file(place: str, text: str) -> Path:
        package = importlib.import_module(place.rpartition("/")[0].replace("/", "."))
        path = tmp_path_factory.mktemp("added") / Path(place).name
        path.write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(path.parent)])
        added.append(f"{package.__name__}.{path.stem}")
        suite_catalogue.shipped.cache_clear()
        return path

    yield add_file
    for module in added:
        sys.modules.pop(module, None)
        vars(sys.modules[module.rpartition(".")[0]]).pop(module.rpartition(".")[2], None)
    suite_catalogue.shipped.cache_clear()


@pytest.fixture
def call(monkeypatch, capsys) -> Callable[..., str]:
    """A function that runs a command in this process and returns what it printed; its exit code must be 0."""

    def run_it(command: Callable[[], None], *words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["geobench", *words])
        with pytest.raises(SystemExit) as end:
            command()
        printed = capsys.readouterr()
        assert end.value.code == 0, printed.out + printed.err
        return str(printed.out)

    return run_it


def scores(folder: Path, suite: str = "field_crops") -> list[dict[str, str]]:
    with (folder / "results" / suite / "leaderboard.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("shipped", [False, True])
def test_the_suite_example_runs(folder, add, call, shipped):
    if shipped:
        (folder / "geobench_suites.py").unlink()
        add("suites/datasets/field_crops.py", example("add-a-suite"))
    assert "field_crops" in {row["name"] for row in json.loads(call(list_, "suites", "--json"))}
    assert "Farms are resampling blocks" in call(list_, "suite=field_crops")
    words = ["suite=field_crops", "models=[image_stats,rcf]", "protocols=[probe,knn]", "probe.c=[0.1,1,10]"]
    assert "4 runs: 0 stored, 4 to do" in call(run, *words, "--dry")
    call(run, *words)
    rows = scores(folder)
    assert {row["model"] for row in rows} == {"image_stats", "rcf"} and {row["blocks"] for row in rows} == {"6"}
    best = max(float(row["score"]) for row in rows)
    assert 0.6 < best < 1, "wheat is brighter in the near infrared: image statistics tell it"


def test_the_suite_example_passes_the_checks(folder, call):
    from bench.cli.doctor import doctor

    assert "error" not in call(doctor, "suite=field_crops", "--audit")
    assert "image_stats" in call(doctor, "suite=field_crops", "models=image_stats")
    call(list_, "suite=field_crops", "--show")
    assert (folder / "results" / "field_crops" / "contact_crop.png").stat().st_size > 1000


@pytest.mark.parametrize(("family", "name"), [("mynet", "mynet_tiny"), ("mixnet", "mixnet_small")])
@pytest.mark.parametrize("shipped", [False, True])
def test_the_model_examples_run(folder, add, call, family, name, shipped):
    import torch
    from safetensors.torch import save_file

    text = block("add-a-model", f"bench/models/{family}.py")
    if shipped:
        add(f"bench/models/{family}.py", text)
    else:
        (folder / "geobench_models.py").write_text(text)
    entry = model_catalogue.entries()[name]
    backbone = entry.load(entry, None, 7, entry.bands)
    assert sum(value.numel() for value in backbone.parameters()) == entry.parameters
    assert entry.weights is not None
    path = folder / "weights" / entry.weights.file
    path.parent.mkdir(parents=True)
    save_file(backbone.network.state_dict(), path)
    loaded = entry.load(entry, path, 0, entry.bands)
    side = 2 * entry.patch if entry.any_size else entry.image_size
    images = {"s2": torch.randn(2, 1, 4, side, side)}
    everything = range(len(backbone.layers))
    for tap, other in zip(backbone(images, everything), loaded(images, everything), strict=True):
        assert torch.equal(tap.grid, other.grid) and torch.equal(tap.vector, other.vector)
    assert all(block["fc1"] and loaded.get_submodule(block["fc1"]) for block in loaded.modules_map.values())

    assert entry.weights.licence in call(list_, f"model={name}", "weights=weights")
    words = [
        "suite=field_crops",
        f"models=[{name},{name}.random]",
        "protocols=knn",
        "weights=weights",
        "download=false",
    ]
    assert "2 runs: 0 stored, 2 to do" in call(run, *words, "--dry")
    call(run, *words)
    assert {row["model"] for row in scores(folder)} == {name, f"{name}.random"}


def test_weights_in_a_known_network_and_embeddings_run(folder, call):
    import numpy as np
    import pandas as pd

    weights = ROOT / "bench" / "models" / "tiny" / "tiny_mae.safetensors"
    shutil.copy(weights, folder / "mine.safetensors")
    data = np.load(folder / "data" / "field_crops" / "chips.npz")
    frame = pd.DataFrame(data["image"].mean((2, 3)), columns=["b02", "b03", "b04", "b08"])
    frame.insert(0, "id", [f"chip_{row:05d}" for row in range(len(frame))])
    frame.to_parquet(folder / "mine.parquet")
    models = "models=[path:mine.safetensors:tiny_mae,embeddings:mine.parquet]"
    call(run, "suite=field_crops", models, "absent=mean", "protocols=knn")
    assert len({row["model"] for row in scores(folder)}) == 2


def test_the_decoder_example_runs(folder, add, call):
    add("bench/decoders/mlp.py", example("add-a-decoder"))
    assert "MLP head" in call(list_, "decoders", "--json")
    words = ["suite=field_crops", "models=image_stats", "protocols=finetune", "finetune.decoders=[linear,mlp]"]
    words += ["seeds=0", "finetune.steps=60", "finetune.learning_rates=[0.01]", "finetune.evaluations=3"]
    assert "2 runs: 0 stored, 2 to do" in call(run, *words, "--dry")
    call(run, *words)
    by_decoder = {row["decoder"]: float(row["score"]) for row in scores(folder)}
    assert set(by_decoder) == {"linear", "mlp"} and by_decoder["mlp"] > 0.6


def test_the_protocol_example_runs(folder, add, call):
    add("bench/protocols/centroid.py", example("add-a-protocol"))
    assert "Nearest class mean" in call(list_, "protocols", "--json")
    assert "centroid.standardise" in call(list_, "settings", "--json")
    words = ["suite=field_crops", "models=image_stats", "protocols=centroid", "centroid.standardise=false"]
    assert "1 runs: 0 stored, 1 to do" in call(run, *words, "--dry")
    call(run, *words)
    assert {row["layer"] for row in scores(folder)} == {"last", "best-on-val"}
    assert all(float(row["score"]) > 0.6 for row in scores(folder))
    refused = call(run, "suite=demo", "models=image_stats", "tasks=biomass", "protocols=centroid", "--dry")
    assert "class means need classes" in " ".join(refused.split())


PARENTS = {"first": "mae", "second": "dino"}


def test_the_recipe_example_runs(folder, add, call):
    from safetensors.torch import load_file

    add("bench/foundry/soup.py", example("add-a-recipe"))
    assert "soup" in {row["name"] for row in json.loads(call(list_, "recipes", "--json"))}
    tiny = ROOT / "bench" / "models" / "tiny"
    words = [
        "recipe=soup",
        "model=tiny_mae",
        f"first={tiny}/tiny_mae.safetensors",
        f"second={tiny}/tiny_dino.safetensors",
    ]
    call(make, *words, "share=0", "out=first")
    first, averaged = (
        load_file(tiny / "tiny_mae.safetensors"),
        load_file(folder / "first/tiny_mae.soup/model.safetensors"),
    )
    assert all(first[key].equal(averaged[f"network.{key}"].half()) for key in first)
    call(make, *words, "share=0.3", "out=made")
    card = json.loads((folder / "made" / "tiny_mae.soup" / "card.json").read_text())
    assert card["origin"] == "merged" and card["settings"]["share"] == 0.3 and card["licence"] == "Apache-2.0"
    call(run, "suite=field_crops", "entries=made", "models=tiny_mae.soup", "absent=mean", "protocols=knn")
    assert {(row["model"], row["parent"]) for row in scores(folder)} == {("tiny_mae.soup", "tiny_mae")}


def test_the_commands_that_make_a_model_run(folder, call):
    text = (DOCS / "making-models.md").read_text()
    (making,) = re.findall(r"^geobench-make (recipe=prune .*method=depth.*)$", text, re.M)
    call(make, *making.split())
    assert "tiny_mae.depth_50" in call(list_, "entries=made", "models=tiny_mae.*", "--json")
    models = "models=[tiny_mae.depth_50,tiny_mae.depth_50.random]"
    call(run, "suite=field_crops", "entries=made", models, "absent=mean", "protocols=knn")
    assert {row["parent"] for row in scores(folder)} == {"tiny_mae", "tiny_mae.depth_50"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """A copy of the packages with every example in its place, the edit of the metric example among them."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("bench", "analysis", "suites"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for page, place in EXAMPLES.items():
        (folder / place).write_text(example(page))
    path = folder / "bench" / "metrics" / "scores.py"
    path.write_text(patched(path.read_text(), block("add-a-metric", "bench/metrics/scores.py")))
    return folder


def patched(text: str, diff: str) -> str:
    """Return a text with the hunks of a diff without line numbers applied; each must match exactly once."""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.M)[1:]:
        lines = hunk.splitlines()
        old = "\n".join(line[1:] for line in lines if line[:1] in (" ", "-"))
        new = "\n".join(line[1:] for line in lines if line[:1] in (" ", "+"))
        assert text.count(old) == 1, f"the context of the example is not in the file:\n{old}"
        text = text.replace(old, new)
    return text


def test_examples_touch_one_file_each_and_keep_the_contracts(copied):
    """No import contract, list or registry has to be edited for any of them."""
    files = {path.relative_to(copied) for path in copied.rglob("*") if path.is_file()}
    changed = {
        file.as_posix()
        for file in files
        if not (ROOT / file).exists() or (ROOT / file).read_bytes() != (copied / file).read_bytes()
    }
    assert changed == {*EXAMPLES.values(), "bench/metrics/scores.py"}
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("the contracts need import-linter, which is not installed")
    done = subprocess.run([command, "--no-cache"], cwd=copied, capture_output=True, text=True, env=environment(copied))
    assert done.returncode == 0, done.stdout


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "NO_MKDOCS_2_WARNING": "1"}


def test_the_metric_example_runs(folder, copied):
    words = ["suite=field_crops", "models=image_stats", "protocols=knn"]
    code = f"import sys; sys.argv[1:] = {words!r}; from bench.cli.run import run; run()"
    text = (folder / "geobench_suites.py").read_text().replace('metric="accuracy"', 'metric="kappa"')
    (folder / "geobench_suites.py").write_text(text)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(copied))
    assert done.returncode == 0, done.stdout + done.stderr
    for row in scores(folder):
        assert row["metric"] == "kappa" and row["score"] == row["kappa"] and -1 <= float(row["kappa"]) <= 1
        assert float(row["kappa"]) < float(row["accuracy"])


# Links, tables and statements


def anchors(path: Path) -> set[str]:
    """Return the anchors of a file's headings, as mkdocs and code hosts make them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.S | re.M)
    titles = [re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ (.*)$", text, re.M)]
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.strip().lower())) for title in titles}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", path.read_text(), flags=re.S | re.M)
    dead = []
    for link in re.findall(r"\]\(([^()\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        place = (path.parent / target).resolve() if target else path
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("path", list(tables.marked_files()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_table_is_stale(path):
    assert tables.refreshed(path) == path.read_text(), f"{path.relative_to(ROOT)} is stale: run make tables"


def test_rooms_stand_in_the_order_of_their_floors():
    rows = tables.rooms("bench")
    assert rows[-1]["room"] == "bench/core/" and rows[-1]["floor"] == 1
    assert [row["floor"] for row in rows] == sorted((row["floor"] for row in rows), reverse=True)
    assert all(row["holds"] for package in ("bench", "analysis", "suites") for row in tables.rooms(package))


REFERENCE = re.compile(r"`((?:bench|analysis|suites|tests)(?:\.\w+)+)`")
PATH = re.compile(r"`((?:bench|analysis|suites|tests|results|docs|\.ci)/[\w./-]*)`")


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_and_files_that_are_named_exist(path):
    if path.name == "CHANGELOG.md" or "published" in path.parts:
        pytest.skip("names what was")
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.S | re.M)
    written = set(EXAMPLES.values()) | {"bench/models/mixnet.py"}
    free = re.compile(r"results/local|.*[A-Z]{4,}(?<!README)")  # a folder of the user's; a name to fill in
    named = [name for name in PATH.findall(text) if name not in written and not free.match(name)]
    lost = [name for name in named if not (ROOT / name).exists()]
    for name in set(REFERENCE.findall(text)):
        parts = name.split(".")
        file = next((ROOT / "/".join(parts[:n]) for n in range(len(parts), 0, -1) if source_of(parts[:n])), None)
        if file is None:
            lost.append(name)
            continue
        rest = parts[len(file.relative_to(ROOT).parts) :]
        if rest and not re.search(rf"\b{rest[0]}\b", (source_of(parts[: -len(rest)]) or file).read_text()):
            lost.append(name)
    assert lost == []


def source_of(parts: list[str]) -> Path | None:
    """Return the file of a module or package, None where there is none."""
    path = ROOT / "/".join(parts)
    if (path / "__init__.py").exists():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else None


def test_python_blocks_are_python():
    for path in MARKDOWN:
        for code in re.findall(r"^```python[^\n]*\n(.*?)^```$", path.read_text(), re.S | re.M):
            ast.parse(code)


def test_short_python_examples_run():
    """All but those of `bench.api`, which run a benchmark."""
    ran = 0
    for path in DOCS.glob("*.md"):
        for code in re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.S | re.M):
            if "bench.api" not in code:
                exec(code, {})
                ran += 1
    assert ran >= 1


WORD = re.compile(r"(?:^|\s)([a-z_]+(?:\.[a-z_]+)?)=")


def test_words_of_commands_exist():
    """Every key=value word of a command in the documentation is one that the command knows."""
    from bench.cli.options import COMMANDS
    from bench.cli.setting_rows import recipe_settings, settings

    known = {name: set(command.words) for name, command in COMMANDS.items()}
    known["geobench-run"] |= {row["setting"] for row in settings()} | {"centroid.standardise"}
    known["geobench-run"] |= {"study", "teacher", "small", "task", "budgets", "steps", "teacher_steps", "arms"}
    known["geobench-run"] |= {
        row["setting"] for row in recipe_settings() if row["recipe"] == "judge"
    }  # study=generation
    known["geobench-make"] |= {row["setting"] for row in recipe_settings()} | {"first", "second", "share"}
    for path in MARKDOWN:
        if path.name == "CHANGELOG.md" or path.parent.parent.name == "results":
            continue
        for command, words in re.findall(r"^(geobench-\w+) (.*)$", path.read_text(), re.M):
            unknown = set(WORD.findall(words.partition("#")[0])) - known[command]
            assert unknown == set(), f"{path}: {command} {words}"


def test_every_column_of_a_report_is_explained():
    from analysis.findings.published import COMPARISON
    from analysis.tables.columns import LAYERS, LEADERBOARD
    from bench.metrics import METRICS

    text = (DOCS / "columns.md").read_text()
    explained = set(re.findall(r"`(\w+)`", text)) | set(METRICS)
    for path in (ROOT / "results").glob("*/*.csv"):
        if path.parent.name != "published" and path.stem != "ranks":
            with path.open(newline="") as stream:
                columns = {name for name in next(csv.reader(stream)) if not re.fullmatch(r"iou_\d+", name)}
            assert columns - explained == set(), path
    assert {*LEADERBOARD, *LAYERS, *COMPARISON} - explained == set()


def test_every_kind_of_figure_is_explained():
    text = (DOCS / "reading-a-report.md").read_text()
    stems = {path.stem.split("_")[0] for path in (ROOT / "results").glob("*/*.pdf")}
    assert [stem for stem in sorted(stems) if f"`{stem}" not in text] == []


def test_the_home_page_names_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    assert {path.name for path in DOCS.glob("*.md")} == set(re.findall(r": ([\w-]+\.md)$", text, re.M)) - {"README.md"}


def test_every_suite_family_decoder_and_protocol_has_its_row():
    text = "".join(path.read_text() for path in MARKDOWN)
    packages = ("bench.models", "bench.decoders", "bench.protocols", "bench.foundry", "bench.studies")
    names = [*suite_catalogue.shipped(), *(name for package in packages for name in lookup.names(package))]
    assert [name for name in names if f"| `{name}` |" not in text] == []


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(ROOT),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "getting-started.html", "python.html", "bench/index.html", "results/index.html"} <= pages
    for page in pages:
        text = (tmp_path / "site" / page).read_text()
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]+)"', text)
        assert [address for address in loaded if 'rel="canonical"' not in address] == [], f"{page} needs the network"
