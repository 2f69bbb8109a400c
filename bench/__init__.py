"""A harness that measures how geospatial foundation models transfer."""

__version__ = "0.1.0"
