"""A pass window by window equals the pass over all tokens where it should."""

from __future__ import annotations

import pytest
import torch

from bench.core import BadSetting
from bench.foundry.tokens.windows import windowed, windows


@pytest.mark.parametrize("length", [0, 1, 5, 63, 64, 65, 200])
@pytest.mark.parametrize(("core", "halo"), [(64, 8), (64, 0), (7, 20), (300, 10)])
def test_identity_and_a_local_operator_are_unchanged(length, core, halo):
    tokens = torch.randn(length, 3, generator=torch.Generator().manual_seed(0))

    def mean_of_neighbours(values, window=None):
        reach = min(halo, 5)
        return torch.stack([values[max(0, place - reach) : place + reach + 1].mean(0) for place in range(len(values))])

    assert torch.equal(windowed(lambda values, window: values, tokens, core=core, halo=halo), tokens)
    if length:
        result = windowed(mean_of_neighbours, tokens, core=core, halo=halo)
        assert torch.allclose(result, mean_of_neighbours(tokens), atol=1e-6)
    kept = [place for window in windows(length, core, halo) for place in range(window.start, window.end)]
    assert kept == list(range(length))


def test_without_a_halo_a_local_operator_is_changed():
    tokens = torch.arange(20.0)[:, None]

    def smooth(values, window):
        return torch.cat([values[:1], (values[1:] + values[:-1]) / 2])

    assert not torch.equal(windowed(smooth, tokens, core=5, halo=0), windowed(smooth, tokens, core=20, halo=0))
    assert torch.equal(windowed(smooth, tokens, core=5, halo=1), windowed(smooth, tokens, core=20, halo=0))
    with pytest.raises(BadSetting, match="at least one token"):
        list(windows(5, 0, 1))
