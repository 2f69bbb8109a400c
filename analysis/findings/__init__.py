"""Answers computed from the tables."""
