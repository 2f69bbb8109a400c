"""The suites of GEO-Bench (Lacoste et al., 2023), one file each."""
