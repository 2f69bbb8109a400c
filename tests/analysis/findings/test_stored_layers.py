"""Layers from records: rows matched by id, cells with their image, twins of one network once."""

from __future__ import annotations

import time

import numpy as np
import pytest

from analysis.findings.shared_structure import layer_cka
from analysis.findings.stored_layers import StoredLayers, embedded, matched, summarised
from bench.store import Store
from tests.builders.similarity import IDS, embed_record, similarity_record


def test_only_images_that_all_have_count(tmp_path):
    rng, store = np.random.default_rng(1), Store(tmp_path)
    for put in (embed_record, similarity_record):
        put(store, "all", {"embedding": rng.normal(size=(60, 3))})
        put(store, "few", {"embedding": rng.normal(size=(30, 3))}, ids=IDS[20:50][::-1])
    for models in (embedded(store, store.records("toy")), summarised(store, store.records("toy"))):
        assert [model.ids.tolist() for model in models] == [IDS[20:50].tolist()] * 2
        assert all(model.within is None and not model.dimensions for model in models if model.model == "all")


def test_the_cells_of_an_image_stay_together(tmp_path):
    rng, store = np.random.default_rng(1), Store(tmp_path)
    rows = rng.normal(size=(60, 4, 5))
    order = rng.permutation(60)
    similarity_record(store, "one", {"embedding": rows.reshape(240, 5)}, cells=4)
    similarity_record(store, "two", {"embedding": rows[order].reshape(240, 5)}, ids=IDS[order], cells=4)
    # Another kind of rows, of fewer models, is left out.
    similarity_record(store, "three", {"embedding": rows[:, 0]})
    first, second = summarised(store, store.records("toy"))
    assert layer_cka(first, second)[0, 0] == pytest.approx(1, abs=1e-3)
    assert first.row_blocks().tolist() == np.repeat(IDS, 4).tolist()


def test_twins_of_one_network_are_one_model(tmp_path):
    rng, store = np.random.default_rng(1), Store(tmp_path)
    rows = {"embedding": rng.normal(size=(60, 3))}
    for model, network in (("a.random", "n1"), ("b.random", "n1"), ("c.random", "n2"), ("d", "")):
        similarity_record(store, model, rows, **({"network": network} if network else {}))
    assert [model.model for model in summarised(store, store.records("toy"))] == ["a.random", "c.random", "d"]


def test_matching_many_images_takes_no_time():
    """Ten models of 2,048 images: the sets are made once."""
    ids = np.array([f"scene_{number:05d}/tile" for number in range(2048)])
    rng = np.random.default_rng(0)
    models = []
    for number in range(10):
        order = rng.permutation(2048)
        models.append(
            StoredLayers(
                model=f"m{number}",
                ids=ids[order],
                blocks=ids[order],
                layers=("embedding",),
                depth=np.zeros(1),
                values={"embedding": order[:, None].astype(float)},
                generated=True,
                record="x",
            )
        )
    start = time.process_time()
    common = matched(models)
    assert time.process_time() - start < 2, "about 0.1 s; a quadratic match takes 20"
    assert all((model.values["embedding"] == common[0].values["embedding"]).all() for model in common)


def test_layers_are_converted_once(tmp_path):
    store = Store(tmp_path)
    embed_record(store, "one", {"embedding": np.random.default_rng(0).normal(size=(60, 3))})
    (model,) = embedded(store, store.records("toy"))
    assert model.stack()[0] is model.stack()[0] and model.stack()[0].dtype == np.float32
