"""Speed of pruned networks, and what the study's training costs over a bare loop; ratios from one run each.

Run with ``pytest tests/benchmarks/bench_compression.py -s``.
"""

from __future__ import annotations

import copy
import time

import numpy as np
import pytest
import torch
from torch import nn

from bench.catalogue import models as model_catalogue
from bench.compression.measure import latencies
from bench.finetuning.loop import Budget, train
from bench.foundry.pruning.budgets import Budget as Limit
from bench.foundry.pruning.budgets import example_images, multiply_adds, ratio_for
from bench.foundry.pruning.removal import remove
from bench.input.batches import Batch


@pytest.mark.parametrize("name", ["imagenet_resnet18", "imagenet_vit_tiny"])
def test_half_the_multiply_adds_are_faster_at_batch_32(name):
    entry = model_catalogue.entries()[name]
    whole = entry.load(entry, None, 0, entry.bands)
    images = example_images(entry, entry.bands)
    limit = Limit(quantity="flops", limit=0.5, relative=True)

    def left(ratio):
        return remove(copy.deepcopy(whole), "structured", ratio, images).network

    pruned = left(ratio_for(limit, lambda ratio: left(ratio), whole, images))
    batch = example_images(entry, entry.bands, 32)
    seconds = latencies({"whole": whole, "pruned": pruned}, batch, repeats=6)
    ratio = float(np.median(seconds["whole"]) / np.median(seconds["pruned"]))
    share = multiply_adds(pruned, images) / multiply_adds(whole, images)
    print(f"{name}: {share:.2f} of the multiply-adds, {ratio:.2f} x faster at batch 32")
    assert ratio > 1.5


def test_the_training_loop_costs_little_over_a_bare_one():
    steps, generator = 60, torch.Generator().manual_seed(0)
    values, classes = torch.randn(64, 256, generator=generator), torch.randint(0, 10, (64,), generator=generator)
    batch = Batch(given=None, taps=None, target=classes, size=(1, 1), rows=list(range(64)))

    def network():
        return nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 1024), nn.GELU(), nn.Linear(1024, 10))

    def bare():
        module = network()
        optimiser = torch.optim.AdamW(module.parameters())
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(module(values), classes).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()

    def ours():
        module = network()
        train(
            module,
            [{"params": list(module.parameters()), "lr": 1e-3}],
            Budget(steps=steps, evaluations=1, patience=0),
            batches=lambda step: [batch],
            loss=lambda module, part: nn.functional.cross_entropy(module(values), part.target),
            evaluate=lambda: 0.0,
            micro=64,
            seed=0,
        )

    times = {"bare": [], "ours": []}
    for _ in range(7):  # in turns, so that a busy machine slows both
        for name, run in (("bare", bare), ("ours", ours)):
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    overhead = min(times["ours"]) / min(times["bare"]) - 1
    print(f"training loop: {overhead:.1%} over a bare loop")
    assert overhead < 0.05
