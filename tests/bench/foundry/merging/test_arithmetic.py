"""Merging by hand-computed arrays: average, TIES, DARE and coefficients."""

from __future__ import annotations

import pytest
import torch

from bench.core import BadSetting
from bench.foundry.merging.arithmetic import added, average, combined, dare, task_vectors, ties, trimmed


def state(*values, dtype=torch.float32):
    return {"a": torch.tensor(values[:2], dtype=dtype), "b": torch.tensor([values[2:]], dtype=dtype)}


def values(some):
    return [*some["a"].tolist(), *some["b"].flatten().tolist()]


def test_average_is_weighted_and_exact_for_equal_members():
    assert values(average([state(0, 2, 4), state(4, 2, 0)])) == [2, 2, 2]
    assert values(average([state(0, 2, 4), state(4, 2, 0)], (3, 1))) == [1, 2, 3]
    odd = {"w": torch.randn(1000, generator=torch.Generator().manual_seed(0))}
    assert torch.equal(average([odd, odd, odd], (0.3, 0.1, 0.7))["w"], odd["w"])
    assert average([{"w": odd["w"].half()}] * 3)["w"].dtype == torch.float16


@pytest.mark.parametrize(
    ("shares", "text"),
    [((1.0,), "1 values for 2 members"), ((0.0, 0.0), "do not sum to 0"), ((1.0, -2.0), "0 or more")],
)
def test_shares_that_are_none_are_refused(shares, text):
    with pytest.raises(BadSetting, match=text):
        average([state(1, 2, 3)] * 2, shares)


def test_trimming_keeps_the_largest_of_the_whole_vector():
    assert values(trimmed(state(1, -4, 3, 2), 0.5)) == [0, -4, 3, 0]
    assert values(trimmed(state(1, -4, 3, 2), 1.0)) == [1, -4, 3, 2]
    assert values(trimmed(state(1, -4, 3, 2), 0.01)) == [0, -4, 0, 0]


def test_ties_trims_elects_signs_and_averages_those_that_agree():
    """By hand: two thirds kept of six values each.

    ========  =====  =====  =====  =====  =====  =====
    member 1  +4     -3     (0.1)  +2     (0.2)  -1
    member 2  +2     +5     +3     (0.5)  (0.1)  -3
    sign      +      +      +      +      none   -
    mean      3      5      3      2      0      -2
    ========  =====  =====  =====  =====  =====  =====
    """
    first, second = state(4, -3, 0.1, 2, 0.2, -1), state(2, 5, 3, 0.5, 0.1, -3)
    assert values(ties([first, second], 4 / 6)) == pytest.approx([3, 5, 3, 2, 0, -2])


def test_ties_of_equal_vectors_is_the_trimmed_vector():
    vector = state(1.5, -4, 3, 2)
    assert values(ties([vector] * 3, 0.5)) == values(trimmed(vector, 0.5))


def test_dare_drops_rescales_and_keeps_the_expectation():
    vector = {"w": torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)}
    draws = torch.stack([dare([vector], 0.75, seed)["w"] for seed in range(4000)])
    sizes = {round(float(value), 6) for value in draws[:, 0]}
    assert sizes == {0.0, 4.0}  # 1 / (1 - 0.75)
    assert float((draws == 0).double().mean()) == pytest.approx(0.75, abs=0.01)
    assert draws.mean(0).tolist() == pytest.approx([1, -2, 3], abs=0.25)  # standard error .03 to .08
    assert torch.equal(dare([vector, vector], 0.0, 1)["w"], vector["w"])


def test_the_seed_governs_dare():
    vector = {"w": torch.arange(1.0, 101, dtype=torch.float64), "v": torch.ones(100, dtype=torch.float64)}
    assert torch.equal(dare([vector], 0.5, 3)["w"], dare([vector], 0.5, 3)["w"])
    assert not torch.equal(dare([vector], 0.5, 3)["w"], dare([vector], 0.5, 4)["w"])
    first = dare([vector], 0.5, 3)  # two tensors are not dropped alike
    assert not torch.equal(first["w"] == 0, first["v"] == 0)


def test_one_task_vector_with_coefficient_one_is_the_member():
    generator = torch.Generator().manual_seed(0)
    base, member = (
        {"a": torch.randn(50, generator=generator), "b": torch.randn(3, 4, generator=generator)} for _ in "12"
    )
    vectors = task_vectors([member], base)
    back = added(base, combined(vectors, torch.ones(2, 1), {"a": 0, "b": 1}))
    assert all(torch.equal(back[name], member[name]) for name in member)


def test_coefficients_are_applied_by_group_and_member():
    base = state(0, 0, 0, 0)
    vectors = task_vectors([state(1, 2, 3, 4), state(10, 20, 30, 40)], base)
    merged = combined(vectors, torch.tensor([[1.0, 0.0], [2.0, 0.5]]), {"a": 0, "b": 1})
    assert values(merged) == [1, 2, 21, 28]
