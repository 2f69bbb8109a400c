"""Statistics of the pixels of each band: the control that a model must beat to have learned anything about an image.

There are nine statistics per band: mean, standard deviation, minimum, maximum, and the 5, 25, 50, 75 and 95 %
quantiles, over pixels and dates; for dense tasks the same over each cell of 8 x 8 pixels. The number of channels is
nine times the number of bands (`width` is 0 because it depends on them). The model has one layer, ``embedding``, and no
weights.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise


def load_image_stats(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return the statistics of `bands` as a backbone; nothing in it is random.

    Args:
        entry: its ``patch`` is the side of a grid cell.
        weights: None.
        seed: not used.
        bands: any bands, in any order.

    Raises:
        MissingWeights: a file of weights is given.
    """
    from bench.networks.backbones import frozen, refuse_weights
    from bench.networks.image_stats import ImageStatistics

    refuse_weights(weights, entry.name)
    return frozen(ImageStatistics(bands, entry.patch))


ENTRIES = (
    ModelEntry(
        name="image_stats",
        origin="baseline",
        objective="none",
        any_bands=True,
        sensors=("*",),
        normalise=Normalise(kind="dataset"),
        image_size=512,
        any_size=True,
        patch=8,
        depth=0,
        width=0,
        temporal=True,
        parameters=0,
        reference="a control of this project",
        load=load_image_stats,
    ),
)
