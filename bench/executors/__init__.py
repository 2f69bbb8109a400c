"""Executors, one file each: they carry out the runs of a plan."""
