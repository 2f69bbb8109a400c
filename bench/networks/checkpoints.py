"""Weights from files: read safely, loaded completely or not at all."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PosixPath
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.core.errors import MissingWeights

# Keys under which training programs put the weights beside their optimiser, epoch and settings, in order of preference:
# of a teacher and a student, the published encoder is the teacher.
WRAPPERS = ("state_dict", "model_state_dict", "model", "teacher", "module")
# Classes in which publishers left the settings of a training run beside the weights: names and values, nothing that
# runs. That of yacs, another library's dictionary, is read into a plain one.
SETTINGS: tuple[Any, ...] = (
    argparse.Namespace,
    PosixPath,
    type("CfgNode", (), {"__module__": "yacs.config", "__new__": lambda cls: OrderedDict()}),
)
SHOWN = 8
AGAIN = "Delete it and fetch it again, or put the publisher's file there."


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, on the CPU, in the file's own dtypes.

    Reads safetensors and what ``torch.save`` writes (memory-mapped where the format allows). A dictionary found under
    one of `WRAPPERS` is unwrapped; dictionaries of dictionaries of tensors are flattened, their names joined by dots.
    No code in the file is ever run.

    Args:
        path: a ``.safetensors``, ``.pt``, ``.pth`` or ``.bin`` file. What it holds is told from its first bytes.

    Raises:
        MissingWeights: if it is absent, truncated, a Git LFS pointer, a web page, a pickle of other things than
            weights, or holds anything but tensors.
    """
    if not path.is_file():
        raise MissingWeights(f"no weights at {path}. Put the file there, or let it be downloaded.")
    with path.open("rb") as file:
        head = file.read(512)
    _refuse_other_files(path, head)
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise MissingWeights(f"{path} is damaged or no safetensors file ({error}). {AGAIN}") from error
    return _flat(_unwrapped(_unpickled(path, head)), path)


def load_state(
    module: nn.Module,
    path: Path,
    *,
    entry: str,
    rename: Callable[[str], str | None] | None = None,
    prefix: str = "",
    plain_norm: str = "",
) -> None:
    """Fill every parameter and persistent buffer of a module from a checkpoint, or raise and change nothing.

    Values keep the module's dtypes: a float16 file loaded into a float32 module becomes float32.

    Args:
        module: the network, on the CPU or the meta device; changed in place.
        path: see `read_state`.
        entry: the model's name, for the message.
        rename: the module's name of a key of the file; None drops the key on purpose (a decoder, a head).
        prefix: take only the keys of the file that start with it, and cut it off (before `rename`).
        plain_norm: name of a norm that its publisher leaves out of some files (a norm without weights, or one fitted
            anew for each task): if neither of its tensors is there, weight is 1 and bias 0, as before training.

    Raises:
        MissingWeights: as `read_state`; or if any key is missing, extra, given twice, or of another shape.
    """
    state = _renamed(read_state(path), path, entry, rename, prefix)
    wanted = module.state_dict()
    affine = [key for key in (f"{plain_norm}.weight", f"{plain_norm}.bias") if plain_norm and key in wanted]
    if not any(key in state for key in affine):
        state |= {key: torch.full(wanted[key].shape, float(key.endswith("weight"))) for key in affine}
    clash = [
        f"{key}: {_shape(state[key])} in the file, {_shape(value)} in the network"
        for key, value in wanted.items()
        if key in state and not _fits(state[key], value)
    ]
    faults = [
        _some("missing from the file", [key for key in wanted if key not in state]),
        _some("unknown to the network", [key for key in state if key not in wanted]),
        _some("of another shape or type", clash),
    ]
    if any(faults):
        found = "; ".join(fault for fault in faults if fault)
        raise MissingWeights(f"{path} does not hold the weights of {entry}: {found}. {AGAIN}")
    module.load_state_dict({key: state[key].to(value.dtype) for key, value in wanted.items()}, assign=True)


def _refuse_other_files(path: Path, head: bytes) -> None:
    """Raise `MissingWeights` for the things that lie where weights should after a failed download."""
    start = head.lstrip().lower()
    if not head:
        what = "is empty"
    elif start.startswith(b"version https://git-lfs"):
        what = "is a Git LFS pointer, not the file it points to (git lfs pull brings that)"
    elif start.startswith((b"<!doctype", b"<html", b"<?xml")):
        what = "is a web page, not weights (a login or error page saved in their place)"
    else:
        return
    raise MissingWeights(f"{path} {what}. {AGAIN}")


def _unpickled(path: Path, head: bytes) -> Any:
    """Return the object in a ``torch.save`` file, refusing every pickled global but tensors and `SETTINGS`."""
    try:
        with torch.serialization.safe_globals(list(SETTINGS)):
            # Only the zip format (torch 1.6 and later) can be mapped into memory.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=head.startswith(b"PK"))
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise MissingWeights(
            f"{path} is not plain weights: it is damaged, or a pickle of other Python objects, which are never run "
            f"({reason}). {AGAIN} A file of your own: save module.state_dict() alone, or safetensors."
        ) from error
    except Exception as error:  # a damaged pickle leads the unpickler into errors of any kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingWeights(f"{path} is truncated, damaged or no checkpoint ({reason}). {AGAIN}") from error


def _unwrapped(found: Any) -> Any:
    """Return the innermost dictionary under the names of `WRAPPERS`."""
    while isinstance(found, Mapping):
        inner = next((found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            return found
        found = inner
    return found


def _flat(found: Any, path: Path) -> dict[str, Tensor]:
    """Return nested dictionaries of tensors as one, names joined by dots."""
    state: dict[str, Tensor] = {}

    def walk(value: Any, name: str) -> None:
        if isinstance(value, Tensor):
            state[name] = value.detach()
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                walk(inner, f"{name}.{key}" if name else str(key))
        else:
            where = f"under {name!r}" if name else "at its top"
            raise MissingWeights(f"{path} is not plain weights: it holds a {type(value).__name__} {where}. {AGAIN}")

    walk(found, "")
    if not state or "" in state:
        raise MissingWeights(f"{path} is not plain weights: it holds no tensors by name. {AGAIN}")
    return state


def _renamed(
    state: Mapping[str, Tensor], path: Path, entry: str, rename: Callable[[str], str | None] | None, prefix: str
) -> dict[str, Tensor]:
    """Return the state under the module's names; two keys that become one are an error."""
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        if not key.startswith(prefix):
            continue
        short = key.removeprefix(prefix)
        name = short if rename is None else rename(short)
        if name is None:
            continue
        if name in result:
            raise MissingWeights(f"{path} does not hold the weights of {entry}: two of its keys become {name!r}.")
        result[name] = value
    return result


def _fits(given: Tensor, wanted: Tensor) -> bool:
    """Return whether a tensor can fill another without a change of shape or kind of number."""
    return given.shape == wanted.shape and given.is_floating_point() == wanted.is_floating_point()


def _shape(value: Tensor) -> str:
    """Return e.g. ``float32 (384, 13, 16, 16)``."""
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _some(what: str, keys: Iterable[str]) -> str:
    """Return e.g. ``2 missing from the file (cls_token, pos_embed)``, or nothing for none."""
    keys = list(keys)
    if not keys:
        return ""
    more = f", and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{len(keys)} {what} ({', '.join(keys[:SHOWN])}{more})"
