"""Folds over dates equal a plain loop, leave padded dates out, and care for order only where dates say so."""

from __future__ import annotations

import math
from datetime import date

import pytest
import torch

from bench.core.errors import BadSetting, Incompatible, UnknownName
from bench.finetuning.dates import FOLDS, LTAE, PERIOD, build, day_of_year, sinusoids

SHAPE = (2, 5, 12, 3, 2)


def features(seed=0):
    return torch.randn(*SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dates():
    months = torch.tensor([[1, 3, 6, 9, 12], [2, 4, 5, 7, 11]])
    return torch.stack([torch.full((2, 5), 2020), months, months * 2], -1)


def pooling(name):
    torch.manual_seed(1)
    module = LTAE(SHAPE[2], width=16, heads=4, key=3) if name == "ltae" else build(name, SHAPE[2])
    return module.double().eval()


def naive(module, values, when, present):
    """L-TAE of one pixel and one head at a time, as the paper's equations have it."""
    batch, count, channels, height, width = values.shape
    pooled = torch.zeros(batch, channels, height, width, dtype=values.dtype)
    for b in range(batch):
        there = [t for t in range(count) if present[b, t]]
        for y in range(height):
            for x in range(width):
                rows = []
                for t in there:
                    row = module.enter(values[b, t, :, y, x])
                    share = len(row) // module.heads
                    day = date(*when[b, t].tolist()).timetuple().tm_yday if when is not None else t
                    code = []
                    for i in range(share):
                        angle = day / PERIOD ** (2 * (i // 2) / share)
                        code.append(math.sin(angle) if i % 2 == 0 else math.cos(angle))
                    rows.append(row + torch.tensor(code * module.heads, dtype=values.dtype))
                gathered = []
                for head in range(module.heads):
                    part = slice(head * module.key, (head + 1) * module.key)
                    scores = [module.keys(row)[part] @ module.query[head] / math.sqrt(module.key) for row in rows]
                    weight = torch.stack(scores).softmax(0)
                    own = slice(head * share, (head + 1) * share)
                    gathered.append(sum(w * row[own] for w, row in zip(weight, rows, strict=True)))
                pooled[b, :, y, x] = module.leave(torch.cat(gathered))
    return pooled


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_ltae_equals_a_plain_loop(dated, padded):
    module, values = pooling("ltae"), features()
    when = dates() if dated else None
    present = torch.tensor([[True] * 5, [True, False, True, True, False]]) if padded else None
    with torch.no_grad():
        pooled = module(values, when, present)
        wanted = naive(module, values, when, torch.ones(2, 5, dtype=torch.bool) if present is None else present)
    torch.testing.assert_close(pooled, wanted, rtol=1e-5, atol=1e-6)
    assert pooled.std() > 0.1


@pytest.mark.parametrize("name", FOLDS)
def test_order_matters_only_through_dates(name):
    module, values, when = pooling(name), features(), dates()
    order = torch.tensor([3, 0, 4, 1, 2])
    first = module(values, when)
    torch.testing.assert_close(module(values[:, order], when[:, order]), first)
    alike = torch.allclose(module(values[:, order]), module(values))
    assert alike == (name != "ltae")
    assert torch.allclose(module(values, when[:, order]), first) == (name != "ltae")


@pytest.mark.parametrize("name", FOLDS)
def test_padded_dates_count_for_nothing(name):
    module, values, when = pooling(name), features(), dates()
    present = torch.tensor([[True, True, True, False, False]] * 2)
    wanted = module(values[:, :3], when[:, :3])
    for filler in (0.0, 1e6, math.nan):
        values[:, 3:] = filler
        tried = values.clone().requires_grad_()
        pooled = module(tried, when, present)
        torch.testing.assert_close(pooled, wanted)
        pooled.sum().backward()
        assert tried.grad.isfinite().all() and not tried.grad[:, 3:].any() and tried.grad[:, :3].any()


def test_mean_and_max():
    values = features()
    torch.testing.assert_close(pooling("mean")(values), values.mean(1))
    torch.testing.assert_close(pooling("max")(values), values.amax(1))


def test_one_date_is_itself():
    values = features()[:, :1]
    assert torch.equal(pooling("mean")(values), values[:, 0]) and torch.equal(pooling("max")(values), values[:, 0])
    assert pooling("ltae")(values).shape == values[:, 0].shape


def test_day_of_year():
    days = [(2020, 2, 29), (2020, 12, 31), (2021, 12, 31), (1900, 3, 1), (2000, 3, 1), (2021, 1, 1)]
    wanted = [date(*day).timetuple().tm_yday for day in days]
    assert day_of_year(torch.tensor([days]))[0].tolist() == wanted
    assert day_of_year(torch.tensor([[[2021, 6, -1]]])).item() == date(2021, 6, 15).timetuple().tm_yday
    unknown = day_of_year(torch.tensor([[[-1, -1, -1], [-1, 6, 3], [2021, -1, 3]]]))
    assert unknown.isnan().all() and not sinusoids(unknown, 6).any()


def test_ltae_learns_a_date_and_leaves_nothing_dead():
    """Which date to look at is told by the day alone: the mean cannot know, the attention can."""
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(64, 6, 4, 1, 1, generator=generator)
    month = torch.stack([torch.randperm(6, generator=generator) for _ in range(64)]) * 2 + 1
    when = torch.stack([torch.full_like(month, 2021), month, torch.full_like(month, 15)], -1)
    wanted = values[torch.arange(64), (month == 7).float().argmax(1), :, 0, 0]
    torch.manual_seed(0)
    module, read = LTAE(4, width=32, heads=4), torch.nn.Linear(4, 4)
    optimiser = torch.optim.Adam([*module.parameters(), *read.parameters()], 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        error = (read(module(values, when).flatten(1)) - wanted).square().mean()
        error.backward()
        optimiser.step()
    assert all(part.grad.abs().max() > 0 for part in module.parameters())
    assert error < 0.5 * wanted.var()


def test_what_does_not_fit_is_said():
    module = pooling("ltae")
    with pytest.raises(UnknownName, match="ltae"):
        build("ltea", 4)
    with pytest.raises(BadSetting, match="heads"):
        LTAE(4, width=30, heads=4)
    with pytest.raises(Incompatible, match="when"):
        module(features(), dates()[:, :3])
    with pytest.raises(Incompatible, match="present"):
        module(features(), None, torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(Incompatible, match="no date"):
        module(features(), None, torch.zeros(2, 5, dtype=torch.bool))
