"""Dates and coordinates of images as the numbers that networks are given.

Dates are int tensors (..., 3) of year, month 1..12 and day in the Gregorian calendar, -1 where unknown; coordinates are
longitude and latitude in degrees, NaN where unknown; see `bench.core.Backbone`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
MID_MONTH = 15  # the day assumed where only the month is known


def day_of_year(dates: Tensor) -> Tensor:
    """Return the day of the year (...) of dates (..., 3), 1 for 1 January; meaningless where a date is unknown."""
    year, month, day = dates.long().unbind(-1)
    before = torch.tensor(DAYS_BEFORE_MONTH, device=dates.device)[month.clamp(1, 12) - 1]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)) & (month > 2)
    return before + leap + day


def days_since_1970(dates: Tensor) -> Tensor:
    """Return the days (...) since 1 January 1970 of dates (..., 3) as float32, NaN where a date is not fully known."""
    year, month, day = dates.long().unbind(-1)
    # Here a year starts in March, so that the leap day is its last.
    year = year - (month <= 2).long()
    day_in_year = (153 * ((month + 9) % 12) + 2).div(5, rounding_mode="floor") + day - 1
    leaps = sum(sign * year.div(every, rounding_mode="floor") for every, sign in ((4, 1), (100, -1), (400, 1)))
    days = (365 * year + leaps + day_in_year - 719468).float()
    return torch.where((dates > 0).all(-1), days, torch.nan)


def on_unit_sphere(where: Tensor) -> Tensor:
    """Return coordinates (n, 2) as points (n, 3) on the unit sphere; an unknown coordinate counts as 0."""
    longitude, latitude = torch.nan_to_num(where).mul(math.pi / 180).unbind(1)
    return torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], dim=1)
