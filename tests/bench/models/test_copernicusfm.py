"""Copernicus-FM against torchgeo, and what replaces unknown metadata."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgeo.models
from torch import nn
from torchgeo.models import CopernicusFM

from bench.models import copernicusfm
from tests.builders.networks import (
    assert_close,
    assert_same_taps,
    assert_taps_are,
    differ,
    normal,
    outputs_of,
    with_noise,
)

SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 4}
WHERE = torch.tensor([[11.0, 48.0], [-60.0, -3.0]])
WHEN = torch.tensor([[[2020, 5, 15]], [[1969, 12, 31]]])


@pytest.fixture
def copernicus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Any, Callable[..., Any]]:
    """Return a small network of torchgeo, and a function that loads its file as the entry does.

    The function takes the ground sampling distance of the bands, and their names.
    """
    tiny = partial(CopernicusFM, **SMALL)
    monkeypatch.setattr(torchgeo.models, "copernicusfm_base", tiny)
    published = with_noise(tiny(norm_layer=partial(nn.LayerNorm, eps=1e-6)))
    state = {key: value for key, value in published.state_dict().items() if not key.startswith(("fc_norm.", "head."))}
    torch.save(state, tmp_path / "copernicusfm.pth")
    entry = copernicusfm.ENTRIES[0]

    def load(gsd: float | None, *names: str) -> Any:
        bands = tuple(dataclasses.replace(band, gsd_m=gsd) for band in entry.bands if band.name in names)
        return entry.load(entry, tmp_path / "copernicusfm.pth", 0, bands)

    return published, load


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("side", [224, 96])
def test_features_are_torchgeos(copernicus: tuple[Any, Callable[..., Any]], known: bool, side: int) -> None:
    published, load = copernicus
    backbone = load(10.0 if known else None, "s2.b02", "s2.b8a", "s1.vv")
    images = {"s2": normal(2, 1, 2, side, side), "s1": normal(2, 1, 1, side, side, seed=1)}
    meta = torch.full((2, 4), torch.nan)
    if known:
        meta = torch.cat([WHERE, torch.tensor([[18397.0, 0.0256], [-1.0, 0.0256]])], 1)
    final, states = outputs_of(
        published.blocks,
        lambda: published.forward_features(
            torch.cat([images["s2"], images["s1"]], 2)[:, 0], meta, [490, 860, 5e7], [65, 20, 1e9]
        ),
    )
    metadata = {"when": WHEN, "where": WHERE} if known else {}
    taps = backbone(images, range(1, 4), **metadata)
    assert_taps_are(taps, states)
    assert_close(published.fc_norm(taps[-1].vector), final)


def test_unknown_metadata_is_replaced_image_by_image(copernicus: tuple[Any, Callable[..., Any]]) -> None:
    backbone = copernicus[1](None, "s2.b02")
    images = {"s2": normal(2, 1, 1, 32, 32)}
    where, when = WHERE.clone(), WHEN.clone()
    where[1] = torch.nan
    when[1, 0, 1] = -1
    mixed = backbone(images, [3], when=when, where=where)[0].grid
    known = backbone(images, [3], when=WHEN, where=WHERE)[0].grid
    unknown = backbone(images, [3])[0].grid
    assert_close(mixed[0], known[0])
    assert_close(mixed[1], unknown[1])
    assert differ(known, unknown)


def test_places_at_the_edge_and_areas_out_of_range_are_accepted(
    copernicus: tuple[Any, Callable[..., Any]],
) -> None:
    images = {"s2": normal(2, 1, 1, 32, 32)}
    edge = torch.tensor([[-180.0, -90.0], [180.0, 90.0]])
    fine, unknown = copernicus[1](0.5, "s2.b02"), copernicus[1](None, "s2.b02")
    assert_same_taps(fine(images, [3]), unknown(images, [3]))
    assert bool(fine(images, [3], where=edge)[0].grid.isfinite().all())


def test_norms_are_the_authors_and_each_band_has_a_spectrum() -> None:
    entry = copernicusfm.ENTRIES[0]
    with torch.device("meta"):
        backbone: Any = entry.load(entry, None, 0, entry.bands)
        published = torchgeo.models.copernicusfm_base()
    assert all(block.norm1.eps == 1e-6 for block in backbone.network.blocks)
    expected = {k for k in published.state_dict() if not k.startswith(("fc_norm.", "head.", "patch_embed_variable."))}
    assert set(backbone.network.state_dict()) == expected
    for band, shift in zip(entry.bands, entry.normalise.shift, strict=True):
        centre, width, mean, deviation = copernicusfm.SPECTRA[band.name]
        assert centre >= 100 and width >= 1 and deviation > 0 and mean == shift
        assert band.unit == "db" or math.isclose(centre, 1000 * (band.wavelength_um or 0))
