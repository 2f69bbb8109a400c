"""Checkpoints of an unfinished training: sealed on disk, and continued only where the seal is intact."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.core.errors import Damaged, Unwritable
from bench.finetuning.trained import Trained
from bench.store import discard
from bench.store.seals import read_sealed_bytes, write_sealed_bytes

PARTS = ("score", "step", "history", "state", "micro", "seconds", "notes")
"""Of what training has found so far."""


def keep(
    place: Path, state: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, trained: Trained, step: int
) -> None:
    """Write the state of a training after a step; where it cannot be written, warn and go on without.

    Args:
        place: the file.
        state: trained parameters and buffers.
        optimiser: its state is written too.
        trained: the best state and the history so far.
        step: steps taken.
    """
    content = {
        "step": step,
        "module": dict(state),
        "optimiser": optimiser.state_dict(),
        "found": {name: getattr(trained, name) for name in PARTS},
    }
    stream = io.BytesIO()
    torch.save(content, stream)
    try:
        write_sealed_bytes(place, place.name, stream.getbuffer())
    except Unwritable as error:
        warnings.warn(f"{error}; a training that is killed begins anew", stacklevel=2)


def resume(
    place: Path, module: nn.Module, names: set[str], optimiser: torch.optim.Optimizer, trained: Trained, *, drop: bool
) -> int:
    """Return the number of steps taken by the training that a checkpoint is of, its state put in place; 0 without one.

    A checkpoint that is damaged or belongs to another training is removed, with a note, and changes nothing else.

    Args:
        place: the file.
        module: takes over the parameters and buffers.
        names: of these.
        optimiser: takes over its state.
        trained: takes over the best state and the history.
        drop: whether this process removes a damaged file; of several that train together, one does.
    """
    try:
        content = read_sealed_bytes(place, place.name)
        if content is None:
            return 0
        kept = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        fault = _fault(kept, module, names, optimiser)
    except Damaged as error:
        fault = str(error)
    except Exception as error:  # what a pickle of another version of torch leads the unpickler into
        fault = f"{place} cannot be read ({type(error).__name__})"
    if fault:
        if drop:
            discard(place)
        trained.notes.append(f"checkpoint of a training that was killed removed, training begun anew: {fault}")
        return 0
    optimiser.load_state_dict(kept["optimiser"])
    module.load_state_dict(kept["module"], strict=False)
    for name in PARTS:
        setattr(trained, name, kept["found"][name])
    trained.history = [(int(step), float(mean), float(score)) for step, mean, score in trained.history]
    return int(kept["step"])


def _fault(kept: object, module: nn.Module, names: set[str], optimiser: torch.optim.Optimizer) -> str:
    """Return why a checkpoint is none of this training, ``""`` where it is."""
    if not isinstance(kept, dict) or set(kept) != {"step", "module", "optimiser", "found"}:
        return "it holds other things than a training"
    if not isinstance(kept["found"], dict) or set(kept["found"]) != set(PARTS):
        return "it holds another history than a training's"
    own = {name: value.shape for name, value in module.state_dict().items() if name in names}
    for state in (kept["module"], kept["found"]["state"] or kept["module"]):
        if {name: value.shape for name, value in state.items()} != own:
            return "its parameters are those of another network"
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    groups = [len(group["params"]) for group in optimiser.param_groups]
    if [len(group["params"]) for group in kept["optimiser"]["param_groups"]] != groups:
        return "its optimiser is of other parameters"
    for number, state in kept["optimiser"]["state"].items():
        if any(value.ndim and value.shape != parameters[number].shape for value in state.values()):
            return "its optimiser is of other parameters"
    return ""
