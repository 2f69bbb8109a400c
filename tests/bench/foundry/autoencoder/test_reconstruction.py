"""Reconstruction keeps to the rate: white weights near latent / token, structured ones beyond it."""

from __future__ import annotations

import pytest
import torch

from bench.config import validate
from bench.foundry.autoencoder.network import WeightAutoencoder
from bench.foundry.autoencoder.reconstruction import principal_components, reconstruct, reconstruction_rows
from bench.foundry.autoencoder.settings import SIZES
from bench.foundry.autoencoder.sources import TokenSource
from bench.foundry.autoencoder.training import train
from bench.foundry.learn import RECIPE

TINY = SIZES["tiny"]


def white(seed):
    noise = torch.Generator().manual_seed(seed)
    return {f"layer{place}.weight": torch.randn(64, 256, generator=noise) for place in range(4)}


def low_rank(seed):
    noise, basis = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)
    directions = torch.randn(8, 64, generator=basis)
    return {f"layer{p}.weight": (torch.randn(64 * 4, 8, generator=noise) @ directions).view(64, 256) for p in range(4)}


def sources(states):
    return [TokenSource(str(i), str(i), lambda state=state: state, TINY) for i, state in enumerate(states)]


def test_principal_components_of_white_weights_keep_the_rate():
    fitted, held = sources([white(0), white(1)]), sources([white(2)])
    network = WeightAutoencoder(TINY)
    rows = reconstruction_rows(network, {"held out": held}, fitted)
    assert rows[-1]["role"] == "all" and rows[-1]["r2_pca"] == pytest.approx(rows[-1]["bound"], abs=0.02)
    assert rows[-1]["values"] == 4 * 64 * 256
    assert rows[-1]["r2"] < 0.1  # not trained


def test_principal_components_of_structured_weights_keep_all():
    rows = reconstruction_rows(WeightAutoencoder(TINY), {"held out": sources([low_rank(2)])}, sources([low_rank(0)]))
    assert rows[-1]["r2_pca"] > 0.99
    mean, directions = principal_components(sources([low_rank(0)]), TINY)
    assert torch.allclose(directions @ directions.T, torch.eye(TINY.latent), atol=1e-4) and mean.shape == (TINY.token,)


def test_windows_cover_every_token_once():
    (model,) = sources([white(0)])
    assert reconstruct(WeightAutoencoder(TINY), model).shape == (model.layout.tokens, TINY.token)


@pytest.mark.slow
def test_the_network_learns_white_weights_up_to_the_rate_and_no_further(tmp_path):
    words = {"collection": str(tmp_path), "preset": "tiny", "steps": 150, "batch": 4, "learning_rate": 4e-3}
    settings = validate(RECIPE.settings, {**words, "gamma": 0, "noise": 0, "save_every": 1000})
    fitted = sources([white(seed) for seed in range(12)])
    network, _ = train(settings, fitted, out=tmp_path)
    rows = reconstruction_rows(network, {"held out": sources([white(100)])}, fitted)
    assert 0.9 * rows[-1]["bound"] < rows[-1]["r2"] < rows[-1]["bound"] + 0.01
