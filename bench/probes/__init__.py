"""The mathematics of frozen probes."""
