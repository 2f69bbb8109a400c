"""The suites of Copernicus-Bench (Wang et al., 2025), one file each."""
