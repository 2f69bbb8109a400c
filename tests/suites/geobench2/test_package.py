"""GEO-Bench-2: its suites against the dataset classes of the publisher's package, on the same containers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.builders.geobench2 import PLANTED, opened, suite_of, write

pytest.importorskip("geobench_v2", reason="compares with the publisher's package, which is not installed")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    for name in PLANTED:
        write(name, path)
    return path


# What the package's dataset class of a suite is asked for, and sensor -> its image as (T, C, H, W).
S2_10 = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
WORLDVIEW = ["coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2"]


def single(key="image"):
    return lambda sample: np.asarray(sample[key])[None]


def series(key):
    return lambda sample: np.asarray(sample[key]).swapaxes(0, 1)


def several(*keys):
    return lambda sample: np.stack([np.asarray(sample[key]) for key in keys])


PACKAGE = {
    "benv2": ("BENV2", {"band_order": {"s2": ["B01", *S2_10[:8], "B09", *S2_10[8:]], "s1": ["VV", "VH"]}},
              {"s2": single("image_s2"), "s1": single("image_s1")}),
    "burn_scars": ("BurnScars", {}, {"hls": single()}),
    "caffe": ("CaFFe", {}, {"sar": single()}),
    "cloudsen12": ("CloudSen12", {"band_order": ["B01", *S2_10[:8], "B09", *S2_10[8:]]}, {"s2": single()}),
    "dynamic_earthnet": ("DynamicEarthNet", {"band_order": {"planet": ["b", "g", "r", "nir"]},
                         "temporal_setting": "weekly"}, {"planet": series("image_planet")}),
    "everwatch": ("EverWatch", {}, {"rgb": single()}),
    "flair2": ("FLAIR2", {}, {"rgb": single("image_aerial"), "dem": lambda raw: single("image_elevation")(raw) / 5}),
    "forestnet": ("Forestnet", {}, {"landsat": single()}),
    "fotw": ("FieldsOfTheWorld", {}, {"s2": several("image_a", "image_b")}),
    "kuro_siwo": ("KuroSiwo", {}, {"s1": several("image_pre_1", "image_pre_2", "image_post"),
                  "dem": several(*["image_dem"] * 3)}),
    "nzcattle": ("NZCattle", {}, {"rgb": single()}),
    "pastis": ("PASTIS", {"band_order": {"s2": S2_10}}, {"s2": single("image_s2")}),
    "pastis_r": ("PASTIS", {"band_order": {"s2": S2_10}, "label_type": "instance_seg"}, {"s2": single("image_s2")}),
    "so2sat": ("So2Sat", {}, {"s2": single("image_s2")}),
    "spacenet2": ("SpaceNet2", {"band_order": {"worldview": WORLDVIEW, "pan": ["pan"]}},
                  {"worldview": single("image_worldview"), "pan": single("image_pan")}),
    "spacenet7": ("SpaceNet7", {}, {"rgb": single()}),
    "substation": ("Substation", {}, {"s2": single()}),
    "treesatai": ("TreeSatAI", {"band_order": {"aerial": ["red", "green", "blue", "nir"], "s1": ["vv", "vh"],
                  "s2": ["B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12", "B01", "B09"]}},
                  {"rgb": single("image_aerial"), "s2": single("image_s2"),
                   "s1": lambda sample: single("image_s1")(sample) - 65536}),
}  # fmt: skip
# Suite -> the package's code -> ours, where they differ.
RENAMED = {"burn_scars": {2: -1}, "kuro_siwo": {1: 0, 2: 1, 3: 2, 0: 3}, "spacenet2": {1: 0, 2: 1},
           "spacenet7": {1: 0, 2: 1}}  # fmt: skip


@cache
def packaged(name, root, **more):
    """Return the dataset of the publisher's package, without normalisation."""
    import geobench_v2.datasets
    from torch import nn

    kind, asked, _ = PACKAGE.get(name, ("BioMassters", {"band_order": {"s2": S2_10, "s1": ["VV_asc", "VH_asc"]}}, {}))
    folder = str(root / suite_of(name).SUITE.folder)
    return getattr(geobench_v2.datasets, f"GeoBench{kind}")(
        root=folder, split="train", data_normalizer=nn.Identity, **asked, **more
    )


@pytest.mark.parametrize("name", PACKAGE)
def test_pixels_and_labels_are_those_of_the_package(name, root):
    theirs, ours = packaged(name, root), opened(name, root)
    assert len(theirs) == len(ours)
    kind = suite_of(name).SUITE.tasks[0].kind
    # Its EverWatch knows a bird without label as None, which pandas 3 reads as NaN: the first image has one.
    for index in range(1 if name == "everwatch" else 0, len(ours)):
        sample, held = theirs[index], ours[index]
        for sensor, taken in PACKAGE[name][2].items():
            expected, image = taken(sample), held.images[sensor][:1] if "pastis" in name else held.images[sensor]
            assert expected.shape == image.shape
            seen = np.isfinite(image)
            assert seen.mean() > 0.9 and np.allclose(expected[seen], image[seen])
        if kind == "segmentation":
            mask_, renamed = np.asarray(sample["mask"]), RENAMED.get(name, {})
            assert np.array_equal(np.vectorize(lambda code: renamed.get(code, code))(mask_), held.target)  # noqa: B023
        elif kind == "detection":
            boxes = np.asarray(sample.get("bbox_xyxy", sample.get("boxes"))).reshape(-1, 4)
            labels = np.asarray(sample["label"])
            if name == "pastis_r":  # there the last pixel bounds a box, here what follows it; void is no object
                boxes, labels = (boxes + np.array([0, 0, 1, 1]))[labels != 19], labels[labels != 19]
            side = suite_of(name).SUITE.image_size[0]
            assert np.array_equal(boxes.clip(0, side), held.target["boxes"])
            assert np.array_equal(labels - 1, held.target["labels"])
        else:
            assert np.array_equal(np.asarray(sample["label"]), held.target)


def test_biomass_is_the_packages_without_its_scale(root):
    """The package blanks whatever lacks an orbit, so a pixel is left; months after a gap are shifted."""
    sample, ours = packaged("biomassters", root)[0], opened("biomassters", root)[0]
    assert np.allclose(np.asarray(sample["mask"]) * 289.89, ours.target)
    assert np.allclose(sample["image_s2"][:, 0, 0], ours.images["s2"][0, :, 0, 0])
    assert np.allclose(sample["image_s1"][:, 0, 0], ours.images["s1"][0, :2, 0, 0])


@pytest.mark.parametrize("name", ["benv2", "so2sat", "everwatch", "nzcattle", "treesatai", "forestnet"])
def test_classes_are_the_packages(name, root):
    listed = [str(label) for label in packaged(name, root).classes]
    ours = list(suite_of(name).SUITE.tasks[0].classes)
    assert ours == (listed if name not in ("everwatch", "nzcattle") else listed[1:])
