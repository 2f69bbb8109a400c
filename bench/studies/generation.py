"""What do generated weights buy compared with scratch, prompt, matched noise, retrieval and averages of real relatives?

GeoSANE (arXiv 2603.23408) reports gains over training from scratch. The arms here are those that such a gain has to be
held against (Zeng et al. 2026; weights that beat scratch may be copies): `bench.foundry.judge` makes and scores them on
a request that no member of the zoo was trained for.
"""

from __future__ import annotations

from bench.config import Study

STUDY = Study(
    words={},
    demo={"seeds": [0, 1, 2], "shots": 4, "reserve": 20, "test_images": 100, "steps": 2, "n": 2},
    recipe="judge",
)
