"""Completion as bash does it: the script is run there, with the words as bash breaks them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.cli.completion import SHELLS, completion, keys, values
from bench.cli.options import COMMANDS
from bench.core import UnknownName

TRY = """
source "$1"
COMP_LINE="$2"
COMP_POINT=${#COMP_LINE}
broken="${COMP_LINE//=/ = }"
broken="${broken//:/ : }"
COMP_WORDS=( $broken )
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_geobench "${2%% *}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "geobench.bash"
    path.write_text(completion("bash"))
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("geobench-run su", {"suite=", "subsets="}),
        ("geobench-run suite=euros", {"eurosat", "eurosat_rgb"}),
        ("geobench-run suite=demo models=tiny_m", {"tiny_mae", "tiny_mae.random"}),
        ("geobench-run models=[tiny_mae,tiny_di", {"[tiny_mae,tiny_dino", "[tiny_mae,tiny_dino.random"}),
        ("geobench-run models=tiny_mae,image_s", {"tiny_mae,image_stats"}),
        ("geobench-run 'models=[tiny_mae,image_s", {"[tiny_mae,image_stats"}),
        ("geobench-run models=origin:ra", {"random"}),
        ("geobench-run protocols=pr", {"probe"}),
        ("geobench-run probe.a", {"probe.alpha="}),
        ("geobench-run finetune.decoders=up", {"upernet"}),
        ("geobench-run finetune.decoders=[fcn,up", {"[fcn,upernet"}),
        ("geobench-run finetune.checkpointing=t", {"true"}),
        ("geobench-run precision=", {"fp32", "bf16"}),
        ("geobench-run study=dec", {"decoders"}),
        ("geobench-run data=fold", {"folder one", "folder_two"}),
        ("geobench-run config=fi", {"file.yaml"}),
        ("geobench-run models=path:fi", {"file.yaml"}),
        ("geobench-run models=path:file.yaml:tiny_d", {"tiny_dino"}),
        ("geobench-run --d", {"--dry"}),
        ("geobench-run completion ", set(SHELLS)),
        ("geobench-run completion z", {"zsh"}),
        ("geobench-list dec", {"decoders"}),
        ("geobench-list suite=sen1f", {"sen1floods11"}),
        ("geobench-list --m", {"--markdown"}),
        ("geobench-report comp", {"compare=", "completion"}),
        ("geobench-report compare=", {"published"}),
        ("geobench-cache ver", {"verify"}),
        ("geobench-cache cache=folder_", {"folder_two"}),
        ("geobench-doctor suite=demo --au", {"--audit"}),
        ("geobench-doctor models=tiny_croma.", {"tiny_croma.random"}),
        ("geobench-make recipe=pre", {"pretrain"}),
        ("geobench-make mae.ep", {"mae.epochs="}),
        ("geobench-run nonsense=x", {""}),
    ],
)
def test_bash_completes(line, expected, script, tmp_path):
    (tmp_path / "folder one").mkdir()
    (tmp_path / "folder_two").mkdir()
    (tmp_path / "file.yaml").touch()
    body = TRY.replace("COMP_CWORD=$", 'COMP_WORDS+=("")\nCOMP_CWORD=$') if line.endswith(" ") else TRY
    done = subprocess.run(
        ["bash", "--norc", "-c", body, "bash", script, line], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stderr == "" and set(done.stdout.splitlines()) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_sound_and_names_every_command(shell, tmp_path):
    text = completion(shell)
    assert all(name in text for name in COMMANDS) and "{{" not in text
    if shutil.which(shell):
        (tmp_path / "script").write_text(text)
        assert subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True).returncode == 0


def test_another_shell_is_refused():
    with pytest.raises(UnknownName, match=r"no shell with completion 'tcsh'"):
        completion("tcsh")


def test_every_word_of_every_command_is_offered():
    known = values()
    for command in COMMANDS.values():
        offered = keys(command)
        assert {f"{word}=" for word in command.words} | set(command.flags) | set(command.actions) <= set(offered)
    assert {"FILES"} == {*known["data"], *known["results"], *known["out"], *known["config"], *known["entries"]}
    assert known["device"] and known["absent"] and known["storage"] == ["float16", "float32"]
