"""A harness that measures how geospatial foundation models transfer."""

from bench.core.renamed import install

__version__ = "0.1.0"

install()
