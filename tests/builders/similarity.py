"""Records of similarity, whole activations and drift over made arrays."""

from __future__ import annotations

import numpy as np

from bench.core import Record, RunKey


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
    curves = [{"layer": name, "depth": i / max(1, len(layers) - 1)} for i, name in enumerate(layers)]
    arrays = {f"layer/{name}": values.astype(np.float16) for name, values in {**layers, **(parts or {})}.items()}
    record = Record(key=key("embed", model, seed, weights), status="ok", facts=FACTS, curves=curves)
    store.put(record, {**arrays, "ids": ids, "blocks": ids})


def similarity_record(store, model, layers, ids=IDS, blocks=None, cells=1, weights="w", seed=0, components=17, **facts):
    """Put a record of protocol ``similarity`` of made layers, each (images x cells, D), in a store."""
    from bench.features.representations import summarise
    from bench.store.companded import compand

    summaries, cka = summarise(list(layers.values()), components=components)
    arrays = {"ids": ids, "blocks": ids if blocks is None else blocks, "cells": np.array([cells]), "cka": cka}
    arrays["self"] = np.array([summary.self_hsic for summary in summaries])
    curves = []
    for place, (name, summary) in enumerate(zip(layers, summaries, strict=True)):
        arrays[f"codes/{name}"], arrays[f"peak/{name}"] = compand(summary.coordinates)
        sizes = {each: getattr(summary, each) for each in ("kept", "rankme", "participation_ratio", "twonn")}
        depth = place / max(1, len(layers) - 1)
        curves.append({"layer": name, "depth": depth, "width": layers[name].shape[1], **sizes})
    record = Record(key=key("similarity", model, seed, weights), status="ok", facts={**FACTS, **facts}, curves=curves)
    store.put(record, arrays)


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
