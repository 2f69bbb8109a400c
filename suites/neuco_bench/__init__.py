"""The suites of NeuCo-Bench, one file each."""
