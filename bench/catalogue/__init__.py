"""Lookup of models and suites by name, a user's own included; their weights and downloads."""
