"""Protocols: one file each, named by `protocols=`: `VERSION`, `Settings`, `refuses(...)` and `run(...) -> Outcome`."""
