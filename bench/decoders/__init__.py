"""Decoders and heads: one file each, found by name with `bench.core.lookup`, from token grids to a task's output."""
