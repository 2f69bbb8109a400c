"""NeuCo-Bench: values per place from four seasons of Sentinel-1 and Sentinel-2 top-of-atmosphere reflectance.

The regression tasks of `NeuCo-Bench <https://github.com/embed2scale/NeuCo-Bench>`__ on the cubes of
SSL4EO-S12-downstream, Sentinel-2 at level 1C (`suites.neuco_bench.neuco_bench` has level 2A).

Dataset format, below ``neuco_bench/`` (a clone of the publisher's repository):

* ``data/{s1,s2l1c}/part-<n>/<cube>.zarr.zip``: array ``bands``, one place and four seasons (March to May, June to
  August, September to November, December to February), 264 x 264 at 10 m. s1: VV, VH backscatter in dB; s2l1c:
  13 bands, top-of-atmosphere reflectance x 10000 without the offset of 2022, 0 in every band is no data (NaN here)
* ``labels/<task>__<kind>.csv``: columns ``id`` (the cube), ``label`` and others; rows without a label are left out

Tasks, each with one value per place: mean and standard deviation of GEDI biomass; share of soybean and corn (CDL), of
agriculture and of forest (CORINE); cloud cover over the four seasons (CloudSEN12); mean and standard deviation of
summer surface temperature in cities (Landsat 8). The publisher's checks (share of empty pixels, random labels) are left
out.

The publisher has no fixed split: it repeats a random 90 / 10 % split 40 times. Our split is by the hash of the cube's
name, 80 / 10 / 10 %, the same for every task. The counts stated are those expected for all 13,260 cubes; each task has
fewer.

If you use this dataset, please cite https://arxiv.org/abs/2510.17914 and https://arxiv.org/abs/2503.00168. Licence: CC
BY 4.0.
"""

from __future__ import annotations

from suites.neuco_bench._reader import neuco

SUITE = neuco(
    "neuco_bench_l1c",
    "s2l1c",
    "s2:L1C",
    "The cubes, labels and split of suite neuco_bench, Sentinel-2 at level 1C. Our split (80 / 10 / 10 % by hash; "
    "counts are expected ones, each task has fewer). S2 unless bands= selects otherwise. No place is published; dates "
    "are seasons, given by their middle month. The scale of the surface temperature is not stated.",
)
