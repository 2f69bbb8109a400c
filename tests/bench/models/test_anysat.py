"""AnySat against recorded outputs of its publisher's code."""

from __future__ import annotations

import datetime
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.core.errors import Incompatible
from bench.models import anysat
from bench.networks.anysat import AnySatBackbone, AnySatNetwork, buckets, days_of
from tests.builders.networks import assert_recorded, assert_same_taps, assert_same_weights, normal

# Recorded from gastruc/AnySat@e03e72e, hubconf.AnySat("tiny"), with weights and input of `noise` and patches of 40
# metres: eight values spread over the array, its mean and its standard deviation.
PUBLISHED = {
    (("s2",), "block_2 grid"): (
        [2.095806, -2.753997, 0.64126, 0.064579, -3.045512, -0.478991, -1.242663, -4.788846],
        (-0.049745, 1.968373),
    ),
    (("s2",), "block_4 vector"): (
        [3.222078, 0.457226, 1.215056, -1.162833, -0.432427, -1.020007, 1.718112, 0.632809],
        (0.048021, 1.797785),
    ),
    (("s2",), "block_5 grid"): (
        [0.30505, -1.326476, -1.857715, 1.327394, 0.639991, -0.679741, -1.129785, -0.500842],
        (-0.039057, 1.358419),
    ),
    (("s2",), "block_5 vector"): (
        [0.336781, -1.294451, -1.885303, 1.283849, 0.610675, -0.676901, -1.135533, -0.483375],
        (-0.037664, 1.358879),
    ),
    (("s2", "s1"), "block_2 grid"): (
        [3.027492, -1.695992, -0.719027, -0.831046, -2.268202, 0.445157, 0.823844, -4.397066],
        (-0.083552, 1.664908),
    ),
    (("s2", "s1"), "block_4 vector"): (
        [1.49877, 0.732764, 2.360625, -2.754136, -1.878286, -2.531755, 2.959055, 0.203247],
        (0.069985, 1.890496),
    ),
    (("s2", "s1"), "block_5 grid"): (
        [0.502426, -0.69216, -2.184384, 0.700531, 2.106268, -0.473141, -1.03574, -0.05247],
        (-0.065866, 1.371674),
    ),
    (("s2", "s1"), "block_5 vector"): (
        [0.315805, -0.724669, -2.033157, 0.752969, 2.002996, -0.62074, -1.067736, 0.048086],
        (-0.063422, 1.375995),
    ),
}


def noise(shape: Sequence[int], phase: int) -> Tensor:
    """Return values in -0.5..0.5 that are the same on every machine."""
    index = torch.arange(math.prod(shape), dtype=torch.float64)
    return ((torch.sin(index * 12.9898 + phase) * 43758.5453) % 1.0 - 0.5).reshape(tuple(shape))


def anysat_tiny(sensors: tuple[str, ...]) -> AnySatBackbone:
    """Return a small AnySat whose weights follow from their names."""
    network = AnySatNetwork(256, depth=2, heads=4)
    for name, weight in network.named_parameters():
        base = 1.0 if name.endswith("weight") and weight.ndim == 1 else 0.0
        weight.copy_(base + 0.2 * noise(weight.shape, zlib.crc32(name.encode()) % 1000))
    bands = [band for band in anysat.BANDS if band.sensor in sensors]
    return AnySatBackbone(network, bands, patch=4)


@pytest.mark.parametrize(("sensors", "what"), list(PUBLISHED))
def test_features_are_the_publishers(sensors: tuple[str, ...], what: str) -> None:
    backbone = anysat_tiny(sensors)
    images = {"s2": 4 * noise((2, 3, 10, 16, 16), 0).float(), "s1": 4 * noise((2, 3, 2, 16, 16), 1).float()}
    # Days 0, 100, 365 and 59, 60, 200 of a leap year.
    when = torch.tensor(
        [[[2020, 1, 1], [2020, 4, 10], [2020, 12, 31]], [[2020, 2, 29], [2020, 3, 1], [2020, 7, 19]]],
    )
    layer, part = what.split()
    index = [layer.name for layer in backbone.layers].index(layer)
    tap = backbone({sensor: images[sensor] for sensor in sensors}, [index], when=when)[0]
    assert_recorded(getattr(tap, part), *PUBLISHED[sensors, what], rtol=1e-4, atol=2e-5)


def test_a_pixel_is_embedded_by_itself_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = anysat_tiny(("s1",))
    images = normal(2, 2, 2, 8, 8)
    whole = backbone({"s1": images}, [0, 5])
    monkeypatch.setattr("bench.networks.anysat.CHUNK", 10)
    assert_same_taps(backbone({"s1": images}, [0, 5]), whole)
    moved = images.clone()
    moved[:, :, :, 0, 0] += 1
    changed = (backbone({"s1": moved}, [0])[0].grid - whole[0].grid).abs().amax((0, 1)) > 1e-3
    assert changed.tolist() == [[True, False], [False, False]]


def test_buckets_grow_with_distance() -> None:
    ids = buckets(12, torch.device("cpu"))
    assert ids.shape == (145, 145) and bool((ids[0] == 7).all()) and bool((ids[:, 0] == 7).all())
    # From the corner along a row: distance 0, 1, then logarithmically up to the last bucket.
    assert ids[1, 1:13].tolist() == [3, 4, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6]
    assert torch.equal(ids, ids.T)


def test_days_count_from_zero_and_wrong_images_are_refused() -> None:
    images = normal(1, 3, 2, 8, 8)
    dates = [(1900, 3, 1), (2000, 3, 1), (2023, 12, 31)]
    expected = [(datetime.date(*date) - datetime.date(date[0], 1, 1)).days for date in dates]
    assert days_of(torch.tensor([dates]), images).tolist() == [expected]
    assert days_of(torch.tensor([[(2020, -1, 3)] * 3]), images).tolist() == [[0.0] * 3]
    assert days_of(None, images).tolist() == [[0.0] * 3]
    backbone = anysat_tiny(("s1",))
    for wrong in (normal(1, 3, 2, 8, 4), normal(1, 3, 2, 10, 10), normal(1, 3, 3, 8, 8)):
        with pytest.raises(Incompatible):
            backbone({"s1": wrong}, [5])
    with pytest.raises(Incompatible, match="2 dates for 3 images"):
        backbone({"s1": images}, [5], when=torch.tensor([[(2020, 1, 1)] * 2]))


def test_parts_for_other_sensors_in_the_file_are_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.networks.anysat.AnySatNetwork", lambda width, depth, heads: AnySatNetwork(256, 2, 4))
    network = anysat_tiny(("s2",)).network
    others = {"projector_l8.patch_embed.Q": torch.zeros(1), "projector_s2.pad_parameter": torch.zeros(())}
    torch.save({"state_dict": {**network.state_dict(), **others}}, tmp_path / "AnySat.pth")
    entry = anysat.ENTRIES[0]
    backbone = entry.load(entry, tmp_path / "AnySat.pth", 0, entry.bands[:10])
    images = {"s2": normal(1, 1, 10, 8, 8)}
    expected = anysat_tiny(("s2",))
    assert_same_weights(backbone, expected)
    assert_same_taps(backbone(images, [5]), expected(images, [5]))
