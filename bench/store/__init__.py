"""Records, features and small results on disk: the one owner of ``results/`` and of the cache."""

from bench.store.collection import PASSING, collect, leftovers, listing, row_of, verify, verify_records
from bench.store.feature_writer import FeatureWriter
from bench.store.features import FeatureCache, Features, default_cache
from bench.store.files import discard, read_json, write_atomic
from bench.store.memos import Memos
from bench.store.records import Fault, Store, read_record

__all__ = [
    "PASSING",
    "Fault",
    "FeatureCache",
    "FeatureWriter",
    "Features",
    "Memos",
    "Store",
    "collect",
    "default_cache",
    "discard",
    "leftovers",
    "listing",
    "read_json",
    "read_record",
    "row_of",
    "verify",
    "verify_records",
    "write_atomic",
]
