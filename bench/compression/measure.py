"""What a network costs, measured: size, multiply-adds, latency next to a reference, and peak memory of a pass."""

from __future__ import annotations

import time
import weakref
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.foundry.pruning.budgets import multiply_adds, parameters
from bench.networks.tapped import TappedNetwork

BATCHES = (1, 32)
REPEATS = 20
SECONDS = 0.5  # after which a timing ends, once it has `LEAST` repeats
LEAST = 5


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operations allocate and that are still in use.

    Attributes:
        now: bytes in use.
        peak: most bytes in use at a time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it allocates."""
        given = {_address(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and _address(value) not in given:
                self._add(value.untyped_storage())
        return result

    def _add(self, storage: Any) -> None:
        key = storage.data_ptr()
        if key in self._seen or not storage.nbytes():
            return
        self._seen[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self._seen.pop(key, 0)


def _address(value: Tensor) -> int:
    return int(value.untyped_storage().data_ptr())


def peak_bytes(network: TappedNetwork, images: Mapping[str, Tensor]) -> int:
    """Return the bytes of a network's parameters and buffers plus the most that a forward pass holds at a time."""
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    with torch.no_grad(), LiveBytes() as live:
        network(images, [len(network.layers) - 1])
    return int(weights + live.peak)


def file_bytes(network: TappedNetwork) -> tuple[int, int]:
    """Return the size of a network's safetensors file, and that of the same file compressed by zlib."""
    content = save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()})
    return len(content), len(zlib.compress(content, 1))


def latencies(
    networks: Mapping[str, TappedNetwork],
    images: Mapping[str, Tensor],
    *,
    repeats: int = REPEATS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Return name -> seconds of each of several forward passes; the networks take turns, so that noise hits all alike.

    Args:
        networks: name -> network, on the device of the images.
        images: prepared input.
        repeats: passes of each network at most, after one that warms up.
        clock: that is read.
    """
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    device = next(iter(images.values())).device
    begun = clock()
    with torch.inference_mode():
        for number in range(repeats + 1):
            for name, network in networks.items():
                start = clock()
                network(images, [len(network.layers) - 1])
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                if number:
                    seconds[name].append(clock() - start)
            if number >= LEAST and clock() - begun > SECONDS * len(networks):
                break
    return {name: np.array(values) for name, values in seconds.items()}


def measured(
    network: TappedNetwork, reference: TappedNetwork | None, images: Mapping[str, Tensor], *, device: str
) -> dict[str, float]:
    """Return the costs of a network, by the names under which a record keeps them.

    ``network_parameters`` and ``weights_left`` (those that are not zero); ``network_flops``, multiply-adds of one image
    (or window, or date, as `images` hold); ``latency_<batch>_p50`` and ``_p95`` in seconds at batch 1 and 32, and
    ``reference_latency_<batch>_p50`` of the reference, timed in turns with it; ``network_peak_bytes`` of a pass of one
    image; ``file_bytes`` and ``file_bytes_compressed``.

    Args:
        network: in evaluation mode.
        reference: the teacher, or None.
        images: prepared input of one image.
        device: torch device of the timings.
    """
    size, compressed = file_bytes(network)
    costs = {
        "network_parameters": float(parameters(network)),
        "weights_left": float(sum(int((value != 0).sum()) for value in network.parameters())),
        "network_flops": multiply_adds(network.cpu(), images),
        "network_peak_bytes": float(peak_bytes(network.cpu(), images)),
        "file_bytes": float(size),
        "file_bytes_compressed": float(compressed),
    }
    turns = {"": network.to(device)} | ({"reference_": reference.to(device)} if reference is not None else {})
    for batch in BATCHES:
        repeated = {sensor: values.repeat(batch, 1, 1, 1, 1).to(device) for sensor, values in images.items()}
        for name, seconds in latencies(turns, repeated).items():
            costs[f"{name}latency_{batch}_p50"] = float(np.median(seconds))
            costs[f"{name}latency_{batch}_p95"] = float(np.percentile(seconds, 95))
    return costs
