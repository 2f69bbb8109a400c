"""Fine-tuning learns what is there, changes what it says it changes, and gives the same numbers however it is run."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from bench.config import RunConfig
from bench.core import Sample
from bench.core.errors import BadSetting, Incompatible, UnknownName
from bench.finetuning.arm import Arm
from bench.finetuning.tuning import depths, recompute_blocks, tune
from bench.protocols import finetune, probe
from bench.runs import plan as planning
from bench.runs.carry_out import carry_out
from bench.runs.context import open_context
from tests.builders.arms import COUNTS, ENTRY, SUITE, TASKS, Split, a_run, load_tiny, new_session
from tests.builders.suite_and_model import BANDS, ToySplit, toy_entry, toy_suite


def outcome(folder, *arguments, session=None, **settings):
    session = session or new_session(folder)
    record = carry_out(a_run(*arguments, **settings), session)
    assert record.status == "ok", record.error
    return record, session.store.arrays(record)


def an_arm(folder, task="kind", **settings):
    session, run = new_session(folder), a_run(task, **settings)
    context = open_context(run, session, {"passes": 0.0, "extraction_seconds": 0.0}, {})
    return Arm(context, context.network)


@pytest.mark.parametrize(
    ("task", "settings", "least"),
    [
        ("kind", {"tuning": "full"}, 0.9),
        ("kind", {"decoders": "attentive"}, 0.8),
        ("amount", {"tuning": "full"}, 0.8),
        ("mask", {"decoders": "fcn"}, 0.8),
        ("mask", {"decoders": "linear", "tuning": "full", "loss": "dice"}, 0.8),
        ("boxes", {"tuning": "full", "steps": 80}, 0.5),
    ],
)
def test_it_learns_what_is_there(tmp_path, task, settings, least):
    record, arrays = outcome(tmp_path, task, **settings)
    assert record.scores["test"]["last"][SUITE.tasks[[t.name for t in SUITE.tasks].index(task)].metric] > least
    assert record.choices["last"]["pool"] == (
        settings.get("decoders") or finetune.USUAL.get(TASKS[task].kind, "linear")
    )
    assert record.facts["arm"]["tuning"] == settings.get("tuning", "frozen")
    assert record.cost["flops"] > 0 and record.cost["trained_parameters"] > 0
    assert arrays["history"].shape == (1, 4, 3) and np.isfinite(arrays["history"][0, 0]).all()
    assert len(arrays["panel.image"]) == len(arrays["panel.rows"]) == 6


def test_dense_values_keep_their_unit(tmp_path):
    record, arrays = outcome(tmp_path, "height", decoders="fcn", tuning="full", loss="huber")
    scores = record.scores["test"]["last"]
    assert scores["rmse"] < 5 and scores["r2"] > 0.7  # values are 10 and 30
    assert 5 < arrays["panel.prediction"].mean() < 30


def states(backbone):
    return {name: value.clone() for name, value in backbone.state_dict().items()}


def changed(arm):
    """The backbone's parameters that training changed, and the state before."""
    fresh = arm.network.load(False)
    before = states(fresh)
    assembly_states = []
    assemble = arm.assemble

    def spied():
        assembly_states.append(assemble())
        return assembly_states[-1]

    arm.assemble = spied
    arm.fit(0, 3e-3)
    after = states(assembly_states[-1].backbone)
    base = {name.replace(".base_layer", ""): value for name, value in after.items() if "lora_" not in name}
    assert base.keys() == before.keys()
    return {name for name in before if not torch.equal(before[name], base[name])}, after


def test_frozen_leaves_the_backbone_bit_identical(tmp_path):
    # Augmented, so that the network is run; still it does not change.
    moved, _ = changed(an_arm(tmp_path, augment=("flips",)))
    assert moved == set()


def test_lora_touches_only_its_own(tmp_path):
    moved, after = changed(an_arm(tmp_path, tuning="lora"))
    assert moved == set()
    second = [value for name, value in after.items() if "lora_B" in name]
    assert len(second) == 4 * 4 and all(bool(value.any()) for value in second)  # qkv, proj, fc1, fc2 of four blocks


@pytest.mark.parametrize(
    ("tuning", "parts"), [("fc1", ("mlp.fc1",)), ("norms", ("norm1", "norm2")), ("attention", ("attn.",))]
)
def test_one_type_of_module_is_tuned_alone(tmp_path, tuning, parts):
    moved, _ = changed(an_arm(tmp_path, tuning=tuning))
    assert moved and all(any(part in name for part in parts) for name in moved)
    assert {name.split(".")[2] for name in moved} == {"0", "1", "2", "3"}


def test_full_tuning_reaches_every_block_and_the_head_comes_first_where_asked(tmp_path):
    moved, _ = changed(an_arm(tmp_path / "full", tuning="full"))
    assert {name.split(".")[2] for name in moved if ".blocks." in name} == {"0", "1", "2", "3"}
    alone, _ = changed(an_arm(tmp_path / "head", tuning="head-then-full", head_share=1.0))
    assert alone == set()
    later, _ = changed(an_arm(tmp_path / "both", tuning="head-then-full", head_share=0.5))
    assert later == moved


def test_lower_blocks_learn_slower_and_what_lies_before_them_slowest():
    from bench.finetuning.tuning import parameter_groups

    backbone = load_tiny(ENTRY, None, 0, BANDS)
    tune(backbone, "full")
    depth = depths(backbone)
    assert depth["network.pos_embed"] == 0 and depth["network.blocks.0.attn.qkv.weight"] == 0.25
    assert depth["network.blocks.3.mlp.fc2.weight"] == depth["network.norm.weight"] == 1
    groups = parameter_groups(backbone, [], rate=1.0, backbone_rate=0.1, decay=0.5, weight_decay=0.05)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    named = dict(backbone.named_parameters())
    assert rate[id(named["network.blocks.3.attn.qkv.weight"])] == pytest.approx(0.1)
    assert rate[id(named["network.blocks.0.attn.qkv.weight"])] == pytest.approx(0.1 * 0.5**3)
    assert rate[id(named["network.patch_embed.proj.weight"])] == pytest.approx(0.1 * 0.5**4)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(named["network.norm.weight"])] == 0 and decay[id(named["network.blocks.3.attn.qkv.weight"])] == 0.05


def test_equal_seeds_give_equal_numbers_and_others_do_not(tmp_path):
    settings = {"tuning": "full", "steps": 10, "learning_rates": (1e-3,)}
    first, one = outcome(tmp_path / "a", **settings)
    again, two = outcome(tmp_path / "b", **settings)
    _, other = outcome(tmp_path / "c", seed=1, **settings)
    assert first.scores == again.scores
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert not np.array_equal(one["history"], other["history"])


def test_global_random_numbers_change_nothing_and_are_left_alone(tmp_path):
    _, one = outcome(tmp_path / "a", steps=6)
    torch.manual_seed(99)
    np.random.seed(99)
    state = torch.get_rng_state()
    _, two = outcome(tmp_path / "b", steps=6)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(one["history"], two["history"])


def test_poisoned_test_labels_move_no_choice(tmp_path):
    settings = {"learning_rates": (1e-3, 3e-3), "steps": 20}
    clean, _ = outcome(tmp_path / "a", **settings)
    session = new_session(tmp_path / "b")
    session.data.split(TASKS["kind"], "test", BANDS).poison = True
    poisoned, _ = outcome(tmp_path, session=session, **settings)
    assert clean.choices == poisoned.choices


def test_a_killed_run_goes_on_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.finetuning.loop.KEPT_SECONDS", 0.0)
    settings = {"tuning": "full", "steps": 24, "evaluations": 6, "patience": 0}
    whole, one = outcome(tmp_path / "whole", **settings)
    session = new_session(tmp_path / "killed")
    steps = []
    real = Arm.value

    def killed(self, assembly):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return real(self, assembly)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Arm, "value", killed)
        carry_out(a_run(**settings), session)
    assert list((tmp_path / "killed" / "cache" / "training").glob("*.pt"))
    counted = []
    monkeypatch.setattr(Arm, "value", lambda self, assembly: counted.append(1) or real(self, assembly))
    again, two = outcome(tmp_path, session=session, **settings)
    assert len(counted) == 3  # evaluations 4 to 6; the first three were not made again
    assert again.scores == whole.scores
    np.testing.assert_array_equal(one["history"], two["history"])
    assert not list((tmp_path / "killed" / "cache" / "training").glob("*.pt"))


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    settings = {"tuning": "full", "steps": 4, "augment": ("none",)}
    _, one = outcome(tmp_path / "a", **settings)
    _, two = outcome(tmp_path / "b", **settings, micro_batch=5)
    # The head's running statistics are those of the parts, so what follows differs a little.
    np.testing.assert_allclose(one["history"][0, :, 1], two["history"][0, :, 1], rtol=0.05)


def test_out_of_memory_halves_the_batch_once_and_says_so(tmp_path, monkeypatch):
    from bench.finetuning.task_model import TaskModel

    real = TaskModel.forward

    def greedy(self, batch):
        if self.training and len(batch.rows) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    monkeypatch.setattr(TaskModel, "forward", greedy)
    record, _ = outcome(tmp_path, tuning="full", steps=6)
    assert any("out of memory at 12 images a pass: 6 a pass since, the same a step" in note for note in record.notes)
    monkeypatch.setattr(
        TaskModel,
        "forward",
        lambda self, batch: (
            (_ for _ in ()).throw(torch.OutOfMemoryError("still")) if self.training else real(self, batch)
        ),
    )
    failed = carry_out(a_run(tuning="full", steps=6, seed=3), new_session(tmp_path / "never"))
    assert failed.status == "failed" and "OutOfMemoryError" in failed.error


def test_a_rate_that_diverges_is_left_out_by_name(tmp_path):
    settings = {"tuning": "full", "steps": 30, "learning_rates": (1e-3, 1e30), "augment": ("none",)}
    record, _ = outcome(tmp_path, **settings)
    assert record.choices["last"]["setting"] == 1e-3
    assert any(note.startswith("learning rate 1e+30 left out: the loss is") for note in record.notes)
    failed = carry_out(a_run(**{**settings, "learning_rates": (1e30,)}), new_session(tmp_path / "all"))
    assert failed.status == "failed" and "no learning rate trains toy_small" in failed.error


def test_stored_features_are_those_of_the_network(tmp_path):
    stored = an_arm(tmp_path / "a", "mask", decoders="upernet", taps="quarters")
    run = an_arm(tmp_path / "b", "mask", decoders="upernet", taps="quarters", augment=("none",))
    assert stored.stored and run.stored
    images = run.network.images("val", ())
    batch, taps = stored.val.read([3, 1])[0], images.read([3, 1])[0]
    assembly = run.assemble()
    assembly.backbone = run.network.load(False)
    for one, other in zip(batch.taps, assembly.taps(taps), strict=True):
        torch.testing.assert_close(one.grid, other.grid, rtol=2e-3, atol=2e-3)  # stored as float16
    assert torch.equal(batch.target, taps.target)


def test_a_frozen_decoder_runs_the_backbone_once_a_split(tmp_path, monkeypatch):
    from bench.networks.vit import ViTBackbone

    seen = []
    real = ViTBackbone.forward
    monkeypatch.setattr(
        ViTBackbone,
        "forward",
        lambda self, images, *a, **k: seen.append(len(images["s2"])) or real(self, images, *a, **k),
    )
    session = new_session(tmp_path)
    outcome(tmp_path, "mask", session=session, decoders="fcn", learning_rates=(1e-3, 3e-3))
    assert sum(seen) <= sum(COUNTS.values()) + 5  # one image more for the shapes of each split, and for the cost
    before = sum(seen)
    outcome(tmp_path, "mask", session=session, decoders="light", taps="last")
    assert sum(seen) - before <= 2


def large(task, split, bands):
    """Images of 32 x 40 pixels, four times the toy's."""

    class Large(Split):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            image = np.tile(sample.images["s2"], (1, 1, 2, 3))[..., :32, :40]
            target = np.tile(sample.target, (2, 3))[:32, :40] if self.task == "mask" else sample.target
            return Sample(images={"s2": image}, target=target)

    return Large(task, split, COUNTS[split], bands)


@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_large_images_are_trained_in_windows_and_every_pixel_is_scored_once(tmp_path, tuning):
    suite = toy_suite(
        tasks=(TASKS["mask"],), splits=COUNTS, image_size=(32, 40), open=lambda root, t, s, b: large(t, s, b)
    )
    session = new_session(tmp_path, suite)
    record, arrays = outcome(tmp_path, "mask", session=session, suite=suite, decoders="fcn", tuning=tuning, steps=60)
    assert record.key.recipe["windows"]
    valid = sum(int((large("mask", "test", BANDS)[i].target >= 0).sum()) for i in range(COUNTS["test"]))
    assert arrays["test.confusion"].sum() == valid
    assert record.scores["test"]["last"]["miou"] > 0.75


def test_windows_put_together_are_the_image(tmp_path):
    from bench.finetuning.task_model import outputs

    suite = toy_suite(
        tasks=(TASKS["mask"],), splits=COUNTS, image_size=(32, 40), open=lambda root, t, s, b: large(t, s, b)
    )
    run = a_run("mask", suite=suite, decoders="fcn")
    context = open_context(run, new_session(tmp_path, suite), {"passes": 0.0, "extraction_seconds": 0.0}, {})
    batch = context.network.images("val", ()).read([0, 1])[0]

    class Echo(torch.nn.Module):
        recipe = run.recipe

        def forward(self, window):
            return window.given.images["s2"][:, 0, :1]

    whole = outputs(Echo(), batch, run.task)
    assert torch.equal(whole[:, 0], batch.given.images["s2"][:, 0, 0, :32, :40])


def test_several_dates_are_folded_as_asked_and_ragged_series_go_together(tmp_path):
    class Series(ToySplit):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            dates = 2 + index % 3
            image = np.repeat(sample.images["s2"], dates, 0)
            image[1:] = 1500
            when = np.array([[2020, 1 + 3 * i, 5] for i in range(dates)], np.int32)
            return sample._replace(images={"s2": image}, when=when)

    suite = toy_suite(tasks=SUITE.tasks[:1], splits=COUNTS, dates=0, open=lambda r, t, s, b: Series(t, s, COUNTS[s], b))
    scores = {}
    for dates in ("mean", "max", "ltae"):
        session = new_session(tmp_path / dates, suite)
        settings = {"dates": dates, "decoders": "attentive", "steps": 60}
        record, _ = outcome(tmp_path, session=session, suite=suite, **settings)
        scores[dates] = record.scores["test"]["last"]["accuracy"]
    assert min(scores.values()) > 0.4 and len(set(scores.values())) > 1, scores


def test_taps_by_profile_need_the_probe_and_take_its_best_layers(tmp_path):
    session = new_session(tmp_path)
    failed = carry_out(a_run("kind", taps="profile"), session)
    assert failed.status == "failed" and "say protocols=[probe,finetune]" in failed.error
    found = carry_out(a_run("kind", protocol=probe), session)
    record, _ = outcome(tmp_path, "kind", session=session, taps="profile")
    best = max(found.curves, key=lambda row: row["val"])["val"]
    chosen = {row["layer"]: row["val"] for row in found.curves}[record.choices["profile"]["layer"]]
    assert chosen == best


def test_refusals_say_why():
    def reason(task="kind", entry=ENTRY, **settings):
        one = TASKS[task]
        return finetune.refuses(entry, SUITE, one, finetune.arms(finetune.Settings(**settings), one)[0])

    assert (
        reason(decoders="upernet")
        == "decoder upernet serves segmentation, change, dense_regression, not classification"
    )
    assert "reads one layer" in reason("mask", decoders="fcn", taps="quarters")
    assert "publish no taps" in reason("mask", decoders="upernet", taps="published", entry=toy_entry())
    assert "cannot be tuned" in reason(entry=toy_entry(vectors=True))
    assert "no parameters" in reason(entry=toy_entry(origin="baseline"), tuning="full")
    assert not reason("mask", decoders="upernet", taps="published")


def test_bad_settings_name_what_is_known():
    with pytest.raises(UnknownName, match="upernet"):
        finetune.Settings(decoders="upernett")
    with pytest.raises(BadSetting, match="no tuning 'frosen'"):
        finetune.Settings(tuning="frosen")
    with pytest.raises(UnknownName, match="quarters"):
        finetune.Settings(taps="quarter")
    one = dataclasses.replace(TASKS["mask"])
    with pytest.raises(BadSetting, match="crop is for classes"):
        finetune.refuses(ENTRY, SUITE, one, finetune.arms(finetune.Settings(augment="crop"), one)[0])


def test_a_plan_has_a_run_for_each_arm_and_seed():
    config = RunConfig(
        suite="toy",
        protocols=("probe", "finetune"),
        tasks=("mask",),
        settings={"finetune": {"decoders": ["linear", "upernet"], "tuning": ["frozen", "lora"]}},
    )
    made = planning.make(
        config, SUITE, [ENTRY], {"probe": probe, "finetune": finetune}, explicit=True,
        split_hash=lambda task: "x", weights=lambda entry: "none",
    )  # fmt: skip
    arms = [run for run in made.runs if run.protocol is finetune]
    assert len(arms) == 2 * 2 * 3 and len({run.key.digest for run in arms}) == 12
    assert [run.key.seed for run in made.runs if run.protocol is probe] == [0]
    assert {(run.settings.decoders, run.settings.tuning) for run in arms} == {
        ((decoder,), (tuning,)) for decoder in ("linear", "upernet") for tuning in ("frozen", "lora")
    }


def test_networks_without_such_modules_are_refused_by_name():
    class Plain(torch.nn.Module):
        layers = ()

    with pytest.raises(Incompatible, match="tuning=lora: the network names no such modules"):
        tune(Plain(), "lora")


def test_boxes_of_stored_outcomes_give_the_stored_score(tmp_path):
    record, arrays = outcome(tmp_path, "boxes", steps=60)
    assert arrays["test.truth"].sum() == COUNTS["test"]
    detected = arrays["test.detected"][0]
    assert detected.shape[1] == 13 and set(np.unique(detected[:, 3:])) <= {0.0, 1.0}
    assert math.isfinite(record.scores["test"]["last"]["box_map"])


def test_from_scratch_starts_at_random_and_differs_with_the_seed(tmp_path):
    arms = [an_arm(tmp_path / str(seed), tuning="scratch", seed=seed) for seed in (0, 1)]
    first, second = (arm.assemble().backbone.state_dict() for arm in arms)
    name = "network.blocks.0.attn.qkv.weight"
    assert not torch.equal(first[name], second[name])
    moved, _ = changed(arms[0])
    assert "network.patch_embed.proj.weight" in moved


def test_predictions_are_written_where_their_images_lie(tmp_path):
    import rasterio

    from tests.builders.rasters import write_tif

    class Placed(Split):
        def source(self, index):
            return tmp_path / f"{self.ids[index]}.tif"

    suite = toy_suite(tasks=(TASKS["mask"],), splits=COUNTS, open=lambda root, t, s, b: Placed(t, s, COUNTS[s], b))
    for number in range(2000, 2000 + COUNTS["test"] - 1):
        write_tif(tmp_path / f"test_{number}.tif", np.zeros((1, 16, 16), np.uint8), crs="EPSG:32633", centre=(5e5, 4e6))
    session = new_session(tmp_path, suite)
    record, _ = outcome(tmp_path, "mask", session=session, suite=suite, decoders="fcn", write=True, steps=20)
    written = sorted((tmp_path / "results" / "toy" / "predictions" / record.digest / "test").glob("*.tif"))
    assert len(written) == COUNTS["test"] - 1
    with rasterio.open(written[3]) as file, rasterio.open(tmp_path / written[3].name) as source:
        assert file.crs == source.crs and file.transform == source.transform
        assert file.dtypes == ("uint8",) and set(np.unique(file.read(1))) <= {0, 1}
    assert any(note.startswith(f"cannot read {tmp_path / 'test_2023.tif'}") for note in record.notes)
    # A suite whose images lie nowhere says so, and the scores stand.
    plain, _ = outcome(tmp_path / "plain", "mask", decoders="fcn", write=True, steps=20)
    assert any("no georeferenced image" in note for note in plain.notes)


def test_two_dates_side_by_side_show_what_changed(tmp_path):
    class Pairs(Split):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            before = sample.images["s2"].copy()
            before[:, 0] = 1500
            when = np.array([[2020, 5, 1], [2020, 6, 1]], np.int32)
            return sample._replace(images={"s2": np.concatenate([before, sample.images["s2"]])}, when=when)

    task = dataclasses.replace(TASKS["mask"], kind="change")
    suite = toy_suite(tasks=(task,), splits=COUNTS, dates=2, open=lambda root, t, s, b: Pairs(t, s, COUNTS[s], b))
    session = new_session(tmp_path, suite)
    record, _ = outcome(tmp_path, "mask", session=session, suite=suite, decoders="fcn")
    assert record.key.recipe["joined"] and record.scores["test"]["last"]["miou"] > 0.75


def test_recomputing_blocks_changes_no_number(tmp_path, monkeypatch):
    from timm.layers import Mlp

    settings = {"tuning": "full", "steps": 5, "augment": ("none",)}
    seen, real = [], Mlp.forward
    monkeypatch.setattr(Mlp, "forward", lambda self, x: seen.append(torch.is_grad_enabled()) or real(self, x))
    _, one = outcome(tmp_path / "kept", **settings)
    once = sum(seen)
    seen.clear()
    _, two = outcome(tmp_path / "again", checkpointing=True, **settings)
    assert once == 5 * 4 and sum(seen) == 2 * once, "each of the four blocks is computed twice a step"
    np.testing.assert_allclose(one["history"], two["history"], rtol=1e-4, atol=1e-5)


def test_bfloat16_trains_to_about_the_same(tmp_path):
    run = a_run("mask", decoders="fcn", tuning="full")
    half = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, precision="bf16"))
    record = carry_out(half, new_session(tmp_path))
    assert record.status == "ok", record.error
    assert record.scores["test"]["last"]["miou"] > 0.8


def test_a_network_without_blocks_of_its_own_cannot_recompute_them():
    class Plain(torch.nn.Module):
        layers = ()

    with pytest.raises(BadSetting, match="toy_small has no blocks that can be computed again"):
        recompute_blocks(Plain(), "toy_small")
