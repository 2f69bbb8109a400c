"""Files of weights: what they hold is told from their bytes, what is no weights is named, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench.core.errors import MissingWeights
from bench.networks.checkpoint_files import AVERAGES, WRAPPERS, read_checkpoint, read_state
from tests.builders.weights import equal, network


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth", "legacy.bin"])
def test_every_format_gives_the_tensors_that_were_saved(tmp_path: Path, name: str) -> None:
    state = network().state_dict()
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name != "legacy.bin")
    assert equal(read_state(path), dict(state))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_dictionary_of_a_training_program_is_unwrapped(tmp_path: Path, wrapper: str) -> None:
    state = network().state_dict()
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, wrapper: state}, tmp_path / "a.pt")
    assert equal(read_state(tmp_path / "a.pt"), dict(state))


def test_dictionaries_of_dictionaries_are_flattened(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({"s1": state, "joint": {"inner": dict(state)}}, tmp_path / "a.pt")
    read = read_state(tmp_path / "a.pt")
    assert len(read) == 2 * len(state)
    assert torch.equal(read["joint.inner.0.weight"], state["0.weight"])


def test_a_pickle_of_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"state_dict": Trap()}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "module.pt").write_bytes(pickle.dumps({"a": 1.5, "b": Path("x")}))
    for name in ("zip.pt", "plain.pt", "module.pt"):
        with pytest.raises(MissingWeights, match=name):
            read_state(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", b"", "is empty"),
        ("a.safetensors", b"", "is empty"),
        ("a.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "Git LFS pointer"),
        ("a.safetensors", b"\n <!DOCTYPE html><html>login</html>", "web page"),
        ("a.pt", b"not a checkpoint at all", "a.pt"),
        ("a.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!", "no safetensors file"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MissingWeights, match=message):
        read_state(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"no weights at .*gone\.pt"):
        read_state(tmp_path / "gone.pt")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "legacy.bin"])
def test_a_truncated_file_is_found_at_any_length(tmp_path: Path, name: str, share: float) -> None:
    state = network(width=64).state_dict()
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name != "legacy.bin")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(MissingWeights, match=name):
        read_state(path)


def test_damaged_bytes_are_an_error_of_ours_or_other_values_never_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    torch.save(network(width=64).state_dict(), path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for place in torch.randint(0, 600, (200,), generator=generator).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read_state(path)
        except MissingWeights:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("content", [{"weight": 3}, {}, [1, 2], torch.ones(2), {"a": torch.ones(2), "epoch": 4}])
def test_what_is_not_only_tensors_by_name_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(MissingWeights, match="not plain weights"):
        read_state(tmp_path / "a.pt")


def test_the_suffix_says_nothing(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "a.pt")
    torch.save(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "legacy.safetensors", _use_new_zipfile_serialization=False)
    for name in ("a.pt", "a.safetensors", "legacy.safetensors"):
        assert equal(read_state(tmp_path / name), dict(state))


@pytest.mark.parametrize("average", AVERAGES)
def test_moving_averages_are_named_and_taken_where_there_is_nothing_else(tmp_path: Path, average: str) -> None:
    plain, averaged = network(0).state_dict(), network(1).state_dict()
    torch.save({"model": plain, average: averaged}, tmp_path / "both.pt")
    both = read_checkpoint(tmp_path / "both.pt")
    assert equal(both.state, dict(plain))
    assert both.notes == (f"of the weights under 'model' and their moving averages under {average!r}, the former",)
    torch.save({"epoch": 3, average: averaged}, tmp_path / "alone.pt")
    alone = read_checkpoint(tmp_path / "alone.pt")
    assert equal(alone.state, dict(averaged)) and f"under {average!r}" in alone.notes[0]


def test_of_teacher_and_student_the_teacher_is_taken_and_named(tmp_path: Path) -> None:
    teacher, student = network(0).state_dict(), network(1).state_dict()
    torch.save({"student": student, "teacher": teacher}, tmp_path / "a.pt")
    checkpoint = read_checkpoint(tmp_path / "a.pt")
    assert equal(checkpoint.state, dict(teacher)) and checkpoint.notes == ("of teacher and student, the teacher",)


def nested_in_itself() -> dict:
    content: dict = {"weight": torch.ones(2)}
    content["inner"] = content
    return content


def wrapped_in_itself() -> dict:
    content: dict = {}
    content["state_dict"] = content
    return content


def doubled(times: int = 60) -> dict:
    content: dict = {"weight": torch.ones(1)}
    for _ in range(times):
        content = {"a": content, "b": content}
    return content


@pytest.mark.parametrize("build", [nested_in_itself, wrapped_in_itself, doubled])
def test_structures_without_end_are_refused(tmp_path: Path, build) -> None:
    torch.save(build(), tmp_path / "a.pt")
    with pytest.raises(MissingWeights, match=r"not plain weights|nested without end"):
        read_state(tmp_path / "a.pt")


class Own:
    """A class of a user's, pickled whole."""


@pytest.mark.parametrize("form", ["zip", "legacy", "protocol 4", "plain pickle"])
def test_a_refused_pickle_names_its_class(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.pt"
    if form == "plain pickle":
        path.write_bytes(pickle.dumps({"model": Own()}))
    elif form == "protocol 4":
        torch.save({"model": Own()}, path, pickle_protocol=4)
    else:
        torch.save({"model": Own()}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(MissingWeights, match=rf"a pickle of {__name__}\.Own, which is never run") as caught:
        read_state(path)
    assert "weights_only" not in str(caught.value) and "save module.state_dict()" in str(caught.value)


def test_a_whole_module_names_its_class(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "a.pt")
    with pytest.raises(MissingWeights, match=r"a pickle of torch\.nn\.modules\.container\.Sequential"):
        read_state(tmp_path / "a.pt")


def test_archives_of_other_things_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.pt", weight=np.ones(2))
    (tmp_path / "a.pt.npz").replace(tmp_path / "a.pt")
    with pytest.raises(MissingWeights, match="is a NumPy archive"):
        read_state(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(MissingWeights, match="is a zip archive of other files"):
        read_state(tmp_path / "b.pt")
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("c/data.pkl", b"")
        archive.writestr("c/code/x.py", "import os")
    with pytest.raises(MissingWeights, match="is a TorchScript program, which is never run"):
        read_state(tmp_path / "c.pt")
    with zipfile.ZipFile(tmp_path / "d.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d/data.pkl", b"")
        archive.writestr("d/data/0", bytes(50 << 20))
    with pytest.raises(MissingWeights, match="unpacks to 52,428,800 bytes"):
        read_state(tmp_path / "d.pt")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (b"\x1f\x8b\x08rest", "is a gzip archive; unpack it first"),
        (b'{"error": "no such file"}', "is JSON text"),
        (b"\x93NUMPY", "is a NumPy array"),
    ],
)
def test_files_of_other_programs_are_named(tmp_path: Path, head: bytes, message: str) -> None:
    (tmp_path / "a.pt").write_bytes(head)
    with pytest.raises(MissingWeights, match=message):
        read_state(tmp_path / "a.pt")


def test_no_tensors_are_no_weights(tmp_path: Path) -> None:
    save_file({}, tmp_path / "a.safetensors")
    with pytest.raises(MissingWeights, match="holds no tensors"):
        read_state(tmp_path / "a.safetensors")
