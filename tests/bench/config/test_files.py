"""A config= file of any kind is read within bounds, or refused in a sentence."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.config import run_config
from bench.config.files import read_config_file
from bench.core.errors import BadSetting, UnknownName
from tests.builders.bad_files import CONFIG_FILES as BAD


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_quickly(name, tmp_path):
    content, words = BAD[name]
    (tmp_path / "run.yaml").write_bytes(content)
    start = time.process_time()
    with pytest.raises(BadSetting, match=words):
        run_config([f"config={tmp_path / 'run.yaml'}"], ["probe"])
    assert time.process_time() - start < 5


@pytest.mark.parametrize("path", ["folder", "absent.yaml", "link", "absent/x.yaml", "x" * 5000, "/dev/zero"])
def test_a_path_that_is_no_file_is_refused(path, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(BadSetting, match=r"is a folder|cannot be read|more than"):
        read_config_file(tmp_path / path)


def test_a_doubling_chain_of_interpolations_is_refused(tmp_path):
    lines = [f"p{i}: '${{p{i + 1}}}${{p{i + 1}}}'" for i in range(40)] + ["p40: xxxxxxxxxxxxxxxx"]
    (tmp_path / "run.yaml").write_text("suite: demo\nprobe:\n  " + "\n  ".join(lines))
    with pytest.raises(BadSetting, match="80 interpolations"):
        run_config([f"config={tmp_path / 'run.yaml'}"], ["probe"])


def test_backslashes_hide_no_interpolation(tmp_path):
    lines = [rf"p{i}: '\\${{p{i + 1}}}\\${{p{i + 1}}}'" for i in range(40)] + ["p40: x"]
    (tmp_path / "run.yaml").write_text("suite: demo\nprobe:\n  " + "\n  ".join(lines))
    with pytest.raises(BadSetting, match="80 interpolations"):
        run_config([f"config={tmp_path / 'run.yaml'}"], ["probe"])


@pytest.mark.parametrize(
    ("text", "near"), [("config: other.yaml", "no setting in"), ("modles: all", "models"), ("prob: {c: 1}", "probe")]
)
def test_a_key_that_is_not_known_is_named(text, near, tmp_path):
    (tmp_path / "run.yaml").write_text(f"suite: demo\n{text}\n")
    with pytest.raises(UnknownName, match=near):
        run_config([f"config={tmp_path / 'run.yaml'}"], ["probe"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("probe: 3", "settings.probe='3'"),
        ("suite: {a: b}", "a name or a list of names"),
        ("models: {a: b}", "models="),
        ("batch: true", "batch='true'"),
        ("data: 2020-01-01\nbatch: x", "batch='x'"),
        ("seeds: [1, .nan]", "seeds"),
        ("data: ''", "a path is needed"),
        ("data: ", "data=None"),
        ("models: ", "at least one is needed"),
        ("subsets: 1e3", "subsets='1e3'"),
    ],
)
def test_a_value_of_another_kind_is_named(text, words, tmp_path):
    base = "" if text.startswith("suite") else "suite: demo\n"
    (tmp_path / "run.yaml").write_text(f"{base}{text}\n")
    with pytest.raises(BadSetting) as error:
        run_config([f"config={tmp_path / 'run.yaml'}"], ["probe"])
    assert words in str(error.value)


def test_yaml_says_what_words_say(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "base: &base {c: [0.1, 1], pools: mean}\n".replace("base: &base", "knn: &base")
        + "probe: {<<: *base, pools: [mean, cls]}\nsuite: demo\nfractions: [1e-1, 1]\nretry: no\nworkers: 4\n"
        + "results: out/${suite}\nweights: null\n"
    )
    config = run_config([f"config={path}"], ["probe", "knn"])
    words = ["suite=demo", "fractions=[0.1,1]", "retry=false", "workers=4", "results=out/demo"]
    own = ["probe.c=[0.1,1]", "probe.pools=[mean,cls]", "knn.c=[0.1,1]", "knn.pools=mean"]
    assert config == run_config([*words, *own], ["probe", "knn"])


def test_a_pipe_is_a_file(tmp_path):
    import os
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: Path(pipe).write_text("suite: demo\n"), daemon=True).start()
    assert read_config_file(pipe) == {"suite": "demo"}
