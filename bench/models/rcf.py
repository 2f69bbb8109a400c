"""Random convolutional features (Rolf et al. 2021, MOSAIKS): a control for what an architecture gives without training.

There are 128 standard Gaussian filters of 3 x 3 pixels over all bands, with a bias of -1, as by default in torchgeo.
Responses are rectified with both signs and averaged, which gives 256 features: over the image for the vector, and over
each cell of 8 x 8 pixels for the grid. Images are standardised with the train statistics of the suite and padded with
zeros, which are the mean. Several dates enter as further channels, so that a filter covers a whole series; for series
of single pixels the filters are 1 x 1.

The paper draws filters from whitened image patches. Gaussian filters depend on the seed only, not on a dataset. Nothing
was tuned on any suite.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import Backbone, Band, ModelEntry, Normalise

FEATURES = 256
KERNEL = 3
BIAS = -1.0


def load_rcf(entry: ModelEntry, weights: Path | None, seed: int, bands: tuple[Band, ...]) -> Backbone:
    """Return random filters over `bands` as a backbone.

    Args:
        entry: its ``patch`` is the side of a grid cell.
        weights: None.
        seed: of the filters.
        bands: any bands, in any order; the order decides which part of a filter applies to which band.

    Raises:
        MissingWeights: a file of weights is given.
    """
    from bench.networks.backbones import frozen, refuse_weights
    from bench.networks.rcf import RandomFeatures

    refuse_weights(weights, entry.name)
    return frozen(RandomFeatures(bands, features=FEATURES, kernel=KERNEL, bias=BIAS, cell=entry.patch, seed=seed))


ENTRIES = (
    ModelEntry(
        name="rcf",
        origin="baseline",
        objective="none",
        any_bands=True,
        sensors=("*",),
        normalise=Normalise(kind="dataset"),
        image_size=512,
        any_size=True,
        patch=8,
        depth=0,
        width=FEATURES,
        temporal=True,
        parameters=0,
        reference="Rolf et al. 2021, A generalizable and accessible approach to machine learning with global satellite "
        "imagery, doi:10.1038/s41467-021-24638-z",
        load=load_rcf,
    ),
)
