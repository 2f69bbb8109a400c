"""Wherever a token grid meets a label, each token lies where its pixels lie, also in images padded to whole tokens."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import rasterio
import torch

from bench.finetuning.panels import kept_images
from bench.finetuning.predictions import outcomes, outputs
from bench.finetuning.task_model import TaskModel
from bench.protocols import drift, finetune, probe
from bench.runs.carry_out import carry_out
from bench.runs.context import FeatureReader, open_context
from tests.builders.averages import ENTRY, PATCH, TASKS, SmoothSplit, smooth_run, smooth_suite
from tests.builders.rasters import write_tif
from tests.builders.sessions import new_session
from tests.builders.suite_and_model import BANDS

SIDES = (72, 65, 100)  # 65 and 100 pixels are padded to 72 and 104


def scores(folder, task, side, protocol, **settings):
    run = smooth_run(task, side, protocol, **settings)
    assert run.recipe.windows
    record = carry_out(run, new_session(folder, smooth_suite(task, side)))
    assert record.status == "ok", record.error
    return record.scores["test"]["last"]


@pytest.mark.parametrize(
    ("task", "least"),
    [("mask", {"miou": 0.92, "boundary_f1": 0.85}), ("height", {"r2": 0.8}), ("before_after", {"miou": 0.8})],
)
def test_the_probe_of_a_padded_image_scores_like_that_of_a_whole_one(tmp_path, task, least):
    whole, padded = (scores(tmp_path / str(side), task, side, probe) for side in (72, 65))
    for metric, bound in least.items():
        assert padded[metric] > bound and padded[metric] == pytest.approx(whole[metric], abs=0.06)


def test_fine_tuning_agrees_with_the_probe_on_padded_images(tmp_path):
    probed = scores(tmp_path / "probe", "mask", 65, probe)["miou"]
    settings = {"decoders": ("linear",), "steps": 100, "learning_rates": (1e-2,), "augment": ("none",)}
    tuned = scores(tmp_path / "tuned", "mask", 65, finetune, **settings)["miou"]
    assert tuned == pytest.approx(probed, abs=0.01)


def test_other_decoders_and_tuning_agree_too(tmp_path):
    settings = {"decoders": ("linear",), "steps": 60, "learning_rates": (1e-2,)}
    for number, augment in enumerate((("flips",), ("none",))):
        reached = scores(tmp_path / str(number), "mask", 65, finetune, tuning=("full",), augment=augment, **settings)
        assert reached["miou"] > 0.9


class Upsample(torch.nn.Module):
    """A decoder without parameters of effect: the token grid, upsampled to what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.sizes: list[tuple[int, int]] = []

    def forward(self, taps, size, targets=None):
        self.sizes.append(tuple(size))
        return torch.nn.functional.interpolate(taps[0].grid, tuple(size), mode="bilinear") * self.weight


def network_of(folder, task, side):
    """The workbench of a run, and a model that answers with its upsampled tokens."""
    run = smooth_run(task, side, finetune, augment=("none",))
    session = new_session(folder, smooth_suite(task, side))
    network = open_context(FeatureReader(run, session)).workbench
    boxes = task == "boxes"
    model = TaskModel(
        network.own_backbone(), Upsample(), [], levels=[0], recipe=run.recipe, tuned=False, boxes=boxes,
        centre=torch.zeros(1), spread=torch.ones(1),
    )  # fmt: skip
    return network, model


def expected(side, row):
    """Tokens of the image padded to whole tokens, each upsampled to where it lies, cut to the image."""
    image = SmoothSplit("mask", "test", 12, BANDS, side=side)[row].images["s2"][0]
    normalised = (image - 1500) / 500
    beyond = -side % PATCH
    padded = np.pad(normalised, ((0, 0), (0, beyond), (0, beyond)), mode="reflect")
    tokens = torch.nn.functional.avg_pool2d(torch.from_numpy(padded)[None], PATCH)
    return torch.nn.functional.interpolate(tokens, scale_factor=PATCH, mode="bilinear")[0, :, :side, :side]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("stored", [False, True])
def test_a_decoder_sees_each_token_where_it_lies(tmp_path, side, stored):
    network, model = network_of(tmp_path, "mask", side)
    examples = network.stored_features("test", ("embedding",), grids=True) if stored else network.images("test")
    if stored:
        model.backbone = None
    (batch,) = examples.read([2, 5])
    predicted = outputs(model.eval(), batch, TASKS["mask"]).detach()
    assert predicted.shape == (2, 2, side, side)
    inner = slice(0, 36) if side > 80 else slice(None)  # where only one window reaches
    for place, row in enumerate((2, 5)):
        whole = expected(side, row)
        torch.testing.assert_close(
            predicted[place][:, inner, inner], whole[:, inner, inner], rtol=2e-3, atol=2e-3 if stored else 1e-5
        )
    assert set(model.decoder.sizes) == {(64, 64)}


def test_kept_panels_and_written_maps_are_the_prediction(tmp_path):
    side = 65
    network, model = network_of(tmp_path, "mask", side)
    examples = network.images("test")
    outcome = outcomes(model, examples, TASKS["mask"], 4)
    panels = kept_images(model, examples, outcome, TASKS["mask"], network)
    assert panels["panel.prediction"].shape == panels["panel.target"].shape == (6, side, side)
    for row, prediction in zip(panels["panel.rows"], panels["panel.prediction"], strict=True):
        np.testing.assert_array_equal(prediction, expected(side, int(row)).argmax(0).numpy())


def test_a_written_map_has_each_pixel_where_the_image_has_it(tmp_path):
    side = 65
    raster = tmp_path / "image.tif"
    write_tif(raster, np.zeros((1, side, side), np.float32), crs="EPSG:32630")
    suite = smooth_suite("mask", side)

    def open_split(root, task, split, bands):
        opened = suite.open(root, task, split, bands)
        opened.source = lambda row: raster
        return opened

    run = smooth_run("mask", side, finetune, augment=("none",), steps=20, learning_rates=(1e-2,), write=True)
    session = new_session(tmp_path, dataclasses.replace(suite, open=open_split))
    record = carry_out(run, session)
    assert record.status == "ok", record.error
    arrays = session.store.arrays(record)
    folder = session.store.root / "toy" / "predictions" / record.digest / "test"
    for row, prediction in zip(arrays["panel.rows"], arrays["panel.prediction"], strict=True):
        with rasterio.open(folder / f"test_{2000 + row}.tif") as file, rasterio.open(raster) as image:
            assert file.transform == image.transform and file.shape == (side, side)
            np.testing.assert_array_equal(file.read(1), prediction)


@pytest.mark.parametrize("stored", [False, True])
def test_a_detector_is_asked_for_boxes_of_all_that_its_tokens_cover(tmp_path, stored):
    network, model = network_of(tmp_path, "boxes", 65)
    assert network.input_size == (72, 72)
    examples = network.stored_features("test", ("embedding",), grids=True) if stored else network.images("test")
    if stored:
        model.backbone = None
    (batch,) = examples.read([0])
    answer = outputs(model.eval(), batch, TASKS["boxes"])
    assert model.decoder.sizes == [(72, 72)] and answer.shape[-2:] == (72, 72)
    assert batch.target[0]["boxes"].tolist() == [[3, 5, 40, 60]]


def test_the_identity_of_runs_changes_where_their_numbers_did():
    """Tokens of padded images were misplaced until version 3 of the probe; all other records stay valid."""

    def version(task, side, protocol, **settings):
        run = smooth_run(task, side, protocol, **settings)
        return run.protocol.version_for(smooth_suite(task, side), run.task, run.recipe, run.settings)

    assert [version("mask", side, probe) for side in (65, 72, 60)] == [3, 2, 2]
    assert [version("mask", 65, finetune, taps=(taps,)) for taps in ("last", "profile")] == [1, 2]
    assert version("mask", 72, finetune, taps=("profile",)) == 1
    assert [version("mask", 65, drift, taps=(taps,)) for taps in ("last", "profile")] == [2, 3]


def test_an_image_that_is_resized_as_a_whole_is_covered_exactly():
    from bench.input.recipe import match

    suite = smooth_suite("mask", 60)
    resized = match(dataclasses.replace(ENTRY, any_size=True), suite, TASKS["mask"], BANDS)
    assert not resized.windows and resized.size == (64, 64)
    assert resized.extent((60, 60)) == (60, 60) and not resized.pads((60, 60))
