"""Weights from files: everything arrives, or nothing does and the message says why."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.core.errors import MissingWeights
from bench.networks.checkpoints import WRAPPERS, load_state, read_state


def network(seed: int = 0, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


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


def test_loading_fills_every_value(tmp_path: Path) -> None:
    source, target = network(0), network(1)
    source[1].running_mean += 2  # type: ignore[operator]
    torch.save(source.state_dict(), tmp_path / "a.pt")
    target.requires_grad_(False)
    load_state(target, tmp_path / "a.pt", entry="x")
    assert equal(dict(target.state_dict()), dict(source.state_dict()))
    assert not any(parameter.requires_grad for parameter in target.parameters())


def test_changing_loaded_weights_leaves_the_file_alone(tmp_path: Path) -> None:
    source = network(0)
    torch.save(source.state_dict(), tmp_path / "a.pt")
    target = network(1)
    load_state(target, tmp_path / "a.pt", entry="x")
    with torch.no_grad():
        target[0].weight.zero_()  # type: ignore[operator]
    assert equal(read_state(tmp_path / "a.pt"), dict(source.state_dict()))


def test_half_precision_files_take_the_dtype_of_the_module(tmp_path: Path) -> None:
    state = {
        key: value.half() if value.is_floating_point() else value for key, value in network(0).state_dict().items()
    }
    save_file(state, tmp_path / "a.safetensors")
    target = network(1)
    load_state(target, tmp_path / "a.safetensors", entry="x")
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, state["0.weight"].float())  # type: ignore[arg-type]
    assert target[1].num_batches_tracked.dtype == torch.int64


def test_a_wrong_file_names_what_is_wrong_and_changes_nothing(tmp_path: Path) -> None:
    state = dict(network(0).state_dict())
    state["2.weigth"] = state.pop("2.weight")
    state["0.bias"] = torch.zeros(9)
    state["1.num_batches_tracked"] = torch.tensor(1.0)
    save_file(state, tmp_path / "a.safetensors")
    target = network(1)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(MissingWeights) as caught:
        load_state(target, tmp_path / "a.safetensors", entry="my_model")
    message = str(caught.value)
    assert "my_model" in message and "a.safetensors" in message
    assert "1 missing from the file (2.weight)" in message
    assert "1 unknown to the network (2.weigth)" in message
    assert "2 of another shape or type" in message
    assert "0.bias: float32 (9,) in the file, float32 (4,) in the network" in message
    assert equal(dict(target.state_dict()), before)


def test_a_long_list_is_cut_with_its_count(tmp_path: Path) -> None:
    state = {f"other_{index}": torch.zeros(1) for index in range(20)}
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(MissingWeights, match=r"20 unknown to the network \(.*, and 12 more\)") as caught:
        load_state(network(), tmp_path / "a.safetensors", entry="x")
    assert str(caught.value).count("other_") == 8


def test_renaming_drops_on_purpose_only(tmp_path: Path) -> None:
    state = {f"module.{key}": value for key, value in network(0).state_dict().items()}
    torch.save({**state, "head.weight": torch.zeros(5)}, tmp_path / "a.pt")
    target = network(1)
    load_state(
        target, tmp_path / "a.pt", entry="x", rename=lambda key: None if "head" in key else key.removeprefix("module.")
    )
    assert torch.equal(target[0].weight, state["module.0.weight"])  # type: ignore[arg-type]
    with pytest.raises(MissingWeights, match="two of its keys become 'same'"):
        load_state(target, tmp_path / "a.pt", entry="x", rename=lambda key: "same")


def test_a_prefix_takes_one_part_of_a_file(tmp_path: Path) -> None:
    encoder, decoder = network(0), network(2)
    both = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    both |= {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
    torch.save(both, tmp_path / "a.pt")
    target = network(1)
    load_state(target, tmp_path / "a.pt", entry="x", prefix="encoder.")
    assert equal(dict(target.state_dict()), dict(encoder.state_dict()))
    with pytest.raises(MissingWeights, match="missing from the file"):
        load_state(target, tmp_path / "a.pt", entry="x", prefix="teacher.")
