"""Reading of weight files: formats are recognised by their first bytes, and no code in a file is ever run."""

from __future__ import annotations

import argparse
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bench.core.contents import REFUSALS, head_of, kind_of
from bench.core.errors import MissingWeights

# Keys under which training programs store the weights next to optimiser, epoch and settings, in order of preference:
# of a teacher and a student, the published encoder is the teacher.
WRAPPERS = ("state_dict", "model_state_dict", "model", "teacher", "module")
# Keys of exponential moving averages of the weights. They are taken where a file holds nothing else.
AVERAGES = ("model_ema", "state_dict_ema", "ema_state_dict", "ema_model", "ema", "params_ema")
# Classes in which publishers left the settings of a training run beside the weights: names and values, nothing that
# runs. That of yacs, another library's dictionary, is read into a plain one.
SETTINGS: tuple[Any, ...] = (
    argparse.Namespace,
    PosixPath,
    type("CfgNode", (), {"__module__": "yacs.config", "__new__": lambda cls: OrderedDict()}),
)
AGAIN = "Delete it and fetch it again, or put the publisher's file there."
OWN = "A file of your own: save module.state_dict() alone, or safetensors."
MOST_ENTRIES = 200_000  # of a checkpoint; the largest networks have some ten thousand
DEEPEST = 16  # dictionaries within dictionaries
_PLAIN = re.compile(
    r"torch\.(_utils\._rebuild\w*|_tensor\._rebuild\w*|\w*Storage|storage\.\w+|Size|device|dtype|Tensor|nn\.parameter\."
    r"(Parameter|Buffer)|b?float\w*|u?int\d+|bool|complex\d+|q\w+)|collections\.(OrderedDict|defaultdict|Counter)|"
    r"argparse\.Namespace|pathlib\.(\w+\.)?PosixPath|yacs\.config\.CfgNode|builtins\.\w+|__builtin__\.\w+|copyreg\._reconstructor"
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The tensors of a file of weights.

    Attributes:
        state: tensors by name, on the CPU, in the file's own dtypes.
        notes: choices that were made among what the file holds.
    """

    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name; see `read_checkpoint`."""
    return read_checkpoint(path).state


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the tensors of a checkpoint by name, on the CPU, in the file's own dtypes.

    Reads safetensors and what ``torch.save`` writes (memory-mapped where the format allows), whatever the suffix. A
    dictionary under one of `WRAPPERS`, else of `AVERAGES`, is unwrapped; dictionaries of dictionaries of tensors are
    flattened, their names joined by dots. No code in the file is ever run.

    Args:
        path: the file.

    Raises:
        MissingWeights: if it is absent, empty, truncated, of another kind (a Git LFS pointer, a web page, an archive),
            a pickle of other things than weights, or holds anything but tensors.
    """
    if not path.is_file():
        raise MissingWeights(f"no weights at {path}. Put the file there, or let it be downloaded.")
    try:
        kind = kind_of(head_of(path))
    except OSError as error:
        raise MissingWeights(f"{path} cannot be read ({error.strerror}).") from error
    if kind in REFUSALS:
        raise MissingWeights(f"{path} {REFUSALS[kind]}. {AGAIN}")
    if kind == "safetensors" or (not kind and path.suffix == ".safetensors"):
        try:
            state = dict(load_file(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise MissingWeights(f"{path} is damaged or no safetensors file ({error}). {AGAIN}") from error
        if not state:
            raise MissingWeights(f"{path} holds no tensors. {AGAIN}")
        return Checkpoint(state=state)
    if not kind:
        raise MissingWeights(f"{path} is no checkpoint: neither safetensors nor what torch.save writes. {AGAIN}")
    if kind == "zip":
        _require_torch_zip(path)
    inner, notes = _unwrapped(_unpickled(path, mapped=kind == "zip"))
    return Checkpoint(state=_flat(inner, path), notes=notes)


def _require_torch_zip(path: Path) -> None:
    """Raise `MissingWeights` for zip archives that are no checkpoints, or unpack to far more than they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise MissingWeights(f"{path} is truncated or damaged ({error}). {AGAIN}") from error
    names = [entry.filename for entry in entries]
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise MissingWeights(f"{path} is a TorchScript program, which is never run. {OWN}")
    if not any(name.endswith("data.pkl") for name in names):
        what = "a NumPy archive" if any(name.endswith(".npy") for name in names) else "a zip archive of other files"
        raise MissingWeights(f"{path} is {what}, not what torch.save writes. {AGAIN}")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > 2 * path.stat().st_size + (1 << 20):  # torch.save does not compress
        raise MissingWeights(f"{path} unpacks to {unpacked:,} bytes, far more than it has. {AGAIN}")


def _unpickled(path: Path, *, mapped: bool) -> object:
    """Return the object in a ``torch.save`` file, refusing every pickled class but tensors and `SETTINGS`."""
    try:
        with torch.serialization.safe_globals(list(SETTINGS)):
            # Only the zip format (torch 1.6 and later) can be mapped into memory, and only by its path; of a path, new
            # versions of torch trust the suffix.
            if mapped and path.suffix != ".safetensors":
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            with path.open("rb") as stream:
                return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The message of torch would recommend to run the code in the file.
        names = [name for name in _pickled_classes(path) if not _PLAIN.fullmatch(name)]
        what = f"a pickle of {', '.join(names[:3])}, which is never run" if names else "damaged, or no checkpoint"
        raise MissingWeights(f"{path} is not plain weights: it is {what}. {OWN if names else AGAIN}") from error
    except Exception as error:  # a damaged pickle leads the unpickler into errors of any kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingWeights(f"{path} is truncated, damaged or no checkpoint ({reason}). {AGAIN}") from error


def _pickled_classes(path: Path) -> list[str]:
    """Return the classes and functions that the pickles of a file name, in order, as far as they can be read."""
    names: dict[str, None] = {}
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    if entry.endswith("data.pkl"):
                        with archive.open(entry) as stream:
                            names |= dict.fromkeys(_globals(stream))
        else:
            with path.open("rb") as stream:
                for _ in range(5):  # the older format is a number, a version, facts of the system, and then the object
                    names |= dict.fromkeys(_globals(stream))
    except Exception:  # damaged: what was read so far is what can be named
        return list(names)
    return list(names)


def _globals(stream: IO[bytes]) -> Iterator[str]:
    """Yield the names that one pickle imports."""
    texts: list[str] = []
    for code, argument, _ in pickletools.genops(stream):
        if code.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif code.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif isinstance(argument, str):
            texts.append(argument)


def _unwrapped(content: object) -> tuple[object, tuple[str, ...]]:
    """Return the innermost dictionary under the names of `WRAPPERS` or `AVERAGES`, and notes on what was chosen."""
    notes: list[str] = []
    seen: set[int] = set()
    while isinstance(content, Mapping) and id(content) not in seen:
        seen.add(id(content))
        plain = [name for name in WRAPPERS if isinstance(content.get(name), Mapping)]
        averages = [name for name in AVERAGES if isinstance(content.get(name), Mapping)]
        if not plain and not averages:
            return content, tuple(notes)
        taken = (plain or averages)[0]
        if averages and plain:
            notes.append(f"of the weights under {taken!r} and their moving averages under {averages[0]!r}, the former")
        elif averages:
            notes.append(f"moving averages of the weights, under {taken!r}: the file holds no others")
        if taken == "teacher" and isinstance(content.get("student"), Mapping):
            notes.append("of teacher and student, the teacher")
        content = content[taken]
    return content, tuple(notes)


def _flat(content: object, path: Path) -> dict[str, Tensor]:
    """Return nested dictionaries of tensors as one, names joined by dots.

    Raises:
        MissingWeights: it holds other things, is nested without end, or has more entries than a network.
    """
    state: dict[str, Tensor] = {}
    entries = 0
    left: list[tuple[str, object, int]] = [("", content, 0)]
    while left:
        name, value, depth = left.pop()
        entries += 1
        if entries > MOST_ENTRIES or depth > DEEPEST:
            raise MissingWeights(f"{path} is not plain weights: its dictionaries are nested without end. {OWN}")
        if isinstance(value, Tensor):
            state[name] = value.detach()
        elif isinstance(value, Mapping):
            inner = [(f"{name}.{key}" if name else str(key), part, depth + 1) for key, part in value.items()]
            left += reversed(inner)
        else:
            where = f"under {name!r}" if name else "at its top"
            raise MissingWeights(f"{path} is not plain weights: it holds a {type(value).__name__} {where}. {AGAIN}")
    if not state or "" in state:
        raise MissingWeights(f"{path} is not plain weights: it holds no tensors by name. {AGAIN}")
    return state
