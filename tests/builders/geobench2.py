"""Suites of GEO-Bench-2 by their name there, and the values that their tiny copies hold."""

from __future__ import annotations

import numpy as np

from tests.builders.suites import fixture_module, suite_module

DECIMAL = [0.01 * i for i in range(1, 11)]
HUNDREDS = [100 * i for i in range(1, 14)]
# Suite -> sensor -> values of its bands, in the suite's order, at the centre of the first image of the first sample.
PLANTED = {
    "benv2": {"s1": [-18, -11], "s2": HUNDREDS[:12]},
    "biomassters": {"s1": [-10, -17, np.nan, np.nan], "s2": HUNDREDS[:10]},
    "burn_scars": {"hls": DECIMAL[:6]},
    "caffe": {"sar": [77]},
    "cloudsen12": {"s2": HUNDREDS[:12]},
    "dynamic_earthnet": {"planet": [100, 200, 300, 400]},
    "everwatch": {"rgb": [10, 20, 30]},
    "flair2": {"rgb": [10, 20, 30, 40], "dem": [7]},
    "forestnet": {"landsat": [10, 20, 30, 40, 50, 60]},
    "fotw": {"s2": [100, 200, 300, 400]},
    "kuro_siwo": {"s1": [0.1, 0.01], "dem": [50]},
    "nzcattle": {"rgb": [10, 20, 30]},
    "pastis": {"s2": HUNDREDS[:10]},
    "pastis_r": {"s2": HUNDREDS[:10]},
    "so2sat": {"s2": DECIMAL},
    "spacenet2": {"worldview": HUNDREDS[:8], "pan": [900]},
    "spacenet7": {"rgb": [10, 20, 30]},
    "substation": {"s2": HUNDREDS},
    "treesatai": {"rgb": [40, 20, 30, 10], "s1": [-9, -14], "s2": HUNDREDS[:12]},
}


def suite_of(name):
    return suite_module(f"gb2_{name}")


def write(name, root, **changed):
    return fixture_module(f"gb2_{name}").write(root, **changed)


def opened(name, root, split="train", bands=None):
    suite = suite_of(name).SUITE
    return suite.open(root, suite.tasks[0].name, split, bands or suite.bands)
