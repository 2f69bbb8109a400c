"""The dense probe recovers what is linear, scores every valid pixel once, and is untouched by ignored ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, r2_score

from bench.core.errors import Incompatible
from bench.metrics import dense_regression, segmentation
from bench.metrics.pixel_sums import confusion_counts, error_sums
from bench.probes.crops import random_crop
from bench.probes.dense import DenseFit, channel_statistics, dense_outputs, fit_dense, upsampled

WORDS = dict(classes=3, ignore=-1, learning_rates=(1e-3, 1e-2, 3e-2), steps=150, batch=4)


@pytest.fixture(scope="module")
def planted():
    """Tokens whose class is linear in two of six channels, at the label's own resolution and at half of it."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 3, (12, 4, 4))
    masks = coarse.repeat(8, 1).repeat(8, 2)
    grids = rng.normal(5, 3, (12, 6, 16, 16)).astype(np.float16)
    level = np.stack([(coarse == 1), (coarse == 2)], 1).repeat(4, 2).repeat(4, 3)
    grids[:, 2:4] = (level * 40 + rng.normal(0, 2, level.shape)).astype(np.float16)
    masks[:, :3] = -1
    return grids, masks.astype(np.int16)


def fit(grids, masks, rows=None, seed=0, **changes):
    rows = np.arange(len(grids)) if rows is None else rows
    words = {**WORDS, **changes}
    return fit_dense([grids], masks, rows=rows, generator=torch.Generator().manual_seed(seed), **words)[0]


def sums(fitted, grids, masks, rows, of, extent=None):
    """Confusions or error sums (R, n, ...) of the heads on some images."""
    parts = []
    for places, outputs in dense_outputs(fitted, grids, masks.shape[1:], rows=rows, extent=extent):
        parts.append(of(outputs, torch.from_numpy(masks[rows[places]])))
    return np.moveaxis(torch.cat(parts).numpy(), 1, 0)


def confusion(fitted, grids, masks, rows, ignore=-1, classes=3, extent=None):
    def count(outputs, target):
        return confusion_counts(outputs.argmax(2), target.long(), classes, ignore)

    return sums(fitted, grids, masks, rows, count, extent)


def errors_of(fitted, grids, values, rows):
    return sums(fitted, grids, values, rows, lambda o, target: error_sums(o[:, :, 0], target, fitted.centre))


def test_recovers_a_planted_map_on_other_images(planted):
    grids, masks = planted
    probe = fit(grids, masks, rows=np.arange(8))
    counts = confusion(probe, grids, masks, np.arange(8, 12))
    scores = [segmentation(matrix)["miou"] for matrix in counts]
    assert max(scores) > 0.97 and counts.shape == (3, 4, 3, 3)


def test_every_valid_pixel_is_scored_once(planted):
    grids, masks = planted
    probe = fit(grids, masks, steps=5)
    counts = confusion(probe, grids, masks, np.array([3, 7]))
    for place, row in enumerate((3, 7)):
        assert (counts[:, place].sum((1, 2)) == (masks[row] >= 0).sum()).all()
    tokens = (torch.from_numpy(grids[3:4].astype(np.float32)) - probe.mean[:, None, None]) / probe.scale[:, None, None]
    logits = torch.einsum("bdhw,kd->bkhw", tokens, probe.weight[1]) + probe.bias[1][:, None, None]
    predicted = (
        torch.nn.functional.interpolate(logits, (32, 32), mode="bilinear", align_corners=False).argmax(1)[0].numpy()
    )
    valid = masks[3] >= 0
    np.testing.assert_array_equal(counts[1, 0], confusion_matrix(masks[3][valid], predicted[valid], labels=[0, 1, 2]))


def test_statistics_equal_batch_norm(planted):
    grids, _ = planted
    mean, scale = channel_statistics(grids, np.arange(12))
    norm = torch.nn.BatchNorm2d(6, momentum=None).double()
    norm(torch.from_numpy(grids.astype(np.float64)))
    torch.testing.assert_close(mean, norm.running_mean)
    count = grids.size / 6
    torch.testing.assert_close(scale**2, norm.running_var * (count - 1) / count)


def test_a_constant_channel_is_harmless(planted):
    grids, masks = planted
    grids = grids.copy()
    grids[:, 0] = 7
    assert bool(torch.isfinite(fit(grids, masks, steps=5).weight).all())


def test_each_learning_rate_is_trained_as_if_alone(planted):
    grids, masks = planted
    together = fit(grids, masks)
    alone = fit(grids, masks, learning_rates=(1e-2,))
    torch.testing.assert_close(together.select(1).weight, alone.weight, rtol=1e-4, atol=1e-5)


def test_adam_is_torch_adam(planted):
    grids, masks = planted
    probe = fit(grids, masks, learning_rates=(1e-2,), steps=10, batch=12)
    tokens = (torch.from_numpy(grids.astype(np.float32)) - probe.mean[:, None, None]) / probe.scale[:, None, None]
    layer = torch.nn.Conv2d(6, 3, 1)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + np.cos(np.pi * step / 10)))
    for _ in range(10):
        logits = torch.nn.functional.interpolate(layer(tokens), (32, 32), mode="bilinear", align_corners=False)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(masks).long(), ignore_index=-1).backward()
        optimiser.step()
        schedule.step()
    torch.testing.assert_close(probe.weight[0], layer.weight[:, :, 0, 0].detach(), rtol=1e-3, atol=1e-4)


def test_ignored_pixels_change_nothing(planted):
    grids, masks = planted
    other = masks.copy()
    other[masks == -1] = -1
    codes = np.where(masks == -1, 255, masks).astype(np.int16)
    whole, masked = fit(grids, masks), fit(grids, codes, ignore=255)
    assert torch.equal(whole.weight, masked.weight)
    rows = np.arange(12)
    np.testing.assert_array_equal(
        confusion(whole, grids, masks, rows), confusion(masked, grids, codes, rows, ignore=255)
    )
    blank = np.full_like(masks, -1)
    assert bool((fit(grids, blank, steps=3).weight == 0).all())


def test_the_seed_decides_the_order_and_nothing_global_does(planted, tmp_path):
    grids, masks = planted
    first = fit(grids, masks, steps=20)
    torch.manual_seed(99)
    assert torch.equal(first.weight, fit(grids, masks, steps=20).weight)
    assert not torch.equal(first.weight, fit(grids, masks, steps=20, seed=1).weight)
    np.save(tmp_path / "g.npy", grids)
    mapped = np.load(tmp_path / "g.npy", mmap_mode="r")
    assert torch.equal(first.weight, fit(mapped, masks, steps=20).weight)


def test_a_crop_is_a_part_of_the_whole_upsampled_image():
    rng = np.random.default_rng(0)
    grids, masks = (
        rng.normal(size=(2, 3, 64, 64)).astype(np.float32),
        rng.integers(0, 2, (2, 512, 512)).astype(np.int16),
    )
    weight, bias = torch.randn(1, 2, 2, 3), torch.randn(1, 2, 2)
    whole = upsampled(torch.from_numpy(grids)[None], weight, bias, (512, 512))
    generator = torch.Generator().manual_seed(0)
    places = set()
    for _ in range(20):
        tokens, target, crop = random_crop([grids], masks, np.array([0, 1]), (512, 512), generator)
        part = upsampled(tokens, weight, bias, crop.extent)[..., crop.rows, crop.columns]
        assert target.shape == (2, 128, 128) and part.shape[-2:] == (128, 128)
        flat = np.lib.stride_tricks.sliding_window_view(masks[0], (128, 128))[::8, ::8]
        top, left = np.argwhere((flat == target[0].numpy()).all((2, 3)))[0] * 8
        places.add((int(top), int(left)))
        torch.testing.assert_close(part, whole[..., top : top + 128, left : left + 128])
    assert len(places) > 10


def test_layers_trained_together_are_trained_as_if_alone(planted):
    grids, masks = planted
    words = {**WORDS, "rows": np.arange(12), "steps": 20}
    other = (grids[:, ::-1] * 2).astype(np.float16)
    both = fit_dense([grids, other], masks, generator=torch.Generator().manual_seed(0), **words)
    alone = [
        fit_dense([layer], masks, generator=torch.Generator().manual_seed(0), **words)[0] for layer in (grids, other)
    ]
    for together, single in zip(both, alone, strict=True):
        torch.testing.assert_close(together.weight, single.weight, rtol=1e-4, atol=1e-6)


def test_values_are_predicted_as_a_planted_map_says_and_errors_add_up(planted):
    """A height that is linear in two channels; holes are neither learnt from nor scored."""
    grids, _ = planted
    tokens = grids.astype(np.float32)
    height = (120 + 2.5 * tokens[:, 2] - 1.5 * tokens[:, 3]).repeat(2, 1).repeat(2, 2).astype(np.float32)
    height[:, :5] = np.nan
    height[2] = np.nan
    probe = fit(grids, height, rows=np.arange(8), classes=0, ignore=None, steps=400)
    rows = np.array([2, 8, 9, 10, 11])
    errors = errors_of(probe, grids, height, rows)
    assert errors.shape == (3, 5, 5) and (errors[:, 0] == 0).all()
    assert (errors[:, 1:, 4] == 27 * 32).all()
    scores = [dense_regression(sums) for sums in errors]
    best = max(range(3), key=lambda i: scores[i]["r2"])
    assert scores[best]["r2"] > 0.94  # steps of the height are blurred on the way to the label grid
    chosen = probe.select(best)
    flat = (torch.from_numpy(tokens[rows]) - chosen.mean[:, None, None]) / chosen.scale[:, None, None]
    small = torch.einsum("bdhw,kd->bkhw", flat, chosen.weight[0]) + chosen.bias[0][:, None, None]
    predicted = torch.nn.functional.interpolate(small, (32, 32), mode="bilinear", align_corners=False)[:, 0]
    predicted = (chosen.centre + chosen.spread * predicted).numpy()
    valid = np.isfinite(height[rows])
    truth = height[rows][valid]
    assert scores[best]["rmse"] == pytest.approx(np.sqrt(np.mean((predicted[valid] - truth) ** 2)), rel=1e-5)
    assert scores[best]["mae"] == pytest.approx(np.abs(predicted[valid] - truth).mean(), rel=1e-5)
    assert scores[best]["r2"] == pytest.approx(r2_score(truth, predicted[valid]), rel=1e-5)
    with pytest.raises(Incompatible, match="single value"):
        fit(grids, height, rows=np.array([2]), classes=0, ignore=None)


def test_tokens_of_a_padded_image_lie_where_their_pixels_lie():
    """65 pixels are padded to nine tokens of 8: the grid covers 72 pixels, of which the label has the first 65."""
    rng = np.random.default_rng(3)
    tokens = rng.normal(size=(2, 3, 9, 9)).astype(np.float32)
    fitted = DenseFit(mean=torch.zeros(3), scale=torch.ones(3), weight=torch.eye(3)[None], bias=torch.zeros(1, 3))
    ((places, outputs),) = dense_outputs(fitted, tokens, (65, 65), rows=np.arange(2), extent=(72, 72))
    whole = torch.nn.functional.interpolate(torch.from_numpy(tokens), scale_factor=8, mode="bilinear")
    assert places.tolist() == [0, 1]
    torch.testing.assert_close(outputs[:, 0], whole[..., :65, :65], rtol=0, atol=1e-6)


def test_a_padded_image_is_learnt_and_scored_as_a_whole_one():
    """Grids that are the mask averaged over tokens: cutting seven pixels off the label costs nothing."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 2, (10, 9, 9))
    masks = coarse.repeat(8, 1).repeat(8, 2)
    grids = np.stack([coarse * 40.0, rng.normal(size=coarse.shape)], 1).astype(np.float32)
    cut = np.ascontiguousarray(masks[:, :65, :65])

    def score(labels, extent):
        """mIoU over the first 65 pixels of heads trained on some labels."""
        fitted = fit(grids, labels, classes=2, learning_rates=(3e-2,), extent=extent)
        return segmentation(confusion(fitted, grids, cut, np.arange(10), classes=2, extent=extent)[0])["miou"]

    assert score(cut, (72, 72)) == pytest.approx(score(masks, (72, 72)), abs=0.002)
    assert score(cut, (65, 65)) < score(cut, (72, 72)) - 0.3  # a grid stretched to the label


def test_crops_of_a_padded_image_hold_labels_alone():
    rng = np.random.default_rng(5)
    grids = rng.normal(size=(1, 2, 64, 64)).astype(np.float32)
    masks = rng.integers(0, 2, (1, 500, 300)).astype(np.int16)
    weight, bias = torch.eye(2)[None, None], torch.zeros(1, 1, 2)
    whole = upsampled(torch.from_numpy(grids)[None], weight, bias, (512, 512))
    generator = torch.Generator().manual_seed(0)
    ends = set()
    for _ in range(200):
        tokens, target, crop = random_crop([grids], masks, np.array([0]), (512, 512), generator)
        part = upsampled(tokens, weight, bias, crop.extent)[..., crop.rows, crop.columns]
        assert target.shape[1:] == part.shape[-2:]
        high, wide = target.shape[1:]
        assert 120 < high <= 128 and 120 < wide <= 128
        flat = np.lib.stride_tricks.sliding_window_view(masks[0], (high, wide))[::8, ::8]
        ((top, left),) = np.argwhere((flat == target[0].numpy()).all((2, 3))) * 8
        torch.testing.assert_close(part, whole[..., top : top + high, left : left + wide])
        ends |= {("bottom", top + high == 500), ("right", left + wide == 300)}
    assert {("bottom", True), ("right", True)} <= ends
