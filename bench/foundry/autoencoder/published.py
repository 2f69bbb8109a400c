"""Import of a published state: its names mapped onto ours, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from bench.core.errors import MissingWeights
from bench.networks.checkpoint_files import read_checkpoint

NAMES = (
    (r"tokenizer\.", "embed."),
    (r"transformer_encoder\.transformer\.", "encoder."),
    (r"transformer_decoder\.transformer\.", "decoder."),
    (r"encoder_comp\.", "compress."),
    (r"decoder_comp\.", "expand."),
    (r"detokenizer\.", "restore."),
    (r"projection_head\.head\.", "projection."),
)
INNER = {
    "ln_1": "norm1",
    "attn.c_attn": "qkv",
    "attn.c_proj": "proj",
    "ln_2": "norm2",
    "mlp.c_fc": "fc1",
    "mlp.c_proj": "fc2",
}
WRAPPED = re.compile(r"^(?:module\.|_orig_mod\.|model\.)+")


def renamed(key: str) -> str:
    """Return our name of a published key; one that is not known stays as it is."""
    key = WRAPPED.sub("", key)
    for pattern, name in NAMES:
        if re.match(pattern, key):
            key = re.sub(f"^{pattern}", name, key)
            break
    for old, new in INNER.items():
        key = re.sub(rf"^((?:en|de)coder\.\d+\.){re.escape(old)}\.", rf"\g<1>{new}.", key)
    return key


def load_published(network: nn.Module, path: Path) -> None:
    """Fill an autoencoder of the published kind from a file, or raise and change nothing.

    Args:
        network: a `bench.foundry.autoencoder.network.WeightAutoencoder`.
        path: safetensors or what ``torch.save`` writes.

    Raises:
        MissingWeights: the file cannot be read; or a tensor is missing, unknown, given twice or of another shape.
    """
    load_renamed(network, read_checkpoint(path).state, str(path))


def load_renamed(network: nn.Module, given: Mapping[str, Tensor], source: str) -> None:
    """Fill an autoencoder from tensors under published names; see `load_published`."""
    wanted = network.state_dict()
    state: dict[str, Tensor] = {}
    faults = []
    for key, tensor in given.items():
        name = renamed(key)
        if name not in wanted:
            faults.append(f"{key} is unknown")
        elif name in state:
            faults.append(f"{key} is given twice")
        elif tensor.shape != wanted[name].shape:
            faults.append(f"{key} is {tuple(tensor.shape)}, the network has {tuple(wanted[name].shape)}")
        else:
            state[name] = tensor
    faults += [f"{name} is missing" for name in wanted if name not in state]
    if faults:
        raise MissingWeights(
            f"{source} is no state of this autoencoder: {'; '.join(faults[:5])} ({len(faults)} faults)"
        )
    network.load_state_dict({name: state[name].to(value.dtype) for name, value in wanted.items()})
