"""The suites of GEO-Bench-2, one file each."""
