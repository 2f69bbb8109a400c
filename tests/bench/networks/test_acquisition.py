"""Dates are those of the calendar, and coordinates points on the unit sphere."""

from __future__ import annotations

import datetime

import pytest
import torch

from bench.networks.acquisition import day_of_year, days_since_1970, on_unit_sphere

EPOCH = datetime.date(1970, 1, 1)
DATES = [EPOCH + datetime.timedelta(days=days) for days in range(-40000, 50000, 173)]
TENSOR = torch.tensor([[date.year, date.month, date.day] for date in DATES], dtype=torch.int32)


def test_days_since_1970_are_those_of_the_calendar() -> None:
    assert days_since_1970(TENSOR).tolist() == [(date - EPOCH).days for date in DATES]
    assert bool(days_since_1970(torch.tensor([[2020, -1, 3], [-1, 2, 3], [2020, 2, -1]])).isnan().all())


def test_the_day_of_the_year_is_that_of_the_calendar() -> None:
    leap_days = torch.tensor([[2000, 2, 29], [2000, 3, 1], [1900, 3, 1], [2024, 12, 31]])
    assert day_of_year(leap_days).tolist() == [60, 61, 60, 366]
    assert day_of_year(TENSOR[None]).tolist() == [[date.timetuple().tm_yday for date in DATES]]


def test_coordinates_are_points_on_the_unit_sphere() -> None:
    places = torch.tensor([[0.0, 0.0], [90.0, 0.0], [30.0, 90.0], [torch.nan, torch.nan]])
    points = on_unit_sphere(places)
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    torch.testing.assert_close(points, expected, rtol=0, atol=1e-6)
    assert on_unit_sphere(torch.tensor([[11.0, 48.0]])).norm().item() == pytest.approx(1)
