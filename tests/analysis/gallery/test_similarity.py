"""Figures of similarity and drift show the numbers of their records, and say where images are too few."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.figures.similarity import dimensions_figure, drift_figure, models_figure
from analysis.findings.drift import PARTS, drift_frame, rewinding
from analysis.findings.stored_layers import embedded
from analysis.gallery.similarity import drift_pictures, similarity_pictures
from bench.store import Store
from tests.builders.similarity import IDS, drift_record, embed_record, similarity_record


@pytest.fixture
def store(tmp_path):
    """Two models whose last layers are alike up to a rotation, one of noise, its rows in another order."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(60, 4))
    rotated = signal @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    filled = Store(tmp_path)
    embed_record(filled, "one", {"embedding": rng.normal(size=(60, 4)), "block_1": signal})
    embed_record(filled, "two", {"embedding": rng.normal(size=(60, 5)), "block_1": rotated})
    order = rng.permutation(60)
    noise = rng.normal(size=(60, 6))
    embed_record(filled, "three", {"embedding": noise, "block_1": signal[order] * 3 + 1}, ids=IDS[order])
    return filled


def test_figures_show_the_numbers(store):
    pictures = {picture.stem: picture for picture in similarity_pictures("toy", store, list(store.records("toy")))}
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


def drawn(store):
    return {picture.stem: picture for picture in similarity_pictures("toy", store, list(store.records("toy")))}


def test_the_usual_run_has_the_same_figures(store, tmp_path):
    rng = np.random.default_rng(3)
    usual = Store(tmp_path / "usual")
    for model in ("one", "two", "three"):
        similarity_record(usual, model, {"embedding": rng.normal(size=(60, 4)), "block_1": rng.normal(size=(60, 6))})
    pictures = drawn(usual)
    assert set(pictures) == set(drawn(store)) == {"cka_layers", "cka_models", "dimensions"}
    assert len(pictures["cka_layers"].render().axes) == 3 + 3 + 1
    assert set(pictures["dimensions"].numbers["model"]) == {"one", "two", "three"}
    assert "too few" not in " ".join(picture.caption for picture in pictures.values())
    # Whole activations of as many models come first, of fewer models they do not.
    embed_record(usual, "one", {"embedding": rng.normal(size=(40, 4)), "block_1": rng.normal(size=(40, 4))}, IDS[:40])
    assert "60 images" in drawn(usual)["cka_layers"].caption


def test_images_that_are_too_few_are_said_so_in_words(tmp_path):
    rng, store = np.random.default_rng(0), Store(tmp_path)
    for model in ("one", "two"):
        layers = {"embedding": rng.normal(size=(12 * 16, 4)), "block_1": rng.normal(size=(12 * 16, 4))}
        similarity_record(store, model, layers, ids=IDS[:12], cells=16)
    pictures = drawn(store)
    for picture in pictures.values():
        assert "12 images of 16 cells each" in picture.caption
        assert "There are 12 independent blocks of images, fewer than 50: too few for an estimate." in picture.caption
    assert np.isfinite(pictures["cka_models"].numbers["low"]).all()


def test_one_layer_alone_has_no_map_of_layers(tmp_path):
    rng, store = np.random.default_rng(0), Store(tmp_path)
    similarity_record(store, "image_stats", {"embedding": rng.normal(size=(60, 9))})
    assert set(drawn(store)) == {"dimensions"}


def test_sub_modules_are_compared_with_their_like_in_other_blocks(tmp_path):
    """Of two models fc1 is one and the same everywhere, and qkv everywhere another."""
    rng, records = np.random.default_rng(0), Store(tmp_path)
    common = rng.normal(size=(60, 6))
    for model, blocks in (("one", 2), ("two", 3)):
        layers = {"embedding": rng.normal(size=(60, 4))} | {
            f"block_{i}": rng.normal(size=(60, 4)) for i in range(blocks)
        }
        parts = {f"block_{i}.fc1": common for i in range(blocks)}
        parts |= {f"block_{i}.qkv": rng.normal(size=(60, 5)) for i in range(blocks)}
        parts["block_0.norm2"] = common  # one block alone has it: nothing to compare over depth
        embed_record(records, model, layers, parts=parts)
    models = embedded(records, records.records("toy"))
    assert models[1].parts == {name: tuple(f"block_{i}.{name}" for i in range(3)) for name in ("fc1", "qkv")}
    pictures = {picture.stem: picture for picture in similarity_pictures("toy", records, list(records.records("toy")))}
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
        embed_record(records, model, layers, ids=more, seed=1)
    again = {picture.stem: picture for picture in similarity_pictures("toy", records, list(records.records("toy")))}
    assert "90 images" in again["cka_layers"].caption and "60 images" in again["cka_qkv"].caption
    assert again["cka_qkv"].numbers.equals(frame)


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
