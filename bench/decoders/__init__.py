"""Decoders and heads, from the taps of a backbone to the output of a task: one file each, found by name."""
