"""Which figures a suite gets."""
