"""Records and features on disk: the one owner of ``results/`` and of the cache. Every write is atomic."""

from bench.store.features import FeatureCache, Features, FeatureWriter, default_cache
from bench.store.files import read_json, write_atomic
from bench.store.records import Store, read_record

__all__ = [
    "FeatureCache",
    "FeatureWriter",
    "Features",
    "Store",
    "default_cache",
    "read_json",
    "read_record",
    "write_atomic",
]
