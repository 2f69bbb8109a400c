"""Fingerprint of a loaded network, by which identical networks under different names are recognised."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from bench.core import Backbone

SIMPLE = (bool, int, float, str, type(None))


def network_fingerprint(backbone: Backbone) -> str:
    """Return 16 hex digits of a network's modules, their settings and all their values; ``""`` if it is no module.

    Networks with equal fingerprints compute the same function. Covered are the class of every module, its plain
    attributes (numbers, texts, and tuples and lists of them), its parameters and its buffers. A network that keeps its
    own name in an attribute differs from all others.
    """
    from torch import nn

    if not isinstance(backbone, nn.Module):
        return ""
    digest = hashlib.sha256()
    for path, module in backbone.named_modules():
        kind = type(module)
        digest.update(repr((path, kind.__module__, kind.__qualname__, _plain(vars(module)))).encode())
    for name, value in (*backbone.named_parameters(), *backbone.named_buffers()):
        array = value.detach().cpu().contiguous()
        digest.update(repr((name, str(array.dtype), tuple(array.shape))).encode())
        digest.update(array.flatten().view(_bytes()).numpy().tobytes() if array.numel() else b"")
    return digest.hexdigest()[:16]


def _bytes() -> torch.dtype:
    import torch

    return torch.uint8


def _plain(attributes: dict[str, object]) -> list[tuple[str, object]]:
    """Return the attributes with plain values, sorted by name, and the names of functions among them."""
    kept: list[tuple[str, object]] = []
    for name, value in sorted(attributes.items()):
        if name.startswith("_") or name == "training":
            continue
        if isinstance(value, SIMPLE):
            kept.append((name, value))
        elif isinstance(value, tuple | list) and all(isinstance(each, SIMPLE) for each in value):
            kept.append((name, tuple(value)))
        elif callable(value) and hasattr(value, "__qualname__"):
            kept.append((name, value.__qualname__))
    return kept
