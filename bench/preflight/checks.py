"""Preflight checks on a few samples: declared units and scales, the input of a model, and its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.core import UNITS, Band, ModelEntry, Sample, Suite
from bench.input.content import band_values
from bench.input.fills import FILLS, fill_share
from bench.input.prepare import Statistics, prepare
from bench.input.recipe import Channel, InputRecipe
from bench.input.splits import SAMPLES
from bench.preflight.units import check_units, other_scale, spread_of

if TYPE_CHECKING:
    from bench.core import Backbone

DARK = 3.0  # digital number that the brightest pixel of a band exceeds even over dark surfaces
NEVER_ZERO = ("dn", "dn_offset", "reflectance", "db", "power", "radiance", "kelvin")
ZEROS = 0.01  # share of pixels with 0 in every band of a sensor, above which zeros are reported as possible no-data


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of one check.

    Attributes:
        level: ``ok`` for a fact, ``warning`` for a possible fault, ``error`` for a fault that must stop a run.
        about: the band, layer or sample that was checked.
        text: the result in words.
    """

    level: Literal["ok", "warning", "error"]
    about: str
    text: str


def examine_samples(samples: Sequence[Sample], bands: Sequence[Band]) -> list[Finding]:
    """Return findings on raw values: one per band, compared with its declared unit, and one per likely fill value.

    A dark band is only a warning where others of its sensor have the declared scale: water is dark in the infrared.

    Args:
        samples: a few samples, spread over the split.
        bands: the bands that they were opened with, in order.
    """
    if not samples:
        return [Finding(level="error", about="samples", text="there is no sample to look at")]
    parts = [band_values(sample, bands) for sample in samples]
    values = {band.name: np.concatenate([part[band.name].ravel() for part in parts]) for band in bands}
    faults = {}
    for band in bands:
        finite = values[band.name][np.isfinite(values[band.name])]
        faults[band.name] = check_units(band, finite)
    return [_examined(band, bands, values[band.name], faults) for band in bands] + _fills(bands, values)


def _examined(band: Band, bands: Sequence[Band], values: np.ndarray, faults: Mapping[str, str]) -> Finding:
    """Return the finding on one band, given the faults of all."""
    finite = values[np.isfinite(values)]
    if fault := faults[band.name]:
        alike = [other for other in bands if (other.sensor, other.unit) == (band.sensor, band.unit)]
        dark = finite.size and other_scale(band, spread_of(finite)) and finite.max() > DARK
        if dark and any(not faults[other.name] for other in alike):
            return Finding(level="warning", about=band.name, text=f"{fault}; other bands of {band.sensor} do not")
        return Finding(level="error", about=band.name, text=fault)
    missing = 1 - finite.size / values.size
    text = f"{band.unit}: {finite.min():.4g} .. {finite.max():.4g}, mean {finite.mean():.4g}"
    text += f", {missing:.1%} no-data" if missing else ""
    return Finding(level="warning" if missing > 0.5 else "ok", about=band.name, text=text)


def _fills(bands: Sequence[Band], values: Mapping[str, np.ndarray]) -> list[Finding]:
    """Return warnings on values that lie within the bounds of their unit but look like undeclared no-data."""
    findings = []
    for band in bands:
        unit = UNITS[band.unit]
        for fill in FILLS:
            share = fill_share(values[band.name], fill) if unit.low <= fill <= unit.high else 0.0
            if share:
                text = f"holds {fill:g} in {share:.1%} of the pixels examined: a fill value that should be NaN?"
                findings.append(Finding(level="warning", about=band.name, text=text))
    for sensor in dict.fromkeys(band.sensor for band in bands):
        measured = [band for band in bands if band.sensor == sensor and band.unit in NEVER_ZERO]
        if measured:
            share = float(np.all([values[band.name] == 0 for band in measured], axis=0).mean())
            if share > ZEROS:
                text = f"holds 0 in every band in {share:.1%} of the pixels examined: no-data that should be NaN?"
                findings.append(Finding(level="warning", about=sensor, text=text))
    return findings


def examine_contract(entry: ModelEntry, suite: Suite, recipe: InputRecipe) -> list[Finding]:
    """Return findings on how a suite fits a model: size, resolution, dates, levels, absent bands."""
    seen, fed = suite.image_size, recipe.size
    how = "as they are" if seen == fed else "in overlapping windows" if recipe.windows else "resized as a whole"
    text = f"{seen[0]}x{seen[1]} pixels, fed at {fed[0]}x{fed[1]} {how}; trained at {entry.image_size}"
    text += f"; {recipe.gsd_m:.3g} m a pixel as fed" if recipe.gsd_m else ""
    findings = [Finding(level="ok", about="size", text=text)]
    if suite.dates != 1:
        way = "encoded one by one, features averaged" if recipe.fold_dates else "taken together, the model's own way"
        findings.append(Finding(level="ok", about="dates", text=f"{suite.dates or 'several'}, {way}"))
    for sensor in dict.fromkeys(band.sensor for band in recipe.reads):
        given, known = ([level for level in side.levels if level.startswith(f"{sensor}:")] for side in (suite, entry))
        # A network for harmonised or photographic bands looks at a sensor it never saw under that name.
        other = {band.sensor for band in recipe.bands} - {sensor}
        known = known or [level for level in entry.levels if level.partition(":")[0] in other]
        if given and known:
            alike = bool(set(given) & set(known))
            text = f"the suite gives {' '.join(given)}, the model was trained on {' '.join(known)}"
            findings.append(Finding(level="ok" if alike else "warning", about=f"{sensor} level", text=text))
    if recipe.masked:
        lacking = f"the suite lacks {' '.join(recipe.masked)}; the network masks them"
        findings.append(Finding(level="warning", about="absent", text=lacking))
    if filled := [c.band.name for c in recipe.channels if c.stand_in or not c.source]:
        text = f"the suite lacks {' '.join(filled)}: absent={recipe.absent} stands in"
        findings.append(Finding(level="warning", about="absent", text=text))
    return findings


def examine_input(samples: Sequence[Sample], recipe: InputRecipe, statistics: Statistics) -> list[Finding]:
    """Return one finding per band on the input of the network after conversion and normalisation.

    An absolute mean above 10 or a standard deviation outside 0.001..30 after normalisation indicates a wrong unit.
    """
    import torch

    sound = [s for s in samples if all(np.isfinite(v).any((1, 2, 3)).all() for v in _channels_first(s))]
    if not sound:
        return [Finding(level="error", about="input", text="no sample without an empty band among those looked at")]
    # Samples are prepared one at a time, since series differ in length.
    each = [prepare({k: torch.from_numpy(v[None]) for k, v in s.images.items()}, recipe, statistics) for s in sound]
    place: dict[str, int] = {}
    findings = []
    for channel in recipe.channels:
        sensor = channel.band.sensor
        column = place.get(sensor, 0)
        place[sensor] = column + 1
        values = torch.cat([prepared[sensor][:, :, column].double().flatten() for prepared in each])
        mean, spread = float(values.mean()), float(values.std())
        text = f"{_normalised(recipe, channel)}: mean {mean:.3g}, sd {spread:.3g}"
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


def _normalised(recipe: InputRecipe, channel: Channel) -> str:
    """Return the source of one input band and its conversion and normalisation, in words."""
    if not channel.source:
        return f"absent, {recipe.absent}"
    source = "+".join(f"{band.name} [{band.unit}]" for band in channel.source)
    to = f" to {channel.band.unit}" if channel.source[0].unit != channel.band.unit else ""
    affine = f"(x {-channel.shift:+.4g}) / {channel.scale:.4g}" + (" clipped" if recipe.clip else "")
    ways = {"dataset": "z-score of training", "image_2sd": "image mean -/+ 2 sd to 0..1", "none": "as it is"}
    return f"from {source}{to}, {ways.get(recipe.normalise, affine)}"


def _channels_first(sample: Sample) -> list[np.ndarray]:
    return [np.swapaxes(values, 0, 1) for values in sample.images.values()]


def examine_features(
    backbone: Backbone, samples: Sequence[Sample], recipe: InputRecipe, statistics: Statistics
) -> list[Finding]:
    """Return findings on the features of every layer: NaN, or the same for all images."""
    import torch

    from bench.features.forward import run_backbone

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
            findings.append(Finding(level="error", about=layer.name, text="is the same for every image"))
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
