"""OlmoEarth against its publisher's package."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core import ModelEntry
from bench.core.errors import Incompatible
from bench.models import olmoearth
from tests.builders.networks import (
    assert_close,
    differ,
    normal,
    outputs_of,
    with_noise,
)

pytest.importorskip("olmoearth_pretrain_minimal")
ENTRIES = {entry.name: entry for entry in olmoearth.ENTRIES}
SERIES = torch.tensor([[[2020, 1, 15], [2020, 7, 3], [2021, 12, 30]], [[2018, 2, 1], [2018, 3, 1], [2019, 4, 1]]])


@pytest.mark.parametrize("sensors", [("s2",), ("s1",), ("s2", "s1")])
@pytest.mark.parametrize(("name", "version"), [("olmoearth_nano", "v1"), ("olmoearth_nano.v1_2", "v1.2")])
def test_features_are_the_publishers(tmp_path: Path, name: str, version: Any, sensors: tuple[str, ...]) -> None:
    from olmoearth_pretrain_minimal import OlmoEarthPretrain_v1
    from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.datatypes import MaskedOlmoEarthSample

    published: Any = OlmoEarthPretrain_v1("nano", version).model
    encoder = with_noise(published.encoder)
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    entry = ENTRIES[name]
    bands = tuple(band for band in entry.bands if band.sensor in sensors)
    backbone: Any = entry.load(entry, tmp_path / "weights.pth", 0, bands)
    images = {s: normal(2, 3, sum(b.sensor == s for b in bands), 16, 16, seed=len(s)) for s in sensors}
    fields = {}
    for sensor, values in images.items():
        modality = {"s2": "sentinel2_l2a", "s1": "sentinel1"}[sensor]
        groups = encoder.tokenization_config.get_num_bandsets(modality)
        fields[modality] = values.permute(0, 3, 4, 1, 2)
        fields[f"{modality}_mask"] = torch.zeros(2, 16, 16, 3, groups)
    year, month, day = SERIES.unbind(-1)
    sample = MaskedOlmoEarthSample(timestamps=torch.stack([day, month - 1, year], -1), **fields)
    final, states = outputs_of(encoder.blocks, lambda: encoder(sample, patch_size=4)["tokens_and_masks"])
    taps = backbone(images, range(1, 6), when=SERIES)
    for tap, state in zip(taps[:-1], states, strict=True):
        assert_close(tap.vector, state.mean(1))
    assert_close(taps[-1].vector, final.pool_instance_wise("mean"))
    assert_close(taps[-1].grid.permute(0, 2, 3, 1), final.pool_spatially("mean"))


def test_normalisation_is_the_publishers() -> None:
    from olmoearth_pretrain_minimal import Normalizer
    from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.constants import Modality

    entry = olmoearth.ENTRIES[0]
    published = [*Modality.SENTINEL2_L2A.band_order, *Modality.SENTINEL1.band_order]
    assert [band.name.partition(".")[2] for band in entry.bands] == [name.lower() for name in published]
    raw = 3000 * normal(5, 14).double()
    shift, scale = (torch.tensor(values).double() for values in (entry.normalise.shift, entry.normalise.scale))
    normalised, normalizer = (raw - shift) / scale, Normalizer()
    for modality, part in ((Modality.SENTINEL2_L2A, slice(0, 12)), (Modality.SENTINEL1, slice(12, 14))):
        expected = torch.tensor(normalizer.normalize(modality, raw[:, part].numpy()))
        torch.testing.assert_close(normalised[:, part], expected)


def test_unknown_dates_are_july_and_positions_are_in_metres() -> None:
    entry = ENTRIES["olmoearth_nano.v1_2"]
    images = {"s1": normal(1, 2, 2, 16, 16)}

    def last(gsd: float | None, when: Tensor | None, other: ModelEntry = entry) -> Tensor:
        bands = tuple(dataclasses.replace(band, gsd_m=gsd) for band in entry.bands if band.sensor == "s1")
        return other.load(other, None, 0, bands)(images, [5], when=when)[0].grid

    july = torch.tensor([[[2020, 7, 1]] * 2])
    assert_close(last(None, None), last(10.0, july))
    assert_close(last(None, torch.full((1, 2, 3), -1)), last(None, july))
    assert differ(last(None, july), last(None, july + 1))
    assert differ(last(10.0, july), last(20.0, july))
    assert last(10.0, july, dataclasses.replace(entry, patch=8)).shape == (1, 128, 2, 2)
    backbone = entry.load(entry, None, 0, tuple(band for band in entry.bands if band.sensor == "s1"))
    with pytest.raises(Incompatible, match="squares"):
        backbone({"s1": normal(1, 1, 2, 16, 12)}, [5])
    with pytest.raises(Incompatible, match="2 bands of s1"):
        backbone({"s1": normal(1, 1, 3, 16, 16)}, [5])
