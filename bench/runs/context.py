"""Opening the context of a run."""

from __future__ import annotations

from typing import Any

from bench.features.labelled import LabelledFeatures, select_layers
from bench.protocols.contract.context import Context
from bench.runs.labels import label
from bench.runs.plan import Run
from bench.runs.session import Session


def open_context(run: Run, session: Session, costs: dict[str, float], facts: dict[str, Any]) -> Context:
    """Return the context of a run; `costs` and `facts` are added to as its features are read."""
    bands = run.recipe.reads

    def open_split(name: str, layers: tuple[str, ...] = (), grids: bool = False) -> LabelledFeatures:
        features, cost = session.features(run, name, layers, grids)
        costs["passes"] += cost["passes"]
        costs["extraction_seconds"] += cost["seconds"]
        labelled = label(run, session.data, session.store, features, name)
        facts[f"n_{name}"] = len(labelled.rows)
        return labelled

    if run.protocol.runs_network:
        from bench.runs.open_workbench import open_workbench

        own = open_workbench(
            run,
            data=session.data,
            store=session.store,
            cache=session.cache,
            statistics=session.ready(run),
            load=lambda scratch: session.own_backbone(run, scratch),
            shared=lambda: session.backbone(run),
            stored=open_split,
            device=session.device,
            workers=session.config.workers,
        )
        return Context(
            task=run.task,
            layers=own.layers,
            open=open_split,
            tests=session.data.test_names(run.task, bands),
            settings=run.settings,
            seed=run.key.seed,
            device=session.device,
            network=own,
        )
    train, cost = session.features(run, "train")
    costs["passes"] += cost["passes"]
    costs["extraction_seconds"] += cost["seconds"]
    return Context(
        task=run.task,
        layers=select_layers(train.layers, run.layers, run.entry.name),
        open=open_split,
        tests=session.data.test_names(run.task, bands),
        settings=run.settings,
        seed=run.key.seed,
        device=session.device,
    )
