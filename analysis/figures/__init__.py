"""Axes-level drawing."""
