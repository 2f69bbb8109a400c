"""Embedding keeps the activations of the same images for every model, once."""

from __future__ import annotations

from bench.config import RunConfig
from bench.protocols import embed
from bench.runs import plan as planning
from bench.runs.carry_out import carry_out
from tests.builders.arms import ENTRY, SUITE, a_run, load_tiny, new_session
from tests.builders.suite_and_model import toy_entry


def test_embedding_keeps_every_layer_and_the_parts_asked_for(tmp_path):
    session = new_session(tmp_path)
    record = carry_out(a_run(protocol=embed, samples=20, modules=("fc1",)), session)
    assert record.status == "ok", record.error
    arrays = session.store.arrays(record)
    names = [row["layer"] for row in record.curves]
    assert names == ["embedding", "block_1", "block_2", "block_3", "block_4", "norm"]
    assert {name for name in arrays if name.startswith("layer/")} == {
        *(f"layer/{name}" for name in names), *(f"layer/block_{i}.fc1" for i in range(1, 5))
    }  # fmt: skip
    assert arrays["layer/block_2"].shape == (20, 32) and arrays["layer/block_2.fc1"].shape == (20, 128)
    other = carry_out(
        a_run(protocol=embed, samples=20, entry=toy_entry(name="another", load=load_tiny, width=32)), session
    )
    assert list(session.store.arrays(other)["ids"]) == list(arrays["ids"])
    assert embed.PROTOCOL.once  # one run per model and suite, whatever the tasks
    assert record.facts["board"] is False


def test_a_plan_embeds_once_whatever_the_labels():
    config = RunConfig(suite="toy", protocols=("embed",), tasks=("kind",), fractions=(0.1, 1.0), seeds=(0, 1))
    planned = planning.make(
        config,
        SUITE,
        [ENTRY],
        {"embed": embed.PROTOCOL},
        bands=SUITE.bands,
        explicit=True,
        split_hash=lambda task: "x",
        weights=lambda e: "abc",
    )
    assert [(run.key.fraction, run.key.seed) for run in planned.runs] == [(1.0, 0)]
