"""Merging carried out: members are loaded and checked, merged, measured anew, and left as an entry."""

from __future__ import annotations

import time
from pathlib import Path

from safetensors.torch import save

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import Card, write_entry
from bench.foundry.contract.resolved import Parent, lineage, parent_of
from bench.foundry.contract.workbench import data_facts, fed_bands, open_task
from bench.foundry.merging.members import check_bands, check_settings, load_member, parents_of
from bench.foundry.merging.merger import Merger, Report
from bench.foundry.merging.settings import REFERENCES, MergeSettings
from bench.networks.tapped import tapped


def merge_entries(settings: MergeSettings, *, data: Path, out: Path, device: str, report: Report) -> Path:
    """Merge entries and return the path of the weights of the new one; see `bench.foundry.merge.run`."""
    started = time.perf_counter()
    check_settings(settings)
    parents = parents_of(settings, settings.models)
    bases = parents_of(settings, [settings.base] if settings.base else [])
    model = _student(settings) if settings.student else parents[0]
    check_bands([*parents, *bases, model])
    task_data = (
        open_task(settings.suite, settings.task, settings.bands, data, settings.labels) if settings.suite else None
    )
    bands = fed_bands(model.entry, task_data)
    merger = Merger(
        settings,
        members=[load_member(parent, bands) for parent in parents],
        base=load_member(bases[0], bands) if bases else None,
        model=model,
        data=task_data,
        device=device,
        report=report,
    )
    network = merger.selected(tapped(model.network(bands, random=True))) if settings.student else merger.merged()
    heritage = [*parents, *(base for base in bases if base.entry.name not in [parent.entry.name for parent in parents])]
    fields = lineage(heritage) | {"base": model.base}
    if (merger.images or settings.method == "learned") and task_data and task_data.suite.dataset:
        fields["trained_on"] = tuple(dict.fromkeys([*fields["trained_on"], task_data.suite.dataset]))
    card = Card(
        name=settings.name or f"{parents[0].entry.name}.{settings.method}",
        origin="merged",
        bands=tuple(band.name for band in bands),
        shape=model.shape,
        parameters=sum(value.numel() for value in network.parameters()),
        depth=sum(layer.name.startswith("block_") for layer in network.layers),
        width=network.layers[-1].channels,
        recipe="merge",
        version=1,
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
        data=data_facts(task_data) | merger.facts,
        cost={"members": float(len(parents)), "seconds": round(time.perf_counter() - started, 1)},
        scores=merger.scores,
        sha256="",
        reference="; ".join(
            dict.fromkeys([REFERENCES[settings.method], *(parent.entry.reference for parent in heritage)])
        ),
        notes=tuple(merger.notes),
        **fields,
    )
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return write_entry(out, card, save(state))


def _student(settings: MergeSettings) -> Parent:
    """Return the entry whose network is filled; its own weights are not looked for."""
    chosen, _ = model_catalogue.select([settings.student], settings.entries)
    twin = f"{settings.student}.random" if len(chosen) == 1 and chosen[0].weights else settings.student
    return parent_of(twin, weights=settings.weights, entries=settings.entries)
