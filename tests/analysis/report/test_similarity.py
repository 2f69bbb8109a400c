"""Similarity and drift from stored records: what is planted comes out, in numbers, figures and words."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.figures.similarity import dimensions_figure, drift_figure, models_figure
from analysis.findings.drift import PARTS, drift, drift_answers, drift_frame, rewinding
from analysis.findings.shared_structure import dimensions, embedded, model_matrix
from analysis.gallery.similarity import drift_pictures, similarity_pictures
from analysis.report.statistics_text import drift_sentence
from bench.core import Record, RunKey
from bench.store import Store


def key(protocol, model, seed=0, weights="w"):
    return RunKey(
        suite="toy", suite_version=1, split_hash="x", task="kind", model=model, model_version=1,
        weights=weights, recipe={}, protocol=protocol, protocol_version=1, settings={}, fraction=1.0, subset=0,
        seed=seed,
    )  # fmt: skip


FACTS = {
    "origin": "pretrained",
    "kind": "classification",
    "generated": True,
    "metric": "accuracy",
    "direction": "max",
    "board": False,
    "title": "toy",
}
IDS = np.array([f"image {i}" for i in range(60)])


def embed_record(store, model, layers, ids=IDS, weights="w", seed=0, parts=None):
    curves = [{"layer": name, "depth": i / (len(layers) - 1)} for i, name in enumerate(layers)]
    arrays = {f"layer/{name}": values.astype(np.float16) for name, values in {**layers, **(parts or {})}.items()}
    record = Record(key=key("embed", model, seed, weights), status="ok", facts=FACTS, curves=curves)
    store.put(record, {**arrays, "ids": ids, "blocks": ids})


@pytest.fixture
def store(tmp_path):
    """Two models whose last layers are alike up to a rotation, one of noise, its rows in another order."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(60, 4))
    rotated = signal @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    made = Store(tmp_path)
    embed_record(made, "one", {"embedding": rng.normal(size=(60, 4)), "block_1": signal})
    embed_record(made, "two", {"embedding": rng.normal(size=(60, 5)), "block_1": rotated})
    order = rng.permutation(60)
    noise = rng.normal(size=(60, 6))
    embed_record(made, "three", {"embedding": noise, "block_1": signal[order] * 3 + 1}, ids=IDS[order])
    return made


def test_models_are_matched_by_id_whatever_the_order(store):
    frame = model_matrix(embedded(store, store.records("toy"))).set_index(["model", "other"])
    assert frame.loc[("one", "two"), "cka"] == pytest.approx(1, abs=1e-3)
    assert frame.loc[("one", "three"), "cka"] == pytest.approx(1, abs=1e-3)
    assert (frame["shuffled"].abs() < 0.1).all() and (frame["images"] == 60).all()
    assert set(frame["best_layers"]) == {"block_1 / block_1"}
    assert (frame["low"] <= frame["cka"] + 1e-9).all()


def test_only_images_that_all_have_count(store):
    embed_record(
        store, "few", {"embedding": np.random.default_rng(1).normal(size=(30, 3)), "block_1": np.eye(30)}, ids=IDS[:30]
    )
    assert {len(one.ids) for one in embedded(store, store.records("toy"))} == {30}


def test_dimensions_of_what_is_known(store):
    frame = dimensions(embedded(store, store.records("toy")))
    assert len(frame) == 6 and (frame["rankme"] <= frame["width"] + 1e-6).all()
    assert frame.set_index(["model", "layer"]).loc[("one", "block_1"), "participation_ratio"] > 3


def test_figures_show_the_numbers(store):
    pictures = {one.stem: one for one in similarity_pictures("toy", store, list(store.records("toy")))}
    assert set(pictures) == {"cka_layers", "cka_models", "dimensions"}
    frame = pictures["cka_models"].numbers
    axes = models_figure(frame, title="t", generated=True).axes[0]
    texts = {text.get_text().partition("\n")[0] for text in axes.texts}
    assert texts == {f"{value:.2f}" for value in frame["cka"]}
    figure = pictures["cka_layers"].render()
    assert len(figure.axes) == 3 + 3 + 1 and figure.axes[0].images[0].get_clim() == (0, 1)
    assert "generated data" in " ".join(text.get_text() for text in figure.texts)
    lines = dimensions_figure(pictures["dimensions"].numbers, title="t", generated=True).axes[0].lines
    assert {line.get_label() for line in lines} == {"one", "two", "three"}


def test_sub_modules_are_compared_with_their_like_in_other_blocks(tmp_path):
    """Of two models fc1 is one and the same everywhere, and qkv everywhere another."""
    rng, made = np.random.default_rng(0), Store(tmp_path)
    common = rng.normal(size=(60, 6))
    for model, blocks in (("one", 2), ("two", 3)):
        layers = {"embedding": rng.normal(size=(60, 4))} | {
            f"block_{i}": rng.normal(size=(60, 4)) for i in range(blocks)
        }
        parts = {f"block_{i}.fc1": common for i in range(blocks)}
        parts |= {f"block_{i}.qkv": rng.normal(size=(60, 5)) for i in range(blocks)}
        parts["block_0.norm2"] = common  # one block alone has it: nothing to compare over depth
        embed_record(made, model, layers, parts=parts)
    models = embedded(made, made.records("toy"))
    assert models[1].parts == {name: tuple(f"block_{i}.{name}" for i in range(3)) for name in ("fc1", "qkv")}
    pictures = {one.stem: one for one in similarity_pictures("toy", made, list(made.records("toy")))}
    assert {"cka_fc1", "cka_qkv"} <= set(pictures) and "cka_norm2" not in pictures
    for part, alike in (("fc1", True), ("qkv", False)):
        frame = pictures[f"cka_{part}"].numbers
        assert len(frame) == 2 * 2 + 3 * 3 + 2 * 3
        cross = frame[frame["model"] != frame["other"]]["cka"]
        assert (cross > 0.999).all() if alike else (cross < 0.3).all()
    figure = pictures["cka_qkv"].render()
    assert [axes.images[0].get_array().shape for axes in figure.axes[:3]] == [(2, 2), (3, 3), (2, 3)]
    # More images without sub-modules are for the layers alone.
    more = np.array([f"image {i}" for i in range(90)])
    for model in ("one", "two"):
        layers = {"embedding": rng.normal(size=(90, 4)), "block_0": rng.normal(size=(90, 4))}
        embed_record(made, model, layers, ids=more, seed=1)
    again = {one.stem: one for one in similarity_pictures("toy", made, list(made.records("toy")))}
    assert "90 images" in again["cka_layers"].caption and "60 images" in again["cka_qkv"].caption
    assert again["cka_qkv"].numbers.equals(frame)


def drift_record(store, seed, *, strongest="fc1"):
    """Three blocks of two parts; the strongest has moved more than a random step would move it."""
    rng = np.random.default_rng(7)
    other = np.random.default_rng((8, seed))
    arrays, curves = {"ids": IDS, "blocks": IDS}, []
    for block in ("block_1", "block_2", "block_3"):
        for part in ("qkv", "fc1"):
            name, values = f"{block}.{part}", rng.normal(size=(60, 5))
            much = 0.8 if part == strongest else 0.2
            for what, size in (
                ("after", much),
                ("local", much),
                ("shuffled", 0.1),
                ("shuffled_local", 0.1),
                ("step_local", 0.2),
            ):
                arrays[f"{what}/{name}"] = values + size * other.normal(size=values.shape)
            arrays[f"before/{name}"] = values
            curves.append({"layer": block, "part": part, "relative_change": much, "parameters": 10.0})
    scores = {"test": {"tuned": {"accuracy": 0.9}, "rewound fc1": {"accuracy": 0.6}, "rewound qkv": {"accuracy": 0.85}}}
    record = Record(key=key("drift", "net", seed), status="ok", facts=FACTS, curves=curves, scores=scores)
    store.put(record, arrays)


def test_planted_drift_is_found_and_named(tmp_path):
    store = Store(tmp_path)
    for seed in (0, 1):
        drift_record(store, seed)
    frame = drift_frame(store, store.records("toy"))
    assert len(frame) == 2 * 3 * 2 and set(frame["part"]) == {"qkv", "fc1"}
    by = frame.groupby("part")["local"].mean()
    assert by["fc1"] > 2 * by["qkv"]
    assert frame["seed_floor"].between(0, 1).all() and (frame["shuffled_local"] < frame["local"] + 0.1).all()
    assert ((frame["low"] < frame["local"]) & (frame["local"] < frame["high"])).all()
    (answer,) = drift_answers(frame)
    assert (answer.first, answer.second) == ("fc1", "qkv") and answer.controlled and answer.clear and answer.mlp_first
    sentence = drift_sentence(answer)
    assert "it is largest in fc1" in sentence and "clearly ahead of qkv" in sentence and sentence.endswith("yes.")
    lost = rewinding(store.records("toy")).set_index(["seed", "part"])["lost"]
    assert lost.loc[(0, "fc1")] == pytest.approx(0.3) and lost.loc[(1, "qkv")] == pytest.approx(0.05)


def test_the_answer_is_no_where_attention_moved_most(tmp_path):
    store = Store(tmp_path)
    drift_record(store, 0, strongest="qkv")
    (answer,) = drift_answers(drift_frame(store, store.records("toy")))
    assert answer.first == "qkv" and not answer.mlp_first and drift_sentence(answer).endswith("no.")


def test_drift_that_shuffled_labels_bring_about_too_is_no_answer(tmp_path):
    store = Store(tmp_path)
    drift_record(store, 0)
    frame = drift_frame(store, store.records("toy"))
    (answer,) = drift_answers(frame.assign(shuffled_local=frame["local"] + 0.01))
    assert answer.first == "fc1" and answer.clear and not answer.mlp_first


def test_equal_arrays_have_no_drift_and_rotated_ones_none_to_speak_of():
    values = np.random.default_rng(0).normal(size=(50, 4))
    assert drift(values, values) == 0
    assert drift(values, 3 * values[:, ::-1] + 2) == pytest.approx(0, abs=1e-12)
    assert np.isnan(drift(values, np.ones((50, 4))))


def test_the_drift_figure_has_a_line_a_part_and_a_bar_a_rewinding(tmp_path):
    store = Store(tmp_path)
    drift_record(store, 0)
    (picture,) = drift_pictures("toy", store, list(store.records("toy")))
    assert picture.stem == "drift_kind_net"
    figure = drift_figure(
        drift_frame(store, store.records("toy")),
        rewinding(store.records("toy")),
        PARTS,
        title="t",
        metric="accuracy",
        generated=True,
    )
    local, step, total, lost = figure.axes
    assert [line.get_label() for line in local.lines] == ["qkv", "fc1"]
    assert local.get_ylim() == step.get_ylim()
    assert [line.get_label() for line in total.lines] == ["tuned", "shuffled labels"]
    assert [text.get_text() for text in lost.get_yticklabels()] == ["qkv", "fc1"] and len(lost.patches) == 2


def test_nothing_is_drawn_without_records(tmp_path):
    store = Store(tmp_path)
    assert not list(similarity_pictures("toy", store, list(store.records("toy")))) and not list(
        drift_pictures("toy", store, list(store.records("toy")))
    )
    assert drift_frame(store, store.records("toy")).empty


def test_a_report_of_similarity_and_drift_alone_stands(tmp_path):
    from analysis.report.write import build

    store = Store(tmp_path)
    drift_record(store, 0)
    report = build(store, "toy")
    assert {"drift_kind_net.pdf", "drift_kind_net.png", "drift_kind_net.csv"} <= set(report.files)
    text = report.files["leaderboard.md"].decode()
    assert (
        "### drift under fine-tuning" in text
        and "Largest drift in the first linear map of the MLP, after controls: yes." in text
    )
    assert report.tables.leaderboard.empty and "drift_kind_net.png" in text
