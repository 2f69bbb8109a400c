"""Benchmark suites, one file each, named by ``suite=``: ``SUITE = Suite(...)`` holds facts and how to open a split."""

from bench.core.renamed import install

install()
