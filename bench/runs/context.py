"""The context that a run's protocol works with, opened from the session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.features.labelled import LabelledFeatures, select_layers
from bench.protocols.contract.context import Context
from bench.runs.labels import label, unlabelled
from bench.runs.plan import Run
from bench.runs.session import Session


@dataclass(frozen=True)
class FeatureReader:
    """Opener of the stored features of a run, split by split, which adds up the cost of their passes.

    Attributes:
        run: the run.
        session: the session it belongs to.
        costs: ``passes`` and ``extraction_seconds`` so far.
        facts: ``n_<split>`` of the splits opened so far.
    """

    run: Run
    session: Session
    costs: dict[str, float] = field(default_factory=lambda: {"passes": 0.0, "extraction_seconds": 0.0})
    facts: dict[str, Any] = field(default_factory=dict)

    def open(self, split: str, layers: tuple[str, ...] = (), grids: bool = False) -> LabelledFeatures:
        """Return the features of a split, joined with its labels if the protocol reads any."""
        features, cost = self.session.features(self.run, split, layers, grids)
        self.costs["passes"] += cost["passes"]
        self.costs["extraction_seconds"] += cost["seconds"]
        splits = self.session.splits(self.run)
        if self.run.protocol.reads_labels:
            opened = label(self.run, splits, self.session.store, features, split)
        else:
            opened = unlabelled(self.run, splits, features, split)
        self.facts[f"n_{split}"] = len(opened.rows)
        return opened


def open_context(reader: FeatureReader) -> Context:
    """Return the context of a run; the reader counts what is read through it."""
    run, session = reader.run, reader.session
    workbench = None
    if run.protocol.runs_network:
        from bench.runs.workbench import RunWorkbench

        workbench = RunWorkbench(run, session, reader.open)
        layers = workbench.layers
    else:
        features, cost = session.features(run, "train")
        reader.costs["passes"] += cost["passes"]
        reader.costs["extraction_seconds"] += cost["seconds"]
        layers = select_layers(features.layers, run.layers, run.entry.name)
    return Context(
        task=run.task,
        recipe=run.recipe,
        image_size=session.data.suite.image_size,
        layers=layers,
        open=reader.open,
        tests=session.splits(run).tests,
        settings=run.settings,
        seed=run.key.seed,
        device=session.device,
        workbench=workbench,
    )
