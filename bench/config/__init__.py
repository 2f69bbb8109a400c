"""Configurations: read from ``key=value`` words and YAML files, validated, replayable."""

from bench.config.run_config import DEVICE, RunConfig, run_config, run_configs
from bench.config.settings import S, Settings, as_tuple, fields_by_word, validate
from bench.config.study import Study
from bench.config.words import read_words

__all__ = [
    "DEVICE",
    "RunConfig",
    "S",
    "Settings",
    "Study",
    "as_tuple",
    "fields_by_word",
    "read_words",
    "run_config",
    "run_configs",
    "validate",
]
