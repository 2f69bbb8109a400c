"""Benchmarks: one file each, named by ``suite=``. ``SUITE = Suite(...)`` holds its facts and how to open a split."""

from bench.core.renamed import install

install()
