"""Every decoder has right shapes for odd sizes and every stride, trains all its parameters, and learns a few images."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from bench.core import Tap
from bench.core.errors import Incompatible
from bench.metrics import classification, multilabel, regression, segmentation
from tests.builders.decoders import (
    CLASSES,
    DECODERS,
    GEOMETRIES,
    NAMES,
    PAIRS,
    Geometry,
    build,
    embedded,
    fit,
    run,
    taps_of,
    task_of,
    total,
    warm,
)

OF_KIND = {"pooled": ("classification", "multilabel", "regression"), "dense": ("segmentation", "dense_regression")}


def test_facts_are_read_without_torch():
    code = (
        "import sys; from bench.core import lookup; names = lookup.names('bench.decoders');"
        "kinds = [lookup.module('bench.decoders', n, kind='decoder').DECODER.kinds for n in names];"
        "assert len(kinds) > 10; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_sound_and_other_tasks_or_layers_are_refused(name):
    decoder = DECODERS[name]
    assert decoder.kinds and decoder.layers_read >= 0 and "rXiv" in decoder.reference
    geometry = GEOMETRIES["patch_8"]
    layers = geometry.layers[-decoder.layers_read :]
    other = "detection" if "detection" not in decoder.kinds else "regression"
    with pytest.raises(Incompatible, match=name):
        decoder.build(layers, task_of(other), outputs=3, image=geometry.image)
    with pytest.raises(Incompatible, match="layers"):
        few = layers[1:] if decoder.layers_read else []
        decoder.build(few, task_of(decoder.kinds[0]), outputs=3, image=geometry.image)


@pytest.mark.parametrize("where", GEOMETRIES)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_shape_at_every_stride(name, kind, where):
    """One image in training mode, two in evaluation, at a size that is no multiple of any stride."""
    geometry = GEOMETRIES[where]
    outputs = 1 if kind == "dense_regression" else CLASSES
    module = build(name, kind, geometry, outputs=outputs)
    size = (37, 51) if max(geometry.image) > 1 else (1, 1)
    trained = run(module, name, kind, taps_of(name, geometry, 1), size)
    module.eval()
    taps = taps_of(name, geometry, 2)
    if kind == "detection":
        assert {"boxes", "scores", "labels"} == set(module(taps, size)[0])
        assert all(loss.dim() == 0 and loss.isfinite() for loss in trained.values())
        return
    shape = (outputs, *size) if task_of(kind).dense else (outputs,)
    evaluated = module(taps, size)
    assert trained.shape == (1, *shape) and evaluated.shape == (2, *shape)
    assert evaluated.dtype == torch.float32 and evaluated.isfinite().all() and trained.isfinite().all()


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_seed_decides_the_initial_weights(name, kind):
    first, again, other = (build(name, kind, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("where", ["patch_8", "cnn"])
def test_gradient_reaches_every_parameter_and_tap(name, kind, where):
    geometry = GEOMETRIES[where]
    module = build(name, kind, geometry)
    module(*warm(name, kind, geometry))
    taps = taps_of(name, geometry, 4, seed=3, grad=True)
    size = geometry.image
    total(run(module, name, kind, taps, size)).backward()
    dead = [key for key, value in module.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    assert not dead
    reads = getattr(module, "reads", tuple(range(len(taps))))
    assert [i for i, tap in enumerate(taps) if tap.grid.grad is not None] == list(reads)
    for index in reads:
        assert (taps[index].grid.grad.abs().sum((1, 2, 3)) > 0).all(), "the features of each image must count"


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_evaluation_is_deterministic_and_depends_on_the_image(name, kind):
    geometry = GEOMETRIES["patch_8"]
    module = build(name, kind, geometry)
    module(*warm(name, kind, geometry))
    module.eval()
    taps, other = taps_of(name, geometry, 2, seed=1), taps_of(name, geometry, 2, seed=2)
    with torch.inference_mode():
        first, again, third = (module(inputs, geometry.image) for inputs in (taps, taps, other))
        alone = module([Tap(tap.grid[:1], tap.vector[:1]) for tap in taps], geometry.image)
    first, again, third, alone = (
        torch.cat([detected["scores"] for detected in output]) if kind == "detection" else output
        for output in (first, again, third, alone)
    )
    torch.testing.assert_close(first, again)
    assert len(first) and (first.shape != third.shape or (first - third).abs().max() > 1e-5)
    torch.testing.assert_close(first[: len(alone)], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] in OF_KIND["pooled"]])
def test_learns_a_handful_of_images(name, kind):
    geometry = GEOMETRIES["patch_8"]
    taps = taps_of(name, geometry, 8, seed=4)
    generator = torch.Generator().manual_seed(6)
    module = build(name, kind)
    if kind == "regression":
        target = torch.randn(8, CLASSES, generator=generator)
        fit(module, lambda: functional.mse_loss(module(taps, (1, 1)), target), steps=300, rate=2e-2)
        assert regression(module(taps, (1, 1)).detach().numpy(), target.numpy())["r2"] > 0.97
    elif kind == "multilabel":
        target = (torch.rand(8, CLASSES, generator=generator) > 0.5).float()
        fit(module, lambda: functional.binary_cross_entropy_with_logits(module(taps, (1, 1)), target), steps=100)
        assert multilabel(module(taps, (1, 1)).sigmoid().detach().numpy(), target.numpy())["map"] > 0.99
    else:
        target = torch.randint(CLASSES, (8,), generator=generator)
        fit(module, lambda: functional.cross_entropy(module(taps, (1, 1)), target), steps=100)
        assert classification(module(taps, (1, 1)).argmax(1).numpy(), target.numpy(), CLASSES)["accuracy"] == 1.0


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] in OF_KIND["dense"]])
def test_learns_a_handful_of_maps(name, kind):
    """Six images with patches of 8, in stripes of three classes or with values that vary from patch to patch."""
    geometry = Geometry((8,) * 4, (40, 56))
    generator = torch.Generator().manual_seed(7)
    cells = torch.rand(6, 1, 5, 7, generator=generator)
    values = 4 * functional.interpolate(cells, (40, 56), mode="bilinear")[:, 0] - 2
    codes = (torch.arange(5) + torch.arange(6)[:, None]) % CLASSES
    mask = codes.repeat_interleave(8, 1)[:, :, None].expand(-1, -1, 56)
    if kind == "segmentation":
        images = torch.stack([mask == 1, mask == 2], 1).float()
    else:
        images = functional.interpolate(cells, (40, 56), mode="nearest").expand(-1, 2, -1, -1)
    taps = embedded(name, images + 0.02 * torch.randn(images.shape, generator=generator), geometry)
    module = build(name, kind, geometry, outputs=CLASSES if kind == "segmentation" else 1)
    if kind == "segmentation":
        fit(module, lambda: functional.cross_entropy(module(taps, (40, 56)), mask), steps=80)
        predicted = module(taps, (40, 56)).argmax(1)
        counts = np.bincount((mask * CLASSES + predicted).flatten().numpy(), minlength=CLASSES**2)
        assert segmentation(counts.reshape(CLASSES, CLASSES))["miou"] > 0.97
    else:
        fit(module, lambda: functional.mse_loss(module(taps, (40, 56))[:, 0], values), steps=150)
        error = (module(taps, (40, 56))[:, 0] - values).square().mean()
        assert 1 - error / values.var() > 0.9


def test_standardise_equals_the_standardisation_of_the_probes_on_frozen_features():
    from bench.decoders.parts.norms import Standardise
    from bench.probes.dense import channel_statistics

    generator = torch.Generator().manual_seed(0)
    grids = torch.randn(12, 5, 4, 3, generator=generator) * torch.tensor([1.0, 9, 1e-3, 40, 0])[:, None, None] + 100
    norm = Standardise(5)
    for part in grids.split(3):
        norm(part)
    mean, scale = channel_statistics(grids.numpy(), np.arange(12))
    torch.testing.assert_close(norm.mean, mean.float(), rtol=1e-6, atol=1e-4)
    torch.testing.assert_close(norm.variance[[0, 1, 3]], scale.float()[[0, 1, 3]] ** 2, rtol=1e-3, atol=0)
    trained = norm.train()(grids[:1].repeat(1, 1, 1, 1))
    assert trained[:, 4].abs().max() < 1e-3, "a constant channel is only centred"
    state = {key: value.clone() for key, value in norm.state_dict().items()}
    norm.eval()(grids)
    assert all(torch.equal(value, norm.state_dict()[key]) for key, value in state.items())


def test_standardise_computes_the_same_in_training_and_evaluation_and_takes_a_single_value():
    from bench.decoders.parts.norms import Standardise

    norm = Standardise(4)
    values = torch.randn(1, 4, 1, 1)
    assert not norm(values).abs().max() > 0
    for seed in range(50):
        norm(torch.randn(1, 4, generator=torch.Generator().manual_seed(seed)) * 3 + 7)
    assert (norm.mean - 7).abs().max() < 2 and (norm.variance.sqrt() - 3).abs().max() < 1.5
    trained = norm(values)
    torch.testing.assert_close(norm.eval()(values), trained)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_bfloat16_autocast(name, kind):
    geometry = GEOMETRIES["patch_8"]
    module = build(name, kind, geometry)
    with torch.autocast("cpu", torch.bfloat16):
        output = run(module, name, kind, taps_of(name, geometry, 2), geometry.image)
    assert total(output).dtype == torch.float32 and total(output).isfinite()


@pytest.mark.parametrize("name", [name for name in NAMES if "segmentation" in DECODERS[name].kinds])
def test_the_output_for_an_image_does_not_depend_on_its_batch(name):
    """With fixed running statistics this holds in training mode too: no decoder mixes the images of a batch."""
    geometry = GEOMETRIES["cnn"]
    module = build(name, "segmentation", geometry).eval()
    taps = taps_of(name, geometry, 3)
    both = module(taps, (50, 70))
    alone = module([Tap(tap.grid[:1], tap.vector[:1]) for tap in taps], (50, 70))
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-5)
    for part in module.modules():
        part.train(not isinstance(part, type(module.neck)) and "Standardise" not in type(part).__name__)
    torch.testing.assert_close(module(taps, (50, 70)), both, rtol=1e-4, atol=1e-5)


def test_the_pyramid_has_the_strides_of_the_papers():
    from bench.decoders.parts.pyramid import Pyramid, finest_stride

    expected = {"patch_4": 4, "patch_8": 4, "patch_14": 3.5, "patch_16": 4, "patch_32": 4, "patch_10": 5, "pixels": 1}
    expected |= {"cnn": 4, "cnn_fine": 2, "repeated": 4, "swin_quarters": 4, "one_cell": 4}
    for where, finest in expected.items():
        geometry = GEOMETRIES[where]
        assert finest_stride(geometry.layers) == finest, where
        pyramid = Pyramid(geometry.layers)
        grids = [torch.randn(1, c, *grid) for c, grid in zip(geometry.channels, geometry.grids, strict=True)]
        for place, (grid, channels) in enumerate(zip(pyramid(grids), pyramid.channels, strict=True)):
            assert grid.shape[1] == channels
            # A side follows from the strides, except where odd sides were rounded up.
            for side, pixels in zip(grid.shape[-2:], geometry.image, strict=True):
                assert abs(side - pixels / (finest * 2**place)) < geometry.strides[place] / (finest * 2**place) + 1, (
                    where
                )
