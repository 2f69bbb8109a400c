"""Preflight: are a suite's units, scales and bands what they are declared to be, does a model see them sanely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.bands import Recipe, Statistics, check_units, prepare
from bench.core import Band, Sample

if TYPE_CHECKING:
    from bench.core import Backbone

SAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing the doctor saw.

    Attributes:
        level: ``ok`` states a fact, ``warning`` is worth a look, ``error`` must stop a run.
        about: band, layer or sample.
        text: what was seen.
    """

    level: Literal["ok", "warning", "error"]
    about: str
    text: str


def examine_samples(samples: Sequence[Sample], bands: Sequence[Band]) -> list[Finding]:
    """Return findings on raw values: one a band, against the unit it declares.

    Args:
        samples: a few, spread over the split.
        bands: those they were opened with, in order.
    """
    findings = []
    place: dict[str, int] = {}
    for band in bands:
        column = place.get(band.sensor, 0)
        place[band.sensor] = column + 1
        values = np.concatenate([sample.images[band.sensor][:, column].ravel() for sample in samples])
        finite = values[np.isfinite(values)]
        fault = check_units(band, [float(finite.min()), float(finite.max())] if finite.size else [])
        if fault:
            findings.append(Finding(level="error", about=band.name, text=fault))
            continue
        missing = 1 - finite.size / values.size
        text = f"{band.unit}: {finite.min():.4g} .. {finite.max():.4g}, mean {finite.mean():.4g}"
        text += f", {missing:.1%} no-data" if missing else ""
        findings.append(Finding(level="warning" if missing > 0.5 else "ok", about=band.name, text=text))
    return findings


def examine_input(samples: Sequence[Sample], recipe: Recipe, statistics: Statistics) -> list[Finding]:
    """Return findings on what the network is fed after conversion and normalisation, one a band.

    A mean beyond 10 or a spread outside 0.001..30 after normalisation is what a unit mismatch looks like.
    """
    import torch

    sound = [s for s in samples if all(np.isfinite(v).any((1, 2, 3)).all() for v in _channels_first(s))]
    if not sound:
        return [Finding(level="error", about="input", text="no sample without an empty band among those looked at")]
    images = {name: torch.from_numpy(np.stack([s.images[name] for s in sound])) for name in sound[0].images}
    ready = prepare(images, recipe, statistics)
    place: dict[str, int] = {}
    findings = []
    for channel in recipe.channels:
        sensor = channel.band.sensor
        column = place.get(sensor, 0)
        place[sensor] = column + 1
        values = ready[sensor][:, :, column].double()
        mean, spread = float(values.mean()), float(values.std())
        source = "+".join(band.name for band in channel.source) or f"absent, {recipe.absent}"
        text = f"from {source}: mean {mean:.3g}, sd {spread:.3g}"
        sane = abs(mean) <= 10 and (0.001 <= spread <= 30 or not channel.source)
        if values.numel() <= SAMPLES * 4 or recipe.normalise == "none":
            sane = True  # single pixels, or values that stay raw on purpose, have no expected scale
        findings.append(
            Finding(
                level="ok" if sane else "error",
                about=channel.band.name,
                text=text if sane else f"{text}: not the scale the network was trained on; is the unit right?",
            )
        )
    return findings


def _channels_first(sample: Sample) -> list[np.ndarray]:
    return [np.swapaxes(values, 0, 1) for values in sample.images.values()]


def examine_features(
    backbone: Backbone, samples: Sequence[Sample], recipe: Recipe, statistics: Statistics
) -> list[Finding]:
    """Return findings on what every layer says of different images: NaN, or the same for all."""
    import torch

    from bench.features import run_backbone

    sound = [s for s in samples if all(np.isfinite(v).any((1, 2, 3)).all() for v in _channels_first(s))]
    with torch.inference_mode():
        taps = run_backbone(recipe, backbone, list(sound), statistics, "cpu")
    findings = []
    for layer, tap in zip(backbone.layers, taps, strict=True):
        vector = tap.vector.double()
        spread = float(vector.std(0).max()) if len(vector) > 1 else float("nan")
        if not bool(torch.isfinite(tap.grid).all()):
            findings.append(Finding(level="error", about=layer.name, text="gives NaN or infinity"))
        elif spread == 0:
            findings.append(Finding(level="error", about=layer.name, text="says the same of every image"))
        else:
            text = f"{layer.channels} channels, stride {layer.stride}, largest spread over images {spread:.3g}"
            findings.append(Finding(level="ok", about=layer.name, text=text))
    return findings


def identical_models(fingerprints: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each group of models whose stored features are equal to the bit.

    Args:
        fingerprints: model -> checksum of its last layer's features of one split.
    """
    groups: dict[str, list[str]] = {}
    for model, fingerprint in fingerprints.items():
        groups.setdefault(fingerprint, []).append(model)
    return [
        Finding(level="error", about=" = ".join(sorted(models)), text="give bit-identical features: one is not loaded")
        for models in groups.values()
        if len(models) > 1
    ]
