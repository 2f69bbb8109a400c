"""Files of weights of a collection: read one at a time from mapped memory, checked, never run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench.catalogue.download import file_hash
from bench.core.errors import MissingWeights

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}(\.\w+)$")
AT_ONCE = 1 << 22  # values that are looked at together
LONGEST_HEADER = 100 << 20  # bytes, the limit of the safetensors format


def weight_files(folder: Path) -> Iterator[tuple[Path, ...]]:
    """Yield the files of weights below a folder, sorted; the shards of one model are yielded together.

    Hidden files and folders are left out.
    """
    groups: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not path.is_dir() and not hidden:
            shard = SHARD.fullmatch(path.name)
            groups.setdefault(path.with_name(shard[1] + shard[2]) if shard else path, []).append(path)
    for paths in groups.values():
        yield tuple(paths)


def read_weights(paths: tuple[Path, ...]) -> dict[str, Tensor]:
    """Return the tensors of a model by name, mapped from its files where their format allows.

    Raises:
        MissingWeights: a file cannot be read as plain weights, see
            `bench.networks.checkpoint_files.read_checkpoint`; two shards hold one name.
    """
    from bench.networks.checkpoint_files import read_checkpoint

    state: dict[str, Tensor] = {}
    for path in paths:
        part = read_checkpoint(path).state
        if twice := sorted(state.keys() & part.keys()):
            raise MissingWeights(f"{path} holds {twice[0]!r}, which another shard holds too")
        state |= part
    return state


def require_sound(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise where a model has no floating-point values, or values that are not finite.

    Raises:
        MissingWeights: names the first such tensor and counts its values.
    """
    import torch

    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point() and tensor.numel()}
    if not floats:
        raise MissingWeights(f"{path} holds no floating-point values")
    for name, tensor in floats.items():
        flat = tensor.reshape(-1)
        wrong = sum(
            int((~torch.isfinite(flat[start : start + AT_ONCE].float())).sum())
            for start in range(0, len(flat), AT_ONCE)
        )
        if wrong:
            raise MissingWeights(f"{path} holds {wrong:,} of {len(flat):,} values that are not finite in {name!r}")


def hash_of(paths: tuple[Path, ...]) -> str:
    """Return the SHA-256 of a file, or of the SHA-256 of several in order."""
    digests = [file_hash(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def facts_of(path: Path) -> dict[str, object]:
    """Return what a file's header, a JSON file of its name and a ``config.json`` next to it state about a model.

    Later sources add to earlier ones and replace nothing. Unreadable ones state nothing.
    """
    facts: dict[str, object] = {}
    sources = [_header(path), _json(path.with_suffix(".json")), _json(path.with_name("config.json"))]
    for source in sources:
        if (named := source.get("architectures")) and isinstance(named, list):
            source = {"architecture": str(named[0]), **source}
        facts = {**{str(key): value for key, value in source.items()}, **facts}
    return facts


def _header(path: Path) -> dict[str, object]:
    """Return the metadata in the header of a safetensors file, empty where there is none."""
    with suppress(OSError, ValueError, RecursionError), path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if path.suffix == ".safetensors" and length < LONGEST_HEADER:
            facts = json.loads(stream.read(length)).get("__metadata__", {})
            return facts if isinstance(facts, dict) else {}
    return {}


def _json(path: Path) -> dict[str, object]:
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}
