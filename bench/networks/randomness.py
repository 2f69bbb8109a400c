"""The random numbers that libraries draw from global generators, given a seed for a while and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded_draws(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Give the global generators a seed inside a block and restore them after it.

    Initialisers, dropout and torchvision's samplers of boxes take no generator: they draw from torch's global one, of
    the CPU or of the device they run on; other libraries draw from NumPy's or Python's. Inside the block what they draw
    follows the seed alone, whatever was drawn before; outside, nothing has changed.

    Args:
        seed: of every generator, any integer of at least 0.
        device: the accelerator whose generator is seeded too.
    """
    device = torch.device(device)
    python, numpy = random.getstate(), np.random.get_state()
    cards = [torch.cuda.current_device() if device.index is None else device.index] if device.type == "cuda" else []
    on_apple = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=cards):
            # torch.manual_seed would move the generators of every accelerator, which the fork does not bring back.
            torch.default_generator.manual_seed(seed)
            for card in cards:
                torch.cuda.default_generators[card].manual_seed(seed)
            if on_apple is not None:
                torch.mps.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if on_apple is not None:
            torch.mps.set_rng_state(on_apple)
