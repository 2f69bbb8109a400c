"""Measures of how alike two representations are, and their resampling."""

from analysis.similarity.measures import (
    UNRESOLVED,
    alignment,
    canonical_correlations,
    hsic,
    least_rows,
    linear_cka,
    mutual_knn,
    procrustes,
    rbf_cka,
    rsa,
    squared_distances,
    svcca,
    warn_biased,
)

__all__ = [
    "UNRESOLVED",
    "alignment",
    "canonical_correlations",
    "hsic",
    "least_rows",
    "linear_cka",
    "mutual_knn",
    "procrustes",
    "rbf_cka",
    "rsa",
    "squared_distances",
    "svcca",
    "warn_biased",
]
