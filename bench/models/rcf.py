"""Random convolutional features (Rolf et al. 2021, MOSAIKS): what an architecture gives without any training.

128 standard Gaussian filters of 3 x 3 pixels over all bands and a bias of -1, torchgeo's defaults; the response is
rectified with both signs and averaged: 256 features, over the image for the vector and over each cell of 8 x 8 pixels
for the grid. Images are z-scored with the suite's train statistics and zero-padded, which is the mean. Several dates
are further channels: a filter sees a whole series; for pixel series filters are 1 x 1.

The paper draws filters from whitened image patches; Gaussian ones depend on the seed alone and on no dataset. Nothing
here was tuned on any suite.
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
        entry: gives the side of a grid cell, ``patch``.
        weights: not used.
        seed: of the filters.
        bands: any, in any order; the order decides which filter meets which band.
    """
    from bench.networks.backbones import frozen
    from bench.networks.rcf import RandomFeatures

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
