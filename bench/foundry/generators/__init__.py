"""Generators of weights, one file each, named by ``generator=``: each learns the distribution of a lineage's codes."""
