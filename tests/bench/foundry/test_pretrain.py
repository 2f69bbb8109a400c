from __future__ import annotations

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
import torch
from torchgeo.models.croma import get_2dalibi

from bench.core import Sample, Suite, Task
from bench.core.errors import BadSetting, UnknownName
from bench.foundry import pretrain
from bench.foundry.pretraining import croma, dino, mae, training, views
from bench.foundry.pretraining.settings import DINOSettings, PretrainSettings
from bench.models import tiny
from bench.networks.checkpoint_files import read_state

ENTRIES = {entry.name: entry for entry in tiny.ENTRIES}
METHODS = sorted(ENTRIES)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def landscapes(count, *, seed=0):
    """Smooth random images of both sensors that share one pattern, so that there is something to learn."""
    rng = generator(seed)
    pattern = torch.nn.functional.interpolate(torch.randn(count, 1, 8, 8, generator=rng), 64, mode="bilinear")
    mixed = {
        sensor: pattern * torch.randn(1, bands, 1, 1, generator=rng)
        + 0.3 * torch.randn(count, bands, 64, 64, generator=rng)
        for sensor, bands in (("s2", 12), ("s1", 2))
    }
    return {sensor: values.half() for sensor, values in mixed.items()}


def settings(name, **changes):
    small = DINOSettings(global_size=32, local_size=16, local_views=2, prototypes=32)
    return PretrainSettings(model=name, **{"batch": 8, "dino": small, **changes})


def trained(name, *, epochs=1, count=24, **changes):
    wanted = training.completed(ENTRIES[name], settings(name, epochs=epochs, **changes))
    method = training.method_of(ENTRIES[name], wanted)
    images = landscapes(count)
    if name != "tiny_croma":
        del images["s1"]
    losses = training.train(method, images, wanted)
    return method, losses


# --- the loop


@pytest.mark.parametrize("name", METHODS)
def test_equal_seeds_give_equal_weights_bit_for_bit(name):
    before = torch.get_rng_state()
    (first, losses), (same, _), (other, _) = (trained(name, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before), "the global generator moved"
    assert np.isfinite(losses).all()
    states = [method.encoder.state_dict() for method in (first, same, other)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert any(not torch.equal(value, states[2][key]) for key, value in states[0].items())


@pytest.mark.parametrize("name", ["tiny_mae", "tiny_croma"])
def test_training_lowers_the_loss(name):
    _, losses = trained(name, epochs=8)
    assert losses[-1] < 0.9 * losses[0]


def test_learning_rate_rises_then_falls_to_zero():
    factors = [training.learning_rate_factor(share, 0.2) for share in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert factors == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
    assert training.learning_rate_factor(0.0, 0.0) == 1.0
    assert training.learning_rate_factor(1.0, 1.0) == pytest.approx(1.0)


def test_an_epoch_sees_every_image_once():
    images = {"s2": torch.arange(10.0).reshape(10, 1, 1, 1)}
    seen = [batch["s2"].flatten().tolist() for batch in training.batches(images, 5, generator())]
    assert [len(batch) for batch in seen] == [5, 5]
    order = [value for batch in seen for value in batch]
    assert sorted(order) == list(range(10)) != order


# --- views


def test_turned_images_have_the_eight_orientations_equally_often():
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    square = image[0, 0].numpy()
    known = {np.rot90(m, k).tobytes() for m in (square, square.T) for k in range(4)}
    counts = Counter(view[0].numpy().tobytes() for view in views.turned(image.repeat(4000, 1, 1, 1), generator()))
    assert set(counts) == known and len(known) == 8
    assert all(abs(count - 500) < 5 * (500 * 7 / 8) ** 0.5 for count in counts.values())


def test_crops_are_squares_of_the_image_in_any_orientation():
    ramp = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")).unsqueeze(0)
    whole = views.cropped(ramp.repeat(64, 1, 1, 1), 64, (1.0, 1.0), generator())
    turns = [np.rot90(m, k, (-2, -1)) for m in (ramp[0], ramp[0].transpose(-2, -1)) for k in range(4)]
    nearest = [min(np.abs(view - turn).max() for turn in turns) for view in whole.numpy()]
    assert max(nearest) < 1e-3
    quarter = views.cropped(ramp.repeat(64, 1, 1, 1), 16, (0.25, 0.25), generator())
    spans = quarter.amax((-2, -1)) - quarter.amin((-2, -1))
    # 16 samples over 32 pixels stand 2 apart: 15 steps of 2.
    assert torch.allclose(spans, torch.full_like(spans, 30.0), atol=1e-3)
    assert quarter.min() >= 0 and quarter.max() <= 63


def test_recolouring_keeps_patterns_and_changes_bands():
    images = torch.randn(8, 12, 16, 16, generator=generator(1))
    same = views.recoloured(images, gain=0.0, offset=0.0, noise=0.0, generator=generator())
    assert torch.equal(same, images)
    changed = views.recoloured(images, gain=0.3, offset=0.3, noise=0.0, generator=generator())
    joined = torch.stack([images.flatten(2), changed.flatten(2)], -2)
    correlations = torch.stack([torch.corrcoef(pair)[0, 1] for pair in joined.flatten(0, 1)])
    assert torch.allclose(correlations, torch.ones_like(correlations), atol=1e-4)
    shifts = changed.mean((-2, -1)) - images.mean((-2, -1))
    assert shifts.std(1).min() > 0.05, "bands of an image moved together"


def test_patches_are_cut_row_by_row():
    image = torch.randn(1, 3, 16, 24, generator=generator())
    patches = views.patches_of(image, 8)
    expected = [image[0, :, r : r + 8, c : c + 8].flatten() for r in (0, 8) for c in (0, 8, 16)]
    assert torch.equal(patches[0], torch.stack(expected))
    scaled = views.standardised(patches * 50 + 7)
    assert torch.allclose(scaled.mean(-1), torch.zeros(1, 6), atol=1e-5)
    assert torch.allclose(scaled.var(-1, unbiased=False), torch.ones(1, 6), atol=1e-4)


def test_masks_hide_the_share_asked_for_and_every_token_alike():
    indices = views.visible_tokens(4000, 64, 0.75, generator())
    assert indices.shape == (4000, 16)
    assert (indices.diff(dim=1) > 0).all()
    mask = views.hidden_mask(indices, 64)
    assert (mask.sum(1) == 48).all()
    assert (mask.gather(1, indices) == 0).all()
    assert (mask.mean(0) - 0.75).abs().max() < 5 * (0.75 * 0.25 / 4000) ** 0.5


# --- masked autoencoder


def test_error_counts_hidden_patches_alone():
    rng = generator()
    predicted, target = torch.randn(2, 6, 5, generator=rng).requires_grad_(), torch.randn(2, 6, 5, generator=rng)
    hidden = torch.tensor([[1.0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    error = mae.masked_error(predicted, target, hidden)
    chosen = hidden.bool()
    assert error.item() == pytest.approx(((predicted - target)[chosen] ** 2).mean().item(), rel=1e-6)
    error.backward()
    assert (predicted.grad[~chosen] == 0).all() and (predicted.grad[chosen] != 0).all()


def test_the_encoder_sees_no_hidden_patch():
    method = training.method_of(ENTRIES["tiny_mae"], settings("tiny_mae"))
    pixels = torch.randn(2, 12, 64, 64, generator=generator())
    indices = views.visible_tokens(2, 64, 0.75, generator())
    mask = views.hidden_mask(indices, 64).reshape(2, 1, 8, 8)
    hidden = mask.repeat_interleave(8, -1).repeat_interleave(8, -2)
    with torch.no_grad():
        clear = method.encode(pixels, indices)
        assert torch.equal(method.encode(pixels + 100 * hidden, indices), clear)
        assert not torch.allclose(method.encode(pixels + 100 * (1 - hidden), indices), clear)
        everything = torch.arange(64).expand(2, -1)
        whole = method.encoder.forward_features(pixels)[:, 1:]
        assert torch.allclose(method.encode(pixels, everything), whole, atol=1e-5)


def test_the_decoder_puts_tokens_back_in_their_places():
    method = training.method_of(ENTRIES["tiny_mae"], settings("tiny_mae"))
    tokens = torch.randn(1, 16, 72, generator=generator())
    indices = views.visible_tokens(1, 64, 0.75, generator())
    order = torch.randperm(16, generator=generator())
    with torch.no_grad():
        plain = method.decoder(tokens, indices)
        assert torch.allclose(method.decoder(tokens[:, order], indices[:, order]), plain, atol=1e-6)
        assert not torch.allclose(method.decoder(tokens[:, order], indices), plain, atol=1e-3)


def test_the_position_embedding_of_the_autoencoder_stays():
    method, _ = trained("tiny_mae")
    start = training.method_of(ENTRIES["tiny_mae"], settings("tiny_mae"))
    assert torch.equal(method.encoder.pos_embed, start.encoder.pos_embed)
    assert not torch.equal(method.encoder.patch_embed.proj.weight, start.encoder.patch_embed.proj.weight)


# --- DINO


def test_the_teacher_is_the_moving_average_of_the_student():
    method = training.method_of(ENTRIES["tiny_dino"], settings("tiny_dino"))
    pairs = list(zip(method.teacher.parameters(), method.student.parameters(), strict=True))
    assert all(torch.equal(old, new) and old.data_ptr() != new.data_ptr() for old, new in pairs)
    loss = method.loss({"s2": torch.randn(4, 12, 64, 64, generator=generator())}, generator())
    loss.backward()
    assert all(old.grad is None and not old.requires_grad for old, _ in pairs)
    assert all(new.grad is not None for _, new in pairs)
    with torch.no_grad():
        for _, new in pairs:
            new.add_(torch.randn(new.shape, generator=generator()))
    before = [old.clone() for old, _ in pairs]
    method.after_step(0.0)
    momentum = method.settings.momentum
    for (old, new), start in zip(pairs, before, strict=True):
        assert torch.allclose(old, momentum * start + (1 - momentum) * new, atol=1e-6)
    before = [old.clone() for old, _ in pairs]
    method.after_step(1.0)
    assert all(torch.equal(old, start) for (old, _), start in zip(pairs, before, strict=True))
    assert method.encoder is method.teacher.encoder


def test_distillation_loss_is_the_published_sum():
    rng = generator()
    student = [torch.randn(3, 5, generator=rng) for _ in range(4)]
    teacher = [torch.randn(3, 5, generator=rng) for _ in range(2)]
    terms = []
    for i in range(2):
        for j in range(4):
            if i == j:
                continue
            for row in range(3):
                target = np.exp(teacher[i][row].numpy() / 0.04)
                guess = np.exp(student[j][row].numpy().astype(float) / 0.1)
                terms.append(-np.sum(target / target.sum() * np.log(guess / guess.sum())))
    computed = dino.distillation_loss(student, teacher, (0.1, 0.04))
    assert computed.item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_the_centre_follows_the_teachers_outputs():
    method = training.method_of(ENTRIES["tiny_dino"], settings("tiny_dino"))
    pixels = torch.randn(4, 12, 64, 64, generator=generator())
    views = method.views(pixels, generator(5))
    assert [view.shape[-1] for view in views] == [32, 32, 16, 16]
    with torch.no_grad():
        expected = 0.1 * torch.cat(method.teacher(views[:2])).mean(0)
    method.loss({"s2": pixels}, generator(5))
    assert torch.allclose(method.centre, expected, atol=1e-6)


# --- CROMA


def test_contrast_is_cross_entropy_both_ways():
    rng = generator()
    first, second = (torch.randn(4, 6, generator=rng).double() for _ in range(2))
    unit = [values / values.norm(dim=1, keepdim=True) for values in (first, second)]
    scores = (unit[0] @ unit[1].T / 0.1).numpy()
    across = np.log(np.exp(scores).sum(1)) - scores.diagonal()
    back = np.log(np.exp(scores).sum(0)) - scores.diagonal()
    computed = croma.contrast(first, second, 0.1)
    assert computed.item() == pytest.approx((across.mean() + back.mean()) / 2, rel=1e-9)
    assert croma.contrast(first, first, 0.1) < computed


def test_masked_croma_with_everything_visible_is_torchgeos_own_pass():
    method = training.method_of(ENTRIES["tiny_croma"], settings("tiny_croma"))
    images = {sensor: values.float() for sensor, values in landscapes(2).items()}
    everything = torch.arange(64).expand(2, -1)
    patches = [views.patches_of(images[sensor], 8) for sensor in ("s1", "s2")]
    network, bias = method.encoder, get_2dalibi(4, 64)
    with torch.no_grad():
        tokens = method.encode(patches, [everything, everything])
        joint = method.join(tokens, [everything, everything])
        expected = [network.s1_encoder(images["s1"], bias), network.s2_encoder(images["s2"], bias)]
        assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(tokens, expected, strict=True))
        assert torch.allclose(joint, network.joint_encoder(*expected, bias), atol=1e-5)


def test_masked_croma_measures_distance_between_visible_places():
    method = training.method_of(ENTRIES["tiny_croma"], settings("tiny_croma"))
    here = torch.tensor([[0, 9], [63, 5]])
    there = torch.tensor([[1, 2, 63], [7, 8, 0]])
    distances = method._bias(here, there)
    rows, columns = (lambda place: place // 8), (lambda place: place % 8)
    for image, head, query, key in np.ndindex(2, 4, 2, 3):
        a, b = here[image, query].item(), there[image, key].item()
        distance = np.hypot(rows(a) - rows(b), columns(a) - columns(b))
        assert distances[image, head, query, key].item() == pytest.approx(
            -(2.0 ** (-2 * (head + 1))) * distance, rel=1e-5
        )


# --- the recipe


@pytest.fixture
def suite(monkeypatch):
    """A suite of 20 images of random numbers in dn and dB, opened without files."""
    images = landscapes(20)
    raw = {"s2": images["s2"].float().numpy() * 900 + 1800, "s1": images["s1"].float().numpy() * 3 - 12}

    class Split:
        ids = blocks = tuple(str(index) for index in range(20))

        def __init__(self, bands):
            self.sensors = {band.sensor for band in bands}

        def __len__(self):
            return 20

        def __getitem__(self, index):
            return Sample({sensor: raw[sensor][index][None] for sensor in self.sensors}, 0)

        def targets(self):
            return np.zeros(20)

    noise = Suite(
        name="noise",
        version=7,
        title="noise",
        bands=(*tiny.S2, *tiny.S1),
        image_size=(64, 64),
        tasks=(Task(name="unlabelled", kind="regression", metric="r2"),),
        splits={"train": 20},
        generated=True,
        open=lambda root, task, split, bands: Split(bands),
    )
    monkeypatch.setattr(pretrain, "load_suite", lambda name: noise)
    return noise


def test_the_recipe_leaves_weights_that_load_and_a_card_that_says_how(suite, tmp_path):
    messages = []
    wanted = settings("tiny_croma", suite="noise", epochs=2, seed=5, images=16)
    path = pretrain.RECIPE.run(wanted, data=tmp_path, out=tmp_path / "weights", progress=messages.append)
    assert path == tmp_path / "weights" / "tiny" / "tiny_croma.safetensors"
    assert len(messages) == 2 and messages[1].startswith("epoch 2 of 2: loss ")
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size
    state = read_state(path)
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert card["parameters"] == sum(value.numel() for value in state.values())
    assert (card["settings"]["seed"], card["settings"]["epochs"], len(card["losses"])) == (5, 2, 2)
    moments = [card["data"].pop(f"normalised_{name}") for name in ("mean", "deviation")]
    bands = [band.name for band in (*tiny.S2, *tiny.S1)]
    assert card["data"].pop("bands") == bands
    pool = training.read_pool(ENTRIES["tiny_croma"], suite, wanted, tmp_path)
    joined = torch.cat([pool["s2"], pool["s1"]], 1).double().numpy()
    assert moments[0] == pytest.approx(joined.mean((0, 2, 3)), abs=1e-4)
    assert moments[1] == pytest.approx(joined.std((0, 2, 3)), abs=1e-4)
    assert card["data"] == {
        "suite": "noise",
        "version": 7,
        "generated": True,
        "task": "unlabelled",
        "split": "train",
        "images": 16,
    }
    assert card["method"].pop("name") == "CrossModal"
    again = PretrainSettings(**card["settings"], croma=card["method"])
    assert again == wanted.model_copy(update={"dino": DINOSettings()})
    backbone = ENTRIES["tiny_croma"].load(ENTRIES["tiny_croma"], path, 0, (*tiny.S2, *tiny.S1))
    kept = {f"network.{name}": value.float() for name, value in state.items() if "GAP_FFN" not in name}
    assert kept.keys() == backbone.state_dict().keys()
    assert all(torch.equal(value, kept[name]) for name, value in backbone.state_dict().items())
    again = pretrain.RECIPE.run(wanted, data=tmp_path, out=tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()


def test_numbers_left_out_are_the_methods_own():
    own = training.completed(ENTRIES["tiny_dino"], PretrainSettings(model="tiny_dino", batch=7))
    assert (own.epochs, own.batch) == (DINOSettings().epochs, 7)


def test_images_are_normalised_as_the_entry_says(suite, tmp_path):
    pool = training.read_pool(ENTRIES["tiny_mae"], suite, settings("tiny_mae"), tmp_path)
    assert set(pool) == {"s2"} and pool["s2"].shape == (20, 12, 64, 64)
    raw = suite.open(tmp_path, "unlabelled", "train", suite.bands)[3].images["s2"][0]
    normalise = ENTRIES["tiny_mae"].normalise
    expected = (raw - np.reshape(normalise.shift, (12, 1, 1))) / np.reshape(normalise.scale, (12, 1, 1))
    assert np.allclose(pool["s2"][3].float().numpy(), expected, atol=5e-3)
    few = training.read_pool(ENTRIES["tiny_mae"], suite, settings("tiny_mae", images=8), tmp_path)
    assert torch.equal(few["s2"][-1], pool["s2"][-1]) and len(few["s2"]) == 8


def test_requests_that_make_no_sense_are_named(suite, tmp_path):
    with pytest.raises(UnknownName, match=r"tiny_mea.*did you mean tiny_mae"):
        pretrain.RECIPE.run(settings("tiny_mea"), data=tmp_path, out=tmp_path)
    with pytest.raises(BadSetting, match="batch=64 is more than the 20 images of noise"):
        pretrain.RECIPE.run(settings("tiny_mae", batch=64), data=tmp_path, out=tmp_path)
    with pytest.raises(BadSetting, match="not finite"):
        pretrain.RECIPE.run(settings("tiny_mae", epochs=2, learning_rate=1e30, clip=1e30), data=tmp_path, out=tmp_path)
    assert not list(tmp_path.glob("**/*.safetensors"))
