"""Decoders and heads: one file each, found by name with `bench.lookup`, from token grids to a task's output."""
