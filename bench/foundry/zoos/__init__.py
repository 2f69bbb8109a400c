"""Zoos: a shared trunk, and branches per condition and seed."""
