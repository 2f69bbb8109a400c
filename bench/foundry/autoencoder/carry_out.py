"""Carrying out the recipe: split lineages, train, reconstruct, write."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from safetensors.torch import save

from bench.core import sha256_of
from bench.core.errors import BadSetting, UnknownName
from bench.foundry.autoencoder.reconstruction import COLUMNS, reconstruction_rows
from bench.foundry.autoencoder.settings import SIZES, LearnSettings, describe
from bench.foundry.autoencoder.sources import TokenSource
from bench.foundry.autoencoder.training import train
from bench.foundry.collection.catalogue import CATALOGUE, Member, read_collection
from bench.foundry.collection.files import SHARD, read_weights
from bench.store import write_atomic
from bench.store.seals import write_sealed

WEIGHTS, FACTS, REPORT = "autoencoder.safetensors", "autoencoder.json", "reconstruction.csv"
MOST_OPEN = 8  # files mapped at once
HELD_SHARE = 5  # every fifth lineage is held out where none is named


def learn(settings: LearnSettings, *, out: Path, device: str, report: Callable[[str], None]) -> Path:
    """Train an autoencoder on a collection and return the path of its weights.

    Raises:
        BadSetting: nothing is left to train on; see `train` too.
        MissingData: there is no collection.
        UnknownName: a lineage that is to be held out is not in it.
    """
    members = [member for member in read_collection(settings.collection) if not member.duplicate_of]
    held = held_out(settings, members)
    size = SIZES[settings.preset]
    opened = lru_cache(maxsize=MOST_OPEN)(read_weights)
    sources = {
        member.name: TokenSource(member.name, member.lineage, partial(opened, files_of(member)), size)
        for member in members
    }
    splits = {
        "training": [source for source in sources.values() if source.lineage not in held],
        "held out": [source for source in sources.values() if source.lineage in held],
    }
    if not splits["training"]:
        raise BadSetting(f"{settings.collection}: every lineage is held out, nothing is left to train on")
    tokens = sum(source.layout.tokens for source in splits["training"])
    report(describe(settings))
    report(f"{len(splits['training'])} models, {tokens:,} tokens; held out: {', '.join(sorted(held)) or 'none'}")
    began = time.monotonic()
    network, losses = train(settings, splits["training"], out=out, device=device, report=report)
    seconds = time.monotonic() - began
    rows = reconstruction_rows(
        network, {name: own for name, own in splits.items() if own}, splits["training"], device=device
    )
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(out / REPORT, stream.getvalue().encode())
    for row in rows:
        if row["role"] == "all":
            report(
                f"{row['split']}: R2 {row['r2']:.3f}, principal components {row['r2_pca']:.3f}, bound of white tokens "
                f"{row['bound']:.3f}"
            )
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_atomic(out / WEIGHTS, save(state))
    facts = {
        "settings": settings.model_dump(mode="json"),
        "collection": sha256_of((settings.collection / CATALOGUE).read_bytes().hex()),
        "held_out": sorted(held),
        "losses": losses,
        "seconds": seconds,
        "reconstruction": [row for row in rows if row["role"] == "all"],
    }
    write_sealed(out / FACTS, "autoencoder", facts)
    return out / WEIGHTS


def held_out(settings: LearnSettings, members: Sequence[Member]) -> set[str]:
    """Return the lineages that are not trained on.

    Raises:
        UnknownName: a lineage that is named is not in the collection.
    """
    lineages = sorted({member.lineage for member in members}, key=sha256_of)
    for name in settings.held_out:
        if name not in lineages:
            raise UnknownName("lineage", name, lineages)
    return set(settings.held_out) or set(lineages[: len(lineages) // HELD_SHARE])


def files_of(member: Member) -> tuple[Path, ...]:
    """Return the files of a member: one, or its shards in order."""
    path = Path(member.path)
    shard = SHARD.fullmatch(path.name)
    return tuple(sorted(path.parent.glob(f"{shard[1]}-*-of-*{shard[2]}"))) if shard and member.shards > 1 else (path,)
