"""The commands as a user types them, on a few images in the publisher's layout."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.suite_and_model import coloured_images

FOLDER = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]


def call(command: str, *words: str, cache: Path | None = None, **more) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} | ({"GEOBENCH_CACHE": str(cache)} if cache else {})
    return subprocess.run([FOLDER / command, *words], capture_output=True, text=True, env=environment, cwd=ROOT, **more)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """EuroSAT RGB in its layout: two classes that differ in colour, 12 images each."""
    return coloured_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    words = [
        "suite=eurosat_rgb",
        "models=[image_stats,galileo_nano.random]",
        f"data={images}",
        f"results={folder}/results",
        "download=false",
        "probe.c=[0.01,1]",
        "fractions=[0.5,1]",
        "subsets=2",
    ]
    done = call("geobench-run", *words, cache=folder / "cache")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, words, done


def test_a_run_leaves_leaderboard_and_profiles(finished):
    folder, _, done = finished
    suite = folder / "results" / "eurosat_rgb"
    names = {path.name for path in suite.iterdir()}
    assert {f"leaderboard.{kind}" for kind in ("csv", "md", "tex", "html")} <= names
    assert {f"layer_profile_landuse.{kind}" for kind in ("pdf", "png", "csv")} <= names
    rows = list(csv.DictReader((suite / "leaderboard.csv").open()))
    wanted = "task model origin parent protocol layer fraction metric score low high n_test trained_on_this record"
    assert list(rows[0])[:14] == wanted.split()
    # 2 models x 2 protocols x 2 rules x 2 fractions
    assert len(rows) == 16 == len({(r["model"], r["protocol"], r["layer"], r["fraction"]) for r in rows})
    for row in rows:
        assert 0 <= float(row["low"]) <= float(row["score"]) <= float(row["high"]) <= 1 and row["n_test"] == "12"
        assert all((suite / "records" / f"{digest}.json").exists() for digest in row["record"].split())
    assert "galileo_nano.random" in done.stdout


def test_a_second_run_reads_records_only(finished):
    folder, words, _ = finished
    probe = (
        "import sys; sys.argv[1:] = {!r}; from bench.cli.run import run\n"
        "try:\n    run()\nexcept SystemExit as end:\n    "
        "sys.exit(10 * ('torch' in sys.modules) + (end.code or 0))"
    )
    again = subprocess.run(
        [sys.executable, "-c", probe.format(words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "GEOBENCH_CACHE": str(folder / "cache")},
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "14 stored, 0 to do" in again.stdout


def test_a_report_is_rebuilt_byte_for_byte(finished):
    folder, _, _ = finished
    suite = folder / "results" / "eurosat_rgb"
    before = {path.name: path.read_bytes() for path in suite.iterdir() if path.is_file()}
    for path in suite.iterdir():
        if path.is_file():
            path.unlink()
    done = call("geobench-report", f"results={folder}/results", cache=folder / "cache")
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in suite.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("more", [[], ["suite=demo"], ["compare=published"]])
def test_a_report_without_records_says_where_it_looked(more, tmp_path):
    done = call("geobench-report", f"results={tmp_path}", *more)
    assert done.returncode == 2 and f"no records below {tmp_path}; run geobench-run" in done.stderr


def test_what_has_no_row_is_said_in_words(images, tmp_path):
    words = ["suite=eurosat_rgb", "models=galileo_nano.random", "protocols=drift", "seeds=0", f"data={images}"]
    small = ["drift.steps=2", "drift.samples=8", "drift.batch=4", "drift.evaluations=1", "drift.rewind=false"]
    done = call("geobench-run", *words, *small, f"results={tmp_path}", "download=false", cache=tmp_path / "cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the largest local drift is in" in done.stdout and "task" not in done.stdout.split("masked")[1]
    assert (tmp_path / "eurosat_rgb" / "drift_landuse_galileo_nano.random.pdf").exists()


def test_the_cache_is_listed_verified_and_damage_is_found(finished):
    folder, _, _ = finished
    rows = json.loads(call("geobench-cache", "ls", "--json", cache=folder / "cache").stdout)
    assert {row["model"] for row in rows} == {"image_stats", "galileo_nano.random"} and len(rows) == 6
    assert call("geobench-cache", "verify", cache=folder / "cache").returncode == 0
    victim = next((folder / "cache" / "features").glob("*/*.npy"))
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert call("geobench-cache", "verify", cache=folder / "cache").returncode == 1
    assert victim.parent.name in call("geobench-cache", "gc", cache=folder / "cache").stdout
    assert call("geobench-cache", "verify", cache=folder / "cache").returncode == 0


def test_doctor_says_what_each_model_will_see(images, tmp_path):
    words = (
        "suite=eurosat_rgb",
        "models=[image_stats,galileo_nano.random,dofa_base]",
        f"data={images}",
        "download=false",
    )
    done = call("geobench-doctor", *words, "--json", cache=tmp_path)
    rows = json.loads(done.stdout)
    assert done.returncode == 0 and {row["who"] for row in rows} == {
        "eurosat_rgb",
        "image_stats",
        "galileo_nano.random",
        "dofa_base",
    }
    assert any(row["about"] == "absent" and "s2.b08" in row["what"] for row in rows)
    assert any(row["who"] == "dofa_base" and row["about"] == "weights" for row in rows)


def test_every_command_that_takes_models_finds_made_entries(tmp_path):
    folder, name = f"entries={tmp_path / 'made'}", "tiny_mae.half"
    words = ("recipe=prune", "model=tiny_mae", "method=depth", f"name={name}", f"out={tmp_path / 'made'}")
    assert call("geobench-make", *words, cache=tmp_path).returncode == 0
    merged = ("recipe=merge", f"models=[{name},{name}]", folder, "name=tiny_mae.same", f"out={tmp_path / 'made'}")
    assert call("geobench-make", *merged, cache=tmp_path).returncode == 0
    listed = json.loads(call("geobench-list", folder, "models=origin:merged", "--json", cache=tmp_path).stdout)
    assert [row["name"] for row in listed] == ["tiny_mae.same"]
    words = ("suite=demo", f"models=[{name},tiny_mae.same]", folder)
    seen = json.loads(call("geobench-doctor", *words, "--json", cache=tmp_path).stdout)
    assert {row["who"] for row in seen} == {"demo", name, "tiny_mae.same"}
    assert {row["state"] for row in seen if row["about"] == "block_3"} == {"ok"}
    assert call("geobench-doctor", "suite=demo", f"models={name}", "entries=nowhere", cache=tmp_path).returncode == 2
    plan = call("geobench-run", *words, "protocols=[knn]", f"results={tmp_path}", "--dry", cache=tmp_path)
    assert plan.returncode == 0 and "tiny_mae.same" in plan.stdout


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        ("models", {"name", "origin", "objective", "parameters", "available"}),
        ("suites", {"name", "tasks", "licence"}),
        ("protocols", {"name", "settings"}),
        ("decoders", {"name"}),
        ("recipes", {"name"}),
    ],
)
def test_listings_are_objects_with_names(what, keys):
    done = call("geobench-list", what, "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 0 and rows and all(keys <= row.keys() for row in rows)


def test_dry_runs_nothing_and_needs_no_data(tmp_path):
    done = call(
        "geobench-run",
        "suite=eurosat",
        "models=all",
        f"data={tmp_path}",
        f"results={tmp_path}/r",
        "--dry",
        cache=tmp_path / "c",
    )
    assert done.returncode == 0 and "eurosat not found under" in done.stdout and "to be fetched" in done.stdout
    assert not (tmp_path / "r").exists() and not list((tmp_path / "c").glob("features/*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["suite=sen1flods11"], "did you mean sen1floods11?"),
        (["suite=demo", "models=galileo_nan"], "did you mean galileo_nano?"),
        (["suite=demo", "modles=all"], "did you mean models?"),
        (["suite=demo", "suite=demo"], "given twice"),
        (["suite=demo", "protocols=prob"], "did you mean probe?"),
        (["suite=demo", "layers=blck_1"], "did you mean block_1?"),
        (["suite=demo", "tasks=flod"], "did you mean flood?"),
        (["suite=demo", "models=presto"], "nothing to run on demo: presto reads pixel time series"),
        (["suite=demo", "models=[dofa_base]", "download=false"], "dofa_base: no weights"),
        (["suite=eurosat", "data=/nowhere", "download=false"], "eurosat not found under"),
        (["--drry"], "did you mean --dry?"),
    ],
)
def test_bad_requests_exit_2_and_teach(words, message, tmp_path):
    done = call("geobench-run", *words, f"results={tmp_path}", cache=tmp_path / "c")
    assert done.returncode == 2 and message in done.stderr.replace("\n", " "), done.stderr
    assert "Traceback" not in done.stderr


def test_half_downloaded_data_name_the_file(images, tmp_path):
    import shutil

    shutil.copytree(images, tmp_path / "data")
    (tmp_path / "data" / "eurosat_rgb" / "EuroSAT_RGB" / "River" / "River_3.jpg").unlink()
    done = call(
        "geobench-run",
        "suite=eurosat_rgb",
        "models=image_stats",
        f"data={tmp_path}/data",
        f"results={tmp_path}/r",
        cache=tmp_path / "c",
    )
    assert done.returncode == 2 and "River_3.jpg" in done.stderr
    broken = tmp_path / "data" / "eurosat_rgb" / "EuroSAT_RGB" / "River" / "River_3.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 cut")
    done = call(
        "geobench-run",
        "suite=eurosat_rgb",
        "models=image_stats",
        f"data={tmp_path}/data",
        f"results={tmp_path}/r",
        cache=tmp_path / "c",
    )
    assert done.returncode == 1 and "River_3.jpg" in done.stdout.replace("\n", "")
