"""Normalisers: frozen ranges, published aggregates reproduced."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from analysis.statistics.normalisers import digest_of, normaliser, normalisers, read_normaliser
from analysis.statistics.pooling import Axes, pool
from bench.core.errors import BadSetting, Incompatible, UnknownName

GEOBENCH2 = (
    *("kuro_siwo", "pastis", "burn_scars", "cloudsen12", "flair2", "spacenet7", "benv2", "treesatai", "biomassters"),
    *("fotw", "substation", "everwatch"),
)
LEADERS = {
    "convnext_xlarge_fb_in22k": 0.779,
    "clay_v1_base": 0.778,
    "dinov3_convnext_large": 0.709,
    "convnext_large_fb_in22k": 0.699,
    "prithvi_eo_v2_600_tl": 0.689,
    "satlas_swin_b_sentinel2_si_ms": 0.656,
    "terramind_v1_large": 0.616,
    "dofa_large_patch16_224": 0.605,
}


def test_normalisers_are_frozen(tmp_path):
    for name, path in normalisers().items():
        scale = normaliser(name)
        assert f"{scale.name}_v{scale.version}" == name == path.stem and scale.source and scale.about
    stored = json.loads(normalisers()["geobench2_v1"].read_text())
    stored["ranges"]["pastis"]["best"] = 0.5
    path = tmp_path / "geobench2_v1.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(BadSetting, match="add a new version"):
        read_normaliser(path)
    flat = {"a": {"worst": 1.0, "best": 1.0}}
    path.write_text(json.dumps(stored | {"ranges": flat, "sha256": digest_of({"a": (1.0, 1.0)})}))
    with pytest.raises(BadSetting, match="equal for a"):
        read_normaliser(path)
    with pytest.raises(UnknownName, match="geobench2_v1"):
        normaliser("geobench2")


@pytest.mark.shared
def test_the_published_aggregates_of_geobench_2_come_out(shared):
    stored = json.loads((shared / "anchors" / "geobench2_normalizer.json").read_text())
    assert {task: tuple(ends) for task, ends in stored.items()} == normaliser("geobench2_v1").ranges
    rows = pd.read_csv(shared / "anchors" / "geobench2_full_finetune.csv")
    rows = rows[rows["dataset"].isin(GEOBENCH2)]
    # Metric and decoder go with the dataset: a model that had another decoder on one would share no condition.
    axes = Axes(unit="backbone", over=("dataset", "metric", "decoder"), replicates=("seed",))
    with pytest.raises(Incompatible, match="dofa_base_patch16_224 lacks everwatch"):
        pool(rows, axes, normaliser=normaliser("geobench2_v1"), task="dataset")
    pooled = pool(rows, axes, normaliser=normaliser("geobench2_v1"), task="dataset", missing="models").table
    assert pooled["backbone"].tolist()[:8] == list(LEADERS)
    assert pooled["iqm"].round(3).tolist()[:8] == list(LEADERS.values())
    assert (pooled["rows"].dropna() == 60).all() and (pooled["lacks"] != "").sum() == 4
