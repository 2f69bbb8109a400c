"""Similarity of representations: measures, CKA maps, streams of rows, intervals and controls, dimensions.

>>> import numpy as np
>>> x = np.random.default_rng(0).normal(size=(50, 8))
>>> round(linear_cka(x, 3 * x + 1), 6)  # unchanged by scale and shift
1.0
"""

from analysis.similarity.arrays import match_rows, require_same_ids
from analysis.similarity.cka_maps import cheaper_form, cka_control, cka_jackknife, cka_map
from analysis.similarity.dimensions import participation_ratio, rankme, twonn
from analysis.similarity.hsic import UNRESOLVED, alignment, hsic, least_rows, warn_biased
from analysis.similarity.measures import (
    canonical_correlations,
    linear_cka,
    mutual_knn,
    procrustes,
    rbf_cka,
    rsa,
    squared_distances,
    svcca,
)
from analysis.similarity.resampling import (
    Control,
    Spread,
    jackknife,
    measure_interval,
    permutation_control,
    row_blocks,
)
from analysis.similarity.streaming import CkaStream, stream_jackknife

__all__ = [
    "UNRESOLVED",
    "CkaStream",
    "Control",
    "Spread",
    "alignment",
    "canonical_correlations",
    "cheaper_form",
    "cka_control",
    "cka_jackknife",
    "cka_map",
    "hsic",
    "jackknife",
    "least_rows",
    "linear_cka",
    "match_rows",
    "measure_interval",
    "mutual_knn",
    "participation_ratio",
    "permutation_control",
    "procrustes",
    "rankme",
    "rbf_cka",
    "require_same_ids",
    "row_blocks",
    "rsa",
    "squared_distances",
    "stream_jackknife",
    "svcca",
    "twonn",
    "warn_biased",
]
