"""Shortened lists: the first names, and how many more there are."""

from __future__ import annotations

from bench.core.text import shortened


def test_a_long_list_ends_in_the_number_of_names_left_out():
    assert shortened(["a", "b", "c"], 2) == "a, b and 1 more"
    assert shortened(["a", "b", "c"], 3) == "a, b, c"
    assert shortened([]) == ""
    assert shortened(range(9), 3, separator="; ") == "0; 1; 2 and 6 more"
