"""The values that `bench.input.prepare` gives meet the first weights of a network as they are: none is scaled twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.core import Band, ModelEntry, Suite, Task
from bench.input.prepare import prepare
from bench.input.recipe import match
from tests.builders.entries import ENTRIES, bands_of, skipped_without_package

# Operations in which pixels first meet weights.
PRODUCTS = {"convolution", "_convolution", "conv1d", "conv2d", "conv3d", "linear", "mm", "addmm", "bmm", "baddbmm"}
WITHOUT_WEIGHTS = {"image_stats"}
# Bands of codes, which meet no weight as numbers.
CODES = {"presto": {"dw.class"}, "presto_worldcereal": {"dw.class"}}
# Families whose buffers hold values that the first layer reads; they are built for real.
WITH_TABLES = ("copernicusfm", "olmoearth", "panopticon")
TASK = Task(name="any", kind="classification", classes=("a", "b"), metric="accuracy")


class FirstProducts(TorchDispatchMode):
    """Follows pixels through a network and records the values with which they enter a product with weights.

    A result computed from pixels without a product still counts as pixels, and so does memory they are copied into.
    """

    def __init__(self, pixels: list[Tensor]) -> None:
        super().__init__()
        self.held: list[Tensor] = []  # references, so that their memory is not reused for another tensor
        self.places: set[int] = set()
        self.seen: list[Tensor] = []
        self._take(pixels)

    def _take(self, tensors: list[Any]) -> None:
        for tensor in tensors:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                self.held.append(tensor)
                self.places.add(tensor.untyped_storage().data_ptr())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        pixels = [
            value
            for value in tree_leaves((args, kwargs or {}))
            if isinstance(value, Tensor)
            and value.is_floating_point()
            and value.untyped_storage().data_ptr() in self.places
        ]
        if not pixels:
            return out
        if func.overloadpacket.__name__ in PRODUCTS:
            self.seen += [value.unique() for value in pixels]
        else:
            self._take(tree_leaves(out))
        return out


def hollow(entry: ModelEntry, bands: tuple[Band, ...]) -> Any:
    """Return the backbone with uninitialised weights where possible, so that large networks are quick to build."""
    if entry.name.startswith(WITH_TABLES):
        return entry.load(entry, None, 0, bands)
    with torch.device("meta"):
        backbone: Any = entry.load(entry, None, 0, bands)
    return backbone.to_empty(device="cpu")


def prepared(entry: ModelEntry, bands: tuple[Band, ...]) -> tuple[tuple[Band, ...], dict[str, Tensor]]:
    """Return the bands that a backbone is loaded with, and prepared images with one value per band.

    Where an image is normalised with its own statistics, a band has three values, of which the middle one differs.
    """
    side = entry.image_size if not entry.any_size else min(entry.image_size, 4 * entry.patch)
    dates = 3 if entry.temporal else 1
    suite: Any = Suite(
        name="made_up", version=1, title="", bands=bands, image_size=(side, side), dates=dates, gsd_m=10.0,
        tasks=(TASK,), splits={}, open=lambda *_: None,
    )  # fmt: skip
    recipe = match(entry, suite, TASK, bands)
    levels = {channel.band.name: 0.1 + 0.8 * i / len(recipe.channels) for i, channel in enumerate(recipe.channels)}
    groups: dict[str, list[Tensor]] = {}
    for band in recipe.reads:
        channel = next(channel for channel in recipe.channels if band in channel.source)
        value = torch.full((2, dates, side, side), channel.shift + channel.scale * levels[channel.band.name])
        if recipe.normalise.startswith("image_"):
            thirds = torch.arange(side) * 3 // side
            value = value + 100 * torch.tensor([0, levels[channel.band.name], 1])[thirds]
        groups.setdefault(band.sensor, []).append(value)
    images = {sensor: torch.stack(values, 2) for sensor, values in groups.items()}
    return recipe.bands, prepare(images, recipe, {band.name: (0.5, 2.0) for band in recipe.reads})


def near(values: Tensor, allowed: Tensor) -> Tensor:
    """Return a mask of the values that are among those allowed, up to rounding."""
    return ((values[:, None] - allowed[None]).abs() <= 1e-5 * (1 + values.abs())[:, None]).any(1)


def cases() -> list[Any]:
    """Return the entries; large ones that are built for real are marked heavy."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.heavy] * (name.startswith(WITH_TABLES) and entry.parameters > 2e8)
            + skipped_without_package(entry),
        )
        for name, entry in ENTRIES.items()
        if name not in WITHOUT_WEIGHTS
    ]


def check(entry: ModelEntry, bands: tuple[Band, ...]) -> set[str]:
    """Assert that the first layer multiplies prepared values with weights; return the sensors of these values."""
    bands, images = prepared(entry, bands)
    dates = next(iter(images.values())).shape[1]
    when = torch.tensor([[[2020, 1 + 2 * date, 15] for date in range(dates)]] * 2)
    with torch.no_grad():
        backbone = hollow(entry, bands)
        with FirstProducts(list(images.values())) as products:
            backbone(images, [0], when=when, where=torch.tensor([[11.0, 48.0], [-60.0, -3.0]]))
    assert products.seen, "no product of pixels and weights was seen"
    met = torch.cat(products.seen).unique()
    fed: dict[str, Tensor] = {}
    for sensor, values in images.items():
        names = [band.name for band in bands if band.sensor == sensor]
        kept = [index for index, name in enumerate(names) if name not in CODES.get(entry.name, ())]
        fed[sensor] = values[:, :, kept].unique()
        assert len(fed[sensor]) >= len(kept), "the test needs a different value for each band"
    # Padding and masked values are 0.
    allowed = torch.cat([*fed.values(), torch.zeros(1)])
    assert near(met, allowed).all(), f"prepared {allowed.tolist()}, but weights meet {met.tolist()}"
    return {sensor for sensor, values in fed.items() if near(values, met).all()}


@pytest.mark.parametrize("name", cases())
def test_normalisation_is_applied_exactly_once(name: str) -> None:
    entry = ENTRIES[name]
    sensors = {band.sensor for band in bands_of(entry)}
    met = check(entry, bands_of(entry))
    # A network may join its sensors in a later layer, or read a sensor of codes only.
    for sensor in sorted(sensors - met):
        assert check(entry, tuple(band for band in bands_of(entry) if band.sensor == sensor)) == {sensor}


class Rescaling(nn.Module):
    """A network that scales its input once more, which the test must notice."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 8)

    def forward(self, images: dict[str, Tensor], layers: Any, **_: Any) -> None:
        self.convolution(images["rgb"][:, 0] / 2)


def test_a_second_scaling_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(ENTRIES["imagenet_resnet18"], load=lambda *_: Rescaling())
    monkeypatch.setitem(ENTRIES, "imagenet_resnet18", entry)
    with pytest.raises(AssertionError, match=r"prepared .* but weights meet"):
        test_normalisation_is_applied_exactly_once("imagenet_resnet18")
