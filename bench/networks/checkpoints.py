"""Weights into networks: loaded completely or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.core.errors import MissingWeights
from bench.networks.checkpoint_files import AGAIN, read_checkpoint

# What programs put before every name: DataParallel, torch.compile, Lightning, and the module of a larger model.
PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "encoder.",
    "network.",
    "teacher.",
    "student.",
    "state_dict.",
)
SHOWN = 8
SHOWN_TENSORS = 4  # names of damaged tensors that a message lists


class CheckpointNote(UserWarning):
    """What was chosen or cut off when weights were loaded, for the reader of a record."""


@contextmanager
def collected_notes(notes: list[str]) -> Iterator[None]:
    """Add the `CheckpointNote` texts of what runs inside to a list; other warnings are passed on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointNote)
        yield
    for warning in caught:
        if issubclass(warning.category, CheckpointNote):
            notes.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


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

    Values keep the module's dtypes: a float16 file loaded into a float32 module becomes float32. Where every name of
    the file begins with one of `PREFIXES` (or several), and cutting that off makes all of them fit, it is cut off and a
    `CheckpointNote` is issued, as it is for a choice among several sets of weights in the file.

    Args:
        module: the network, on the CPU or the meta device; changed in place.
        path: see `bench.networks.checkpoint_files.read_checkpoint`.
        entry: the model's name, for the message.
        rename: the module's name of a key of the file; None drops the key on purpose (a decoder, a head).
        prefix: take only the keys of the file that start with it, and cut it off (before `rename`).
        plain_norm: name of a norm that its publisher leaves out of some files (a norm without weights, or one fitted
            newly for each task): if neither of its tensors is there, weight is 1 and bias 0, as before training.

    Raises:
        MissingWeights: as `read_checkpoint`; if any key is missing, extra, given twice, or of another shape; or if the
            values cannot be those of a trained network, see `check_values`.
    """
    checkpoint = read_checkpoint(path)
    wanted = module.state_dict()
    first = ""
    for cut in _common_prefixes(checkpoint.state):
        given = {key.removeprefix(cut): value for key, value in checkpoint.state.items()}
        state, faults = _matched(given, wanted, rename, prefix, plain_norm)
        if not faults:
            break
        first = first or faults
    else:
        raise MissingWeights(f"{path} does not hold the weights of {entry}: {first}. {AGAIN}")
    notes = [f"the prefix {cut!r} of every name cut off"] if cut else []
    for note in (*checkpoint.notes, *notes):
        warnings.warn(f"weights of {entry}: {note}", CheckpointNote, stacklevel=2)
    values = {key: state[key].to(value.dtype) for key, value in wanted.items()}
    check_values(values, path, entry)
    module.load_state_dict(values, assign=True)


def check_values(state: Mapping[str, Tensor], weights: Path, entry: str) -> None:
    """Raise `MissingWeights` if the values of a file cannot be those of a trained model.

    Refused are NaN and infinite values, with their count and the tensors that hold them, and a state in which every
    tensor is constant (all zeros, for instance).

    Args:
        state: name -> values, as the network takes them.
        weights: the file, for the message.
        entry: name of the model, for the message.
    """
    values = {name: value for name, value in state.items() if value.is_floating_point()}
    # A sum is one pass without a temporary tensor, and finite for all values a network can compute with.
    suspects = {name: value for name, value in values.items() if not bool(value.sum().isfinite())}
    damaged = {name: int((~value.isfinite()).sum()) for name, value in suspects.items()}
    damaged = {name: count for name, count in damaged.items() if count}
    if damaged:
        shown = [f"{count} of {values[name].numel()} in {name}" for name, count in [*damaged.items()][:SHOWN_TENSORS]]
        more = f", and {len(damaged) - SHOWN_TENSORS} more" if len(damaged) > SHOWN_TENSORS else ""
        raise MissingWeights(
            f"{weights} does not hold usable weights of {entry}: {sum(damaged.values())} values are NaN or infinite "
            f"({', '.join(shown)}{more}). Fetch the file again, or save it from a run that did not diverge."
        )
    matrices = {name: value for name, value in values.items() if value.ndim > 1 and value.numel() > 1}
    if matrices and all(bool(value.min() == value.max()) for value in matrices.values()):
        name, value = next(iter(matrices.items()))
        raise MissingWeights(
            f"{weights} does not hold trained weights of {entry}: every matrix in it is constant, e.g. {name} is "
            f"{float(value.flatten()[0]):g} throughout."
        )


def _common_prefixes(state: Mapping[str, Tensor]) -> list[str]:
    """Return what may be cut off every name: nothing, then one prefix after the other as long as all names share it."""
    cuts = [""]
    while True:
        shared = (name for name in PREFIXES if all(key.startswith(cuts[-1] + name) for key in state))
        if not (name := next(shared, "")):
            return cuts
        cuts.append(cuts[-1] + name)


def _matched(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    rename: Callable[[str], str | None] | None,
    prefix: str,
    plain_norm: str,
) -> tuple[dict[str, Tensor], str]:
    """Return the tensors under the module's names, and what does not fit in words, ``""`` where all does."""
    state, twice = _renamed(given, rename, prefix)
    if twice:
        return state, f"two of its keys become {twice!r}"
    affine = [key for key in (f"{plain_norm}.weight", f"{plain_norm}.bias") if plain_norm and key in wanted]
    if not any(key in state for key in affine):
        state |= {key: torch.full(wanted[key].shape, float(key.endswith("weight"))) for key in affine}
    # A counter of training batches, which files written before torch 0.4.1 lack; evaluation never reads it.
    state |= {key: torch.zeros_like(value, device="cpu") for key, value in wanted.items() if _uncounted(key, state)}
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
    return state, "; ".join(fault for fault in faults if fault)


def _renamed(
    state: Mapping[str, Tensor], rename: Callable[[str], str | None] | None, prefix: str
) -> tuple[dict[str, Tensor], str]:
    """Return the state under the module's names, and the name that two keys become, if any."""
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        if not key.startswith(prefix):
            continue
        short = key.removeprefix(prefix)
        name = short if rename is None else rename(short)
        if name is None:
            continue
        if name in result:
            return result, name
        result[name] = value
    return result, ""


def _uncounted(key: str, state: Mapping[str, Tensor]) -> bool:
    """Return whether a key is a batch norm's counter that a file lacks which holds the statistics."""
    path, _, leaf = key.rpartition("num_batches_tracked")
    return not leaf and key != leaf and key not in state and f"{path}running_mean" in state


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
