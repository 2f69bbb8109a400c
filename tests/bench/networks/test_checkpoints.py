"""Weights into networks: everything arrives, or nothing does and the message says why."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.core.errors import MissingWeights
from bench.networks.checkpoint_files import read_state
from bench.networks.checkpoints import PREFIXES, CheckpointNote, collected_notes, load_state
from tests.builders.weights import equal, network


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


@pytest.mark.parametrize("prefix", [*PREFIXES, "module._orig_mod.", "state_dict.model.backbone."])
@pytest.mark.parametrize("form", ["pt", "safetensors"])
def test_one_prefix_of_all_names_is_cut_off_and_noted(tmp_path: Path, prefix: str, form: str) -> None:
    state = {f"{prefix}{key}": value for key, value in network(0).state_dict().items()}
    path = tmp_path / f"a.{form}"
    torch.save(state, path) if form == "pt" else save_file(state, path)
    target = network(1)
    notes: list[str] = []
    with collected_notes(notes):
        load_state(target, path, entry="x")
    assert equal(dict(target.state_dict()), dict(network(0).state_dict()))
    assert notes == [f"weights of x: the prefix {prefix!r} of every name cut off"]


def test_a_prefix_is_cut_off_only_if_that_alone_makes_all_names_fit(tmp_path: Path) -> None:
    state = {f"module.{key}": value for key, value in network(0).state_dict().items()}
    for wrong in (
        {**state, "head.weight": torch.zeros(1)},
        {**state, "module.head.weight": torch.zeros(1)},
        {key: value for key, value in state.items() if "0.bias" not in key},
    ):
        torch.save(wrong, tmp_path / "a.pt")
        with pytest.raises(MissingWeights, match="does not hold the weights of x"):
            load_state(network(1), tmp_path / "a.pt", entry="x")


def test_names_that_fit_as_they_are_keep_their_prefix(tmp_path: Path) -> None:
    module = torch.nn.ModuleDict({"encoder": network(0)})
    torch.save(module.state_dict(), tmp_path / "a.pt")
    target = torch.nn.ModuleDict({"encoder": network(1)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_state(target, tmp_path / "a.pt", entry="x")
    assert equal(dict(target.state_dict()), dict(module.state_dict()))


def test_notes_are_collected_and_other_warnings_passed_on(tmp_path: Path) -> None:
    notes: list[str] = []
    with pytest.warns(UserWarning, match="something else"), collected_notes(notes):
        warnings.warn("weights of x: chosen", CheckpointNote, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
    assert notes == ["weights of x: chosen"]
