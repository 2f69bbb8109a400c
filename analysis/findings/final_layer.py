"""How often the last layer is the wrong one to read: final-layer regret over all run groups of a suite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.depth_profiles import intervals_excluding_zero

SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class FinalLayer:
    """Final-layer regret over the run groups (task, model, protocol, label fraction) that have an interval.

    Attributes:
        groups: number of run groups.
        median_depth: median relative depth of the layer chosen on validation.
        excluding_zero: number of groups whose interval of the regret excludes 0.
        worse: number of groups in which the last layer is significantly worse (p < .05 after Holm's correction).
    """

    groups: int
    median_depth: float
    excluding_zero: int
    worse: int


def final_layer(layers: pd.DataFrame) -> FinalLayer | None:
    """Return the summary of a layer table; None if no run group has an interval.

    Args:
        layers: see `analysis.tables.build.Tables.layers`; random twins are excluded.
    """
    groups = layers[layers["chosen"] & layers["regret_p_holm"].notna() & (layers["origin"] != "random")]
    if groups.empty:
        return None
    excluding = intervals_excluding_zero(*groups[["regret_low", "regret_high"]].to_numpy(dtype=np.float64).T)
    return FinalLayer(
        groups=len(groups),
        median_depth=float(groups["depth"].median()),
        excluding_zero=excluding.above + excluding.below,
        worse=int(((groups["regret_p_holm"] < SIGNIFICANT) & (groups["final_layer_regret"] > 0)).sum()),
    )
