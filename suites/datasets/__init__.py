"""Suites of single datasets, one file each."""
